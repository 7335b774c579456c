"""`binder list`, alone and of a service elsewhere: the same rows in the same words."""

import json
from pathlib import Path

from binder.lifecycle import BuildState, SessionState
from binder.listing import QUERIES, Asked, keys_of
from binder.store import Store
from binder.store.tables import utc_now
from tests.binder.cli.conftest import Desk
from tests.binder.cli.typed import typed
from tests.proxy.rows import SHA, add_build, add_preview, add_repository, add_session, session_of

MODULES = [{"name": "postgres", "version": "15", "mode": "single-node"}]
FAULT = {
    "party": "repository",
    "message": "No \x1b[2Jsuch package.",
    "file": "requirements.txt",
    "line": 3,
    "step": None,
}


async def fill(store: Store) -> dict[str, str]:
    """Store a binder with two sessions, a held one, one that a link asked for, and a build that failed."""
    ours = await add_repository(store, name="notebooks")
    other = await add_repository(store, name="other", owner="Bob")
    kept = await add_preview(store, ours, "main")
    await add_preview(store, ours, "7", "f" * 40, kind="pull", held="Somebody must allow it.")
    good = await add_build(store, ours, preview_id=kept.id, result={"image": "it", "modules": MODULES, "way": "full"})
    await add_build(store, other, sha="b" * 40)
    await add_build(
        store, other, BuildState.FAILED, sha="a" * 40, fault=FAULT, started_at=utc_now(), finished_at=utc_now()
    )
    opened = await add_session(store, good, SessionState.OPEN, opened_at=utc_now(), activity_at=utc_now())
    await add_session(store, good)
    ended = await add_session(store, good, SessionState.ENDED, reason="It was not needed any more.", ended_at=utc_now())
    return {"open": opened.id, "ended": ended.id, "token": opened.token}


async def test_an_empty_place_has_empty_lists(alone: dict[str, str]) -> None:
    for what in ("binders", "builds", "sessions"):
        ended = await typed("list", what, "--json", env=alone)
        assert (ended.code, ended.output, ended.complaint) == (0, "[]\n", "")
    assert not Path(alone["BINDER_STATE_DIR"]).exists()
    assert "There is no binder yet" in (await typed("list", env=alone)).output


async def test_binders_are_listed(own_store: Store, alone: dict[str, str]) -> None:
    await fill(own_store)
    rows = json.loads((await typed("list", "--json", env=alone)).output)
    by_state = {row["state"]: row for row in rows if row["repository"] == "ada/notebooks"}
    assert set(by_state) == {"held", "succeeded"}
    good = by_state["succeeded"]
    assert (good["kind"], good["ref"], good["sha"], good["sessions"]) == ("branch", "main", SHA, 2)
    assert (good["modules"], good["image"]) == (MODULES, "it")
    assert by_state["held"]["held"] == "Somebody must allow it."
    (link,) = [row for row in rows if row["repository"] == "Bob/other"]
    assert (link["kind"], link["ref"], link["sha"]) == ("link", None, "b" * 40)
    assert [*good] == [*link]


async def test_people_see_tables(own_store: Store, alone: dict[str, str]) -> None:
    known = await fill(own_store)
    binders = (await typed("list", env=alone)).output
    assert "postgres 15" in binders
    assert "#7" in binders
    builds = (await typed("list", "builds", env=alone)).output
    assert "requirements.txt line 3: No  [2Jsuch package." in builds
    assert "\x1b" not in builds
    sessions = (await typed("list", "sessions", env=alone)).output
    assert known["open"] in sessions
    assert known["ended"] not in sessions
    assert known["token"] not in sessions


async def test_a_list_can_be_of_one_repository_shorter_or_longer(own_store: Store, alone: dict[str, str]) -> None:
    known = await fill(own_store)
    builds = json.loads((await typed("list", "builds", "--repository", "bob/OTHER", "--json", env=alone)).output)
    assert [build["state"] for build in builds] == ["failed", "succeeded"]
    assert builds[0]["fault"]["line"] == 3
    assert len(json.loads((await typed("list", "builds", "--limit", "1", "--json", env=alone)).output)) == 1
    everything = json.loads((await typed("list", "sessions", "--all", "--json", env=alone)).output)
    assert {row["session"]: row["reason"] for row in everything}[known["ended"]] == "It was not needed any more."


async def test_a_service_elsewhere_lists_the_same(desk: Desk) -> None:
    known = await fill(desk.store)
    for what in QUERIES:
        ended = await typed("list", what, "--json", env=desk.env)
        assert (ended.code, ended.complaint) == (0, "")
        assert [*json.loads(ended.output)[0]] == [*keys_of(what)]
        assert known["token"] not in ended.output
    sessions = json.loads((await typed("list", "sessions", "--json", env=desk.env)).output)
    assert known["open"] in {row["session"] for row in sessions}
    assert (await session_of(desk.store, known["open"])).token == known["token"]


def test_a_list_is_bounded() -> None:
    assert Asked(limit=10**9).values["most"] == 1000
    assert Asked(limit=-1).values["most"] == 1
