"""What several packages ask of the store."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from binder.errors import IllegalTransitionError, OperatorFault, RepositoryFault
from binder.lifecycle import BuildState, SessionState
from binder.store import Store
from binder.store.queries import (
    ACTIVE_BUILDS,
    advance_build,
    advance_session,
    fail_build,
    find_repository,
    is_own_commit,
    want_build,
    want_report,
)
from binder.store.tables import Build, Preview, Report, Session
from tests.binder.rows import SHA, add_repository

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
UNTIL = NOW + timedelta(seconds=30)


async def test_a_repository_is_found_in_whatever_case_it_is_written(store: Store) -> None:
    repository = await add_repository(store, "Notebooks")
    async with store.read() as session:
        found = await find_repository(session, host="github.com", owner="ADA", name="notebooks")
        assert found
        assert found.id == repository.id
        assert await find_repository(session, host="github.example.org", owner="ada", name="notebooks") is None
        exact: dict[str, Any] = {"host": "github.com", "is_exact": True}
        assert await find_repository(session, owner="ada", name="notebooks", **exact) is None
        assert await find_repository(session, owner="ada", name="Notebooks", **exact) is not None


async def _want(store: Store, repository_id: int, **options: Any) -> Build:
    async with store.write() as session:
        return await want_build(session, repository_id=repository_id, sha=SHA, **options)


async def _set_state(store: Store, build: Build, state: BuildState) -> None:
    async with store.write() as session:
        (await session.get_one(Build, build.id)).state = state


@pytest.mark.parametrize("state", [*ACTIVE_BUILDS, BuildState.SUCCEEDED])
async def test_a_commit_that_is_built_or_being_built_is_not_built_twice(store: Store, state: BuildState) -> None:
    repository = await add_repository(store)
    first = await _want(store, repository.id)
    await _set_state(store, first, state)
    assert (await _want(store, repository.id)).id == first.id
    assert (await _want(store, repository.id, again=True)).id == first.id


async def _propose(store: Store, repository_id: int, ref: str, *, from_fork: bool) -> int:
    row = Preview(repository_id=repository_id, kind="pull", ref=ref, head_sha=SHA, from_fork=from_fork)
    async with store.write() as session:
        session.add(row)
    return row.id


async def test_what_is_known_from_a_fork_only_is_untrusted_whoever_wants_it(store: Store) -> None:
    repository = await add_repository(store)
    preview_id = await _propose(store, repository.id, "1", from_fork=True)
    visited = await _want(store, repository.id)
    assert visited.untrusted
    approved = await _want(store, repository.id, preview_id=preview_id)
    assert (approved.id, approved.preview_id) == (visited.id, preview_id)
    await _set_state(store, visited, BuildState.FAILED)
    assert (await _want(store, repository.id, again=True)).untrusted


async def test_a_commit_that_becomes_trusted_is_built_anew_and_the_other_way_round_is_not(store: Store) -> None:
    repository = await add_repository(store)
    await _propose(store, repository.id, "1", from_fork=True)
    first = await _want(store, repository.id)
    await _set_state(store, first, BuildState.SUCCEEDED)
    await _propose(store, repository.id, "2", from_fork=False)
    second = await _want(store, repository.id)
    assert (first.untrusted, second.untrusted, second.id > first.id) == (True, False, True)
    await _propose(store, repository.id, "3", from_fork=True)
    assert (await _want(store, repository.id)).id == second.id


async def test_a_build_that_failed_stands_until_it_is_wanted_again(store: Store) -> None:
    repository = await add_repository(store)
    first = await _want(store, repository.id)
    await _set_state(store, first, BuildState.FAILED)
    assert (await _want(store, repository.id)).id == first.id
    second = await _want(store, repository.id, again=True)
    assert second.id != first.id
    assert (second.state, second.sha) == (BuildState.QUEUED, SHA)
    assert (await _want(store, repository.id, again=True)).id == second.id


@pytest.mark.parametrize("state", [BuildState.SUPERSEDED, BuildState.CANCELLED])
async def test_a_build_that_was_given_up_does_not_stand(store: Store, state: BuildState) -> None:
    repository = await add_repository(store)
    first = await _want(store, repository.id)
    await _set_state(store, first, state)
    assert (await _want(store, repository.id)).id != first.id


async def test_what_was_built_as_a_forks_is_not_good_for_the_repository(store: Store) -> None:
    repository = await add_repository(store)
    fork = await _want(store, repository.id, untrusted=True)
    assert fork.untrusted
    assert (await _want(store, repository.id, untrusted=True)).id == fork.id
    await _set_state(store, fork, BuildState.SUCCEEDED)
    own = await _want(store, repository.id)
    assert (own.id != fork.id, own.untrusted) == (True, False)
    assert (await _want(store, repository.id)).id == own.id
    assert (await _want(store, repository.id, untrusted=True)).id == own.id, "what is trusted is good for all"


async def test_a_commit_is_the_repositorys_own_where_one_of_its_refs_shows_it(store: Store) -> None:
    repository, other = await add_repository(store, "one"), await add_repository(store, "other")
    own = ("branch", "main", "a" * 40), ("pull", "1", "b" * 40)
    shown = [Preview(repository_id=repository.id, kind=kind, ref=ref, head_sha=sha) for kind, ref, sha in own]
    fork = Preview(repository_id=repository.id, kind="pull", ref="2", head_sha="c" * 40, from_fork=True)
    gone = Preview(repository_id=repository.id, kind="branch", ref="old", head_sha="d" * 40, live=False)
    builds = [
        Build(repository_id=repository.id, sha=sha * 40, untrusted=one) for sha, one in (("e", False), ("f", True))
    ]
    async with store.write() as session:
        session.add_all([*shown, fork, gone, *builds])
    async with store.read() as session:
        known = {
            letter for letter in "0abcdef" if await is_own_commit(session, repository_id=repository.id, sha=letter * 40)
        }
        assert known == {"a", "b", "d", "e"}
        assert not await is_own_commit(session, repository_id=other.id, sha="a" * 40)


async def test_each_repository_has_builds_of_its_own(store: Store) -> None:
    one, other = await add_repository(store, "one"), await add_repository(store, "other")
    assert (await _want(store, one.id)).id != (await _want(store, other.id)).id


async def test_a_build_that_a_link_asked_for_is_taken_up_by_a_preview(store: Store) -> None:
    repository = await add_repository(store)
    previews = [Preview(repository_id=repository.id, kind="branch", ref=ref, head_sha=SHA) for ref in ("main", "x")]
    async with store.write() as session:
        session.add_all(previews)
    assert (await _want(store, repository.id)).preview_id is None
    assert (await _want(store, repository.id, preview_id=previews[0].id)).preview_id == previews[0].id
    assert (await _want(store, repository.id, preview_id=previews[1].id)).preview_id == previews[0].id
    assert (await _want(store, repository.id)).preview_id == previews[0].id


def _build(state: BuildState) -> Build:
    return Build(state=state, lease_owner="host:1:a", lease_until=UNTIL)


def _times(build: Build) -> tuple[datetime | None, datetime | None, datetime | None]:
    return build.started_at, build.finished_at, build.lease_until


def test_a_build_notes_when_it_starts_and_ends() -> None:
    build = _build(BuildState.QUEUED)
    advance_build(build, BuildState.FETCHING, NOW)
    assert _times(build) == (NOW, None, UNTIL)
    advance_build(build, BuildState.BUILDING, UNTIL)
    assert _times(build) == (NOW, None, UNTIL)
    advance_build(build, BuildState.SUPERSEDED, UNTIL)
    assert _times(build) == (NOW, UNTIL, None)


def test_a_build_does_not_jump() -> None:
    build = _build(BuildState.QUEUED)
    with pytest.raises(IllegalTransitionError):
        advance_build(build, BuildState.PUSHING, NOW)
    assert build.state is BuildState.QUEUED


def test_a_build_that_fails_keeps_what_was_wrong() -> None:
    build = _build(BuildState.BUILDING)
    fail_build(build, RepositoryFault("No such package.", file="requirements.txt", line=3, step="environment"), NOW)
    assert build.state is BuildState.FAILED
    assert build.fault == {
        "party": "repository",
        "message": "No such package.",
        "file": "requirements.txt",
        "line": 3,
        "step": "environment",
    }
    build = _build(BuildState.BUILDING)
    fail_build(build, OperatorFault("The disk is full."), NOW)
    assert build.fault == {
        "party": "operator",
        "message": "The disk is full.",
        "file": None,
        "line": None,
        "step": None,
    }


def test_a_session_notes_its_times_and_keeps_its_lease_only_while_it_starts() -> None:
    row = Session(state=SessionState.WANTED, lease_owner="host:1:a", lease_until=UNTIL)
    advance_session(row, SessionState.STARTING, NOW)
    assert row.lease_owner == "host:1:a"
    advance_session(row, SessionState.STANDBY, NOW)
    assert row.ready_at == NOW
    assert not row.lease_owner
    advance_session(row, SessionState.OPEN, UNTIL)
    assert (row.opened_at, row.activity_at) == (UNTIL, UNTIL)
    advance_session(row, SessionState.FAILED, UNTIL, reason="It used too much memory.")
    assert (row.ended_at, row.reason) == (UNTIL, "It used too much memory.")
    with pytest.raises(IllegalTransitionError):
        advance_session(row, SessionState.OPEN, UNTIL)


async def _owe(store: Store, repository_id: int, wanted: dict[str, Any], subject: str = SHA) -> Report:
    async with store.write() as session:
        await want_report(session, repository_id=repository_id, kind="status", subject=subject, wanted=wanted)
    async with store.read() as session:
        return (await session.scalars(select(Report).where(Report.subject == subject))).one()


async def test_what_was_owed_and_not_yet_sent_is_replaced(store: Store) -> None:
    repository = await add_repository(store)
    first = await _owe(store, repository.id, {"state": "pending"})
    second = await _owe(store, repository.id, {"state": "success"})
    assert (first.id, first.owed) == (second.id, True)
    assert (second.owed, second.wanted, second.sent) == (True, {"state": "success"}, None)


async def test_what_github_was_told_is_owed_no_more(store: Store) -> None:
    repository = await add_repository(store)
    report = await _owe(store, repository.id, {"state": "pending"})
    async with store.write() as session:
        row = await session.get_one(Report, report.id)
        row.sent, row.owed, row.attempts, row.not_before = row.wanted, False, 0, UNTIL
    same = await _owe(store, repository.id, {"state": "pending"})
    assert (same.owed, same.attempts) == (False, 0)
    changed = await _owe(store, repository.id, {"state": "success"})
    assert (changed.owed, changed.attempts, changed.not_before) == (True, 0, None)
    back = await _owe(store, repository.id, {"state": "pending"})
    assert not back.owed, "it shows this already"


async def test_each_subject_has_a_report_of_its_own(store: Store) -> None:
    repository = await add_repository(store)
    one = await _owe(store, repository.id, {"state": "pending"})
    other = await _owe(store, repository.id, {"state": "pending"}, subject="f" * 40)
    assert one.id != other.id
