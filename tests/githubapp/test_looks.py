"""Which refs get previews, with a binder.yml that really is read at the base, and what is written down of each."""

import pytest

from binder.lifecycle import BuildState, SessionState
from binder.store.tables import Preview
from tests.githubapp.workshop import Workshop

BUILT = ("build", None)


async def begun(workshop: Workshop, binder_yml: str | None = None, path: str = "binder.yml") -> str:
    """Push the default branch with this binder.yml, and have it built."""
    sha = await workshop.push("First", files={} if binder_yml is None else {path: binder_yml}, notebook="1")
    await workshop.act()
    await workshop.finish(sha)
    return sha


async def shown(workshop: Workshop, sha: str) -> list[tuple[str, str | None]]:
    return [(one.state, one.description) for one in await workshop.statuses(sha)]


@pytest.mark.parametrize("path", ["binder.yml", "binder/binder.yml", ".binder/binder.yml"])
async def test_branches_that_nobody_asks_for_have_none(workshop: Workshop, path: str) -> None:
    await begun(workshop, "previews: {branches: [main, 'release/*']}", path)
    released, other = await workshop.push("Release", "release/1"), await workshop.push("Other", "other")
    await workshop.act()
    await workshop.report()
    assert await workshop.decisions(released) == [BUILT]
    assert await workshop.builds(other) == []
    reason = "binder.yml asks for no previews of this branch"
    assert await workshop.decisions(other) == [("end", f"{reason}; the preview ends")]
    preview = await workshop.preview("other")
    assert (preview.live, preview.held, preview.head_sha) == (False, reason, other)
    assert await shown(workshop, other) == []


async def test_the_policy_of_the_base_counts_and_not_the_one_that_is_proposed(workshop: Workshop) -> None:
    await begun(workshop, "previews: {pull_requests: false, branches: [main]}\ncomment: false\ndeployments: false")
    sha = await workshop.push("Mine", "change", files={"binder.yml": "previews: {pull_requests: true}"})
    number = await workshop.open_pull_request("change")
    await workshop.act()
    assert await workshop.builds(sha) == []
    preview = await workshop.preview(str(number))
    assert (preview.live, preview.choices) == (False, {"comment": False, "deployment": False})


async def test_a_wrong_file_is_told_of_and_previews_go_on(workshop: Workshop) -> None:
    sha = await begun(workshop, "previews:\n  drafts: maybe\n")
    assert await workshop.decisions(sha) == [
        (
            "build",
            "binder.yml line 2: `drafts` in binder.yml must be `true` or `false`. Previews go on with the defaults.",
        )
    ]
    assert (await workshop.preview("main")).choices == {"comment": True, "deployment": True}


async def test_labels_come_and_go(workshop: Workshop) -> None:
    await begun(workshop, "previews: {pull_requests: labeled, labels: [preview], branches: [main]}")
    sha = await workshop.push("Change", "change")
    number = await workshop.open_pull_request("change")
    await workshop.act()
    assert await workshop.builds(sha) == []
    await workshop.happens(workshop.sandbox.set_label("ada/demo", number, label="preview"))
    assert (await workshop.build(sha)).state is BuildState.QUEUED
    preview = await workshop.preview(str(number))
    assert (preview.live, preview.held, preview.facts["labels"]) == (True, None, ["preview"])
    await workshop.happens(workshop.sandbox.set_label("ada/demo", number, label="preview", labelled=False))
    assert (await workshop.build(sha)).state is BuildState.CANCELLED
    assert (await shown(workshop, sha))[-1] == ("error", "Cancelled: binder.yml asks for one of the labels preview")


async def test_drafts_may_wait(workshop: Workshop) -> None:
    await begun(workshop, "previews: {drafts: false, branches: [main]}")
    sha = await workshop.push("Change", "change")
    await workshop.sandbox.open_pull_request("ada/demo", author="ada", head="change", title="x", draft=True)
    await workshop.happens()
    assert await workshop.decisions(sha) == [
        ("end", "binder.yml asks for no previews of this branch; the preview ends"),
        ("hold", "drafts wait until they are ready for review"),
    ]
    assert await shown(workshop, sha) == []
    await workshop.happens(workshop.sandbox.set_draft("ada/demo", 1, draft=False))
    assert len(await workshop.builds(sha)) == 1
    await workshop.happens(workshop.sandbox.set_draft("ada/demo", 1, draft=True))
    preview = await workshop.preview("1")
    assert (preview.held, preview.facts["draft"]) == (None, True)
    assert (await workshop.decisions(sha, known=True))[-1] == ("known", None)


async def test_only_what_changes_a_path_is_built_anew(workshop: Workshop) -> None:
    good = await begun(workshop, "previews: {paths: [notebook.md, 'data/']}")
    held = await workshop.push("Words", readme="2")
    await workshop.act()
    await workshop.report()
    preview = await workshop.preview("main")
    assert (preview.head_sha, preview.live, preview.held) == (
        held,
        True,
        "no file changed that `paths` in binder.yml names",
    )
    assert await workshop.builds(held) == []
    assert await shown(workshop, held) == []
    again = await workshop.push("More words", files={"data/x.csv": "3"})
    await workshop.act()
    assert await workshop.decisions(again) == [BUILT]
    # What was not built well is no reason to build nothing.
    newest = await workshop.push("Words again", readme="4")
    await workshop.act()
    assert await workshop.decisions(newest) == [BUILT]
    assert [row.sha for row in await workshop.builds(good)] == [good]
    # History that was written anew says nothing of what changed.
    await workshop.finish(newest)
    await workshop.checkout.git("reset", "--quiet", "--hard", good)
    other = await workshop.push("Another history", force=True, readme="5")
    await workshop.act()
    assert await workshop.decisions(other) == [BUILT]


async def test_a_commit_may_say_that_it_is_not_to_be_built(workshop: Workshop) -> None:
    await begun(workshop)
    pending = await workshop.push("Second")
    await workshop.act()
    await workshop.report()
    skipped = await workshop.push("Typo [skip binder]")
    await workshop.act()
    await workshop.report()
    assert await workshop.builds(skipped) == []
    assert await workshop.decisions(skipped) == [("hold", "the commit's message says [skip binder]")]
    assert await shown(workshop, skipped) == []
    assert (await shown(workshop, pending))[-1] == ("error", f"Superseded by {skipped[:7]}")
    assert (await workshop.decisions(pending))[-1] == ("cancel", f"Superseded by {skipped[:7]}")


async def test_what_is_known_of_a_pull_request_is_kept(workshop: Workshop) -> None:
    base = await begun(workshop)
    await workshop.push("Change", "change", files={"a.ipynb": "{}", "docs/b.ipynb": "{}", "c.py": ""})
    number = await workshop.open_pull_request("change")
    await workshop.act()
    preview = await workshop.preview(str(number))
    assert preview.facts == {
        "author": "ada",
        "base_ref": "main",
        "base_sha": base,
        "notebooks": ["a.ipynb", "docs/b.ipynb"],
        "draft": False,
        "labels": [],
    }
    assert preview.from_fork is False


async def test_a_pull_request_that_is_retargeted_is_judged_by_its_new_base(workshop: Workshop) -> None:
    await begun(workshop)
    await workshop.push("Strict", "strict", files={"binder.yml": "previews: {pull_requests: false}"})
    await workshop.push_ref("HEAD:refs/heads/other")
    sha = await workshop.push("Change", "change")
    number = await workshop.open_pull_request("change")
    await workshop.act()
    assert (await workshop.preview(str(number))).live
    await workshop.happens(workshop.sandbox.edit_pull_request("ada/demo", number, base="strict"))
    preview = await workshop.preview(str(number))
    assert (preview.live, preview.facts["base_ref"]) == (False, "strict")
    assert (await workshop.build(sha)).state is BuildState.QUEUED  # its branch wants it still
    await workshop.happens(workshop.sandbox.edit_pull_request("ada/demo", number, base="main"))
    assert (await workshop.preview(str(number))).live


async def test_a_closed_pull_request_is_torn_down_and_may_be_opened_again(workshop: Workshop) -> None:
    await begun(workshop, "previews: {branches: [main]}")
    sha = await workshop.push("Change", "change")
    number = await workshop.open_pull_request("change")
    await workshop.act()
    build = await workshop.finish(sha)
    waiting = await workshop.add_session(build, SessionState.STANDBY)
    coming = await workshop.add_session(build, SessionState.STARTING)
    used = await workshop.add_session(build, SessionState.OPEN)
    other = await workshop.add_session(
        await workshop.build((await workshop.preview("main")).head_sha), SessionState.OPEN
    )
    await workshop.happens(workshop.sandbox.close_pull_request("ada/demo", number))
    assert (await workshop.preview(str(number))).live is False
    assert await workshop.session_states() == {
        waiting: SessionState.ENDED,
        coming: SessionState.ENDED,
        used: SessionState.OPEN,  # until nobody uses it any more
        other: SessionState.OPEN,
    }
    await workshop.happens(workshop.sandbox.reopen_pull_request("ada/demo", number))
    assert (await workshop.preview(str(number))).live
    assert (await workshop.decisions(sha, known=True))[-2:] == [("end", "the preview ends"), ("known", None)]


async def test_a_branch_that_is_created_and_deleted(workshop: Workshop) -> None:
    sha = await begun(workshop)
    await workshop.sandbox.add_fault("vanished", event="push")
    await workshop.push_ref(f"{sha}:refs/heads/change")
    await workshop.act()  # told by `create` alone
    assert (await workshop.preview("change")).live
    assert (await workshop.decisions(sha, known=True))[-1] == ("known", None)
    await workshop.sandbox.add_fault("vanished", event="push")
    await workshop.push_ref(":refs/heads/change")
    await workshop.act()  # told by `delete` alone
    assert not (await workshop.preview("change")).live
    assert [row.ref for row in await workshop.rows(Preview) if row.live] == ["main"]


async def test_a_private_repository_has_no_previews(workshop: Workshop) -> None:
    await workshop.sandbox.set_private("ada/demo", private=True)
    sha = await workshop.push("First")
    await workshop.act()
    assert await workshop.builds(sha) == []
    delivery = await workshop.last_delivery("push")
    assert delivery.reason == "the repository is private, and visitors may open public ones only"
