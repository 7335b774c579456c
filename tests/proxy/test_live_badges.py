"""The badge that says how a branch stands."""

from xml.etree import ElementTree as ET

import httpx
import pytest

from binder.lifecycle import BuildState
from binder.store.queries import ACTIVE_BUILDS
from binder.store.tables import Build, Repository
from proxy.context import ProxyContext
from proxy.live_badges import Asked, State, asked_of, picture, state_of
from tests.proxy.rows import add_build, add_preview, add_repository

OLDER = "f" * 40


@pytest.mark.parametrize(
    ("spec", "asked"),
    [
        ("ada/notebooks.svg", Asked("ada", "notebooks")),
        ("ada/notebooks/main.svg", Asked("ada", "notebooks", "main")),
        ("ada/notebooks/release/1.0.svg", Asked("ada", "notebooks", "release/1.0")),
        ("ada/note.svg.svg", Asked("ada", "note.svg")),
        ("ada/notebooks", None),
        ("ada/notebooks/main.png", None),
        ("ada.svg", None),
        ("ada/.svg", None),
        ("ada/notebooks/a..b.svg", None),
        ("a da/notebooks.svg", None),
        (".svg", None),
        ("", None),
    ],
)
def test_what_a_badges_address_names(spec: str, asked: Asked | None) -> None:
    assert asked_of(spec) == asked


def made(state: BuildState, image: str | None = "image") -> Build:
    return Build(state=state, result={"image": image})


@pytest.mark.parametrize(
    ("head", "has_good", "state"),
    [
        (made(BuildState.SUCCEEDED), True, "ready"),
        (made(BuildState.SUCCEEDED, None), True, "stale"),
        (made(BuildState.SUCCEEDED, None), False, None),
        (made(BuildState.FAILED), True, "stale"),
        (made(BuildState.FAILED), False, "failed"),
        (made(BuildState.CANCELLED), True, "stale"),
        (made(BuildState.CANCELLED), False, None),
        (None, True, "stale"),
        (None, False, None),
        *((made(state), has_good, "building") for state in ACTIVE_BUILDS for has_good in (True, False)),
    ],
)
def test_how_a_branch_stands(head: Build | None, has_good: bool, state: State | None) -> None:
    assert state_of(head, has_good=has_good) == state


@pytest.mark.parametrize("state", ["ready", "building", "failed", "stale"])
def test_a_badge_says_its_word_to_those_who_see_it_and_to_those_who_hear_it(state: State) -> None:
    root = ET.fromstring(picture(state))  # noqa: S314 - our own
    assert root.attrib["aria-label"] == f"binder: {state}"
    assert [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")] == ["binder", state]


async def branch(context: ProxyContext, state: BuildState) -> Repository:
    repository = await add_repository(context.store, default_branch="main")
    preview = await add_preview(context.store, repository, "main")
    await add_build(context.store, repository, state, preview_id=preview.id)
    return repository


async def test_a_badge_of_the_default_branch(visitor: httpx.AsyncClient, context: ProxyContext) -> None:
    await branch(context, BuildState.SUCCEEDED)
    for address in (
        "/badge/gh/ada/notebooks.svg",
        "/badge/gh/Ada/NoteBooks/main.svg",
        "/badge/gh/ada/notebooks/HEAD.svg",
    ):
        answer = await visitor.get(address)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
        assert answer.text == picture("ready")


async def test_githubs_cache_asks_each_time_and_gets_nothing_twice(
    visitor: httpx.AsyncClient, context: ProxyContext
) -> None:
    repository = await branch(context, BuildState.BUILDING)
    first = await visitor.get("/badge/gh/ada/notebooks.svg")
    assert first.headers["cache-control"] == "no-cache, max-age=0"
    assert first.headers["cross-origin-resource-policy"] == "cross-origin"
    known = {"if-none-match": first.headers["etag"]}
    again = await visitor.get("/badge/gh/ada/notebooks.svg", headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    await add_build(context.store, repository)
    changed = await visitor.get("/badge/gh/ada/notebooks.svg", headers=known)
    assert (changed.status_code, changed.text) == (200, picture("ready"))


async def test_a_red_head_is_stale_where_an_earlier_commit_can_be_opened(
    visitor: httpx.AsyncClient, context: ProxyContext
) -> None:
    repository = await branch(context, BuildState.FAILED)
    assert (await visitor.get("/badge/gh/ada/notebooks.svg")).text == picture("failed")
    await add_build(context.store, repository, sha=OLDER, preview_id=1)
    assert (await visitor.get("/badge/gh/ada/notebooks.svg")).text == picture("stale")


async def test_what_may_not_be_seen_looks_like_what_is_not_there(
    visitor: httpx.AsyncClient, context: ProxyContext
) -> None:
    private = await add_repository(context.store, name="secret", private=True, default_branch="main")
    await add_preview(context.store, private, "main")
    await add_build(context.store, private)
    await branch(context, BuildState.SUCCEEDED)
    answers = [
        await visitor.get(f"/badge/gh/{spec}")
        for spec in ("ada/secret.svg", "ada/secret/main.svg", "ada/nothing.svg", "ada/notebooks/nothing.svg", "%00.svg")
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, picture(None).encode())}
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1
