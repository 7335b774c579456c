"""Where a policy is read, and what is said of a file that cannot be."""

import pytest

from binder.preview_policy import PreviewPolicy
from githubapp.policies import policy_at
from githubapp.values import Place
from tests.githubapp.workshop import Workshop

WRONG = "Previews go on with the defaults."


def place_in(workshop: Workshop) -> Place:
    (installation_id,) = workshop.sandbox.world.state.installations
    return Place(installation_id, workshop.sandbox.world.repository("ada/demo").id)


async def test_each_branch_has_its_own(workshop: Workshop) -> None:
    await workshop.push("First", files={"binder.yml": "previews: {drafts: false}"})
    await workshop.push("Second", "other", files={"binder.yml": "comment: false"})
    place = place_in(workshop)
    assert await policy_at(workshop.client, place, "main") == (PreviewPolicy(drafts=False), None)
    assert await policy_at(workshop.client, place, "other") == (PreviewPolicy(comment=False), None)
    assert await policy_at(workshop.client, place, "gone") == (PreviewPolicy(), None)


async def test_an_empty_repository_has_none(workshop: Workshop) -> None:
    assert await policy_at(workshop.client, place_in(workshop), "main") == (PreviewPolicy(), None)


@pytest.mark.parametrize(
    ("path", "content", "notice"),
    [
        ("binder.yml", b"\xff\xfe", "binder.yml is not UTF-8."),
        ("binder/binder.yml", b"#" * 70_000, "binder/binder.yml is no file of at most 64 KiB."),
        ("binder.yml/nothing", b"", "binder.yml is no file of at most 64 KiB."),
        ("binder.yml", b"comment: x", "binder.yml line 1: `comment` in binder.yml must be `true` or `false`."),
    ],
)
async def test_a_file_that_cannot_be_read_is_named(workshop: Workshop, path: str, content: bytes, notice: str) -> None:
    target = workshop.checkout.folder / path
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(content)
    await workshop.push("First")
    policy = await policy_at(workshop.client, place_in(workshop), "main")
    assert policy == (PreviewPolicy(), f"{notice} {WRONG}")
