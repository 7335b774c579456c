"""All that is stored about one commit, and nothing of its neighbours."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import event

from binder.lifecycle import BuildState, DeliveryState
from binder.names import new_session_id, new_token
from binder.store import Row, Store
from binder.store.commits import MOST_FOUND, MOST_ROWS, Commit, CommitRows, find_commits, prefix_of, rows_of
from binder.store.tables import Build, Decision, Delivery, Preview, Report, Repository, Session, utc_now
from tests.binder.rows import SHA, add_repository
from tests.postgresql import ONLY_SQLITE

SIBLING = SHA[:7] + "f" * 33
OTHER = "f" * 40


async def add(store: Store, *rows: Row) -> None:
    async with store.write() as session:
        for row in rows:
            session.add(row)
            await session.flush()


async def found(store: Store, prefix: str, repositories: Sequence[int] | None = None) -> list[tuple[str, str]]:
    async with store.read() as session:
        commits = await find_commits(session, prefix, repositories)
    return [(commit.repository.name, commit.sha) for commit in commits]


async def rows(store: Store, repository: Repository, sha: str = SHA) -> CommitRows:
    async with store.read() as session:
        return await rows_of(session, Commit(repository, sha))


def delivery(guid: str, state: DeliveryState, payload: dict[str, Any], *, host: str = "github.com") -> Delivery:
    acted_at = None if state is DeliveryState.STORED else utc_now()
    return Delivery(host=host, app_id=1, guid=guid, event="push", payload=payload, state=state, acted_at=acted_at)


def decision(repository: Repository, sha: str | None, ref: str = "main", **values: Any) -> Decision:
    values = {"kind": "branch", "cause": "delivery", "outcome": "build", **values}
    return Decision(repository_id=repository.id, sha=sha, ref=ref, **values)


def push(repository: Repository, sha: str) -> dict[str, Any]:
    return {"after": sha, "repository": {"id": repository.external_id}}


async def known_repository(store: Store, name: str = "notebooks", number: int = 77) -> Repository:
    row = Repository(host="github.com", external_id=number, owner="ada", name=name, clone_url="")
    await add(store, row)
    return row


@pytest.mark.parametrize(
    ("written", "prefix"),
    [
        (SHA, SHA),
        ("0123ABC", "0123abc"),
        ("012345", None),
        (SHA + "0", None),
        ("main", None),
        ("012345g", None),
        ("", None),
        ("0123abc\n", None),
    ],
)
def test_a_commit_is_written_with_seven_letters_or_more(written: str, prefix: str | None) -> None:
    assert prefix_of(written) == prefix


class TestFinding:
    async def test_it_is_found_by_its_first_letters_in_builds_and_decisions(self, store: Store) -> None:
        one, two = await known_repository(store), await known_repository(store, "other", 78)
        await add(store, Build(repository_id=one.id, sha=SHA), Build(repository_id=one.id, sha=SHA))
        await add(store, decision(two, SIBLING), decision(two, None), Build(repository_id=two.id, sha=OTHER))
        both = [("notebooks", SHA), ("other", SIBLING)]
        assert await found(store, SHA[:7]) == both
        assert await found(store, SHA[:8]) == both[:1]
        assert await found(store, SHA[:7], [two.id]) == both[1:]
        assert await found(store, SHA, [two.id]) == await found(store, SHA[:7], []) == []
        assert await found(store, OTHER) == [("other", OTHER)]

    async def test_it_is_found_by_a_delivery_that_nobody_acted_on(self, store: Store) -> None:
        repository = await known_repository(store)
        await add(store, delivery("a", DeliveryState.FAILED, push(repository, SHA)))
        await add(store, delivery("b", DeliveryState.STORED, push(repository, OTHER)))
        await add(store, delivery("c", DeliveryState.STORED, push(repository, SIBLING), host="github.example.org"))
        assert await found(store, SHA[:7]) == [("notebooks", SHA)]
        assert await found(store, OTHER[:7]) == [("notebooks", OTHER)]
        assert await found(store, SHA[:7], []) == []

    async def test_no_more_are_found_than_a_person_reads(self, store: Store) -> None:
        repository = await known_repository(store)
        await add(store, *(Build(repository_id=repository.id, sha=f"{number:040x}") for number in range(30)))
        assert len(await found(store, "0" * 7)) == MOST_FOUND


class TestReading:
    async def test_deliveries_are_those_of_its_decisions_and_those_that_wait_or_failed(self, store: Store) -> None:
        repository, other = await known_repository(store), await known_repository(store, "other", 78)
        await add(
            store,
            delivery("acted", DeliveryState.ACTED, push(repository, SHA)),
            delivery("superseding", DeliveryState.ACTED, push(repository, OTHER)),
            delivery("ignored", DeliveryState.IGNORED, push(repository, SHA)),
            delivery("failed", DeliveryState.FAILED, push(repository, SHA)),
            delivery("waits", DeliveryState.STORED, {"pull_request": {"head": {"sha": SHA}}, "repository": {"id": 77}}),
            delivery("of another", DeliveryState.STORED, push(other, SHA)),
            delivery("later", DeliveryState.STORED, push(repository, OTHER)),
            delivery("checked", DeliveryState.STORED, {"check_run": {"head_sha": SHA}, "repository": {"id": 77}}),
            decision(repository, SHA, delivery_id=1),
            decision(repository, SHA, delivery_id=2, outcome="cancel"),
            decision(repository, OTHER, delivery_id=2),
            decision(other, SHA),
        )
        read = await rows(store, repository)
        assert [row.guid for row in read.deliveries] == ["acted", "superseding", "failed", "waits", "checked"]
        assert [(row.outcome, row.delivery_id) for row in read.decisions] == [("build", 1), ("cancel", 2)]
        assert read.is_whole

    async def test_a_refused_command_names_no_commit_and_belongs_to_the_head(self, store: Store) -> None:
        repository = await add_repository(store)
        await add(
            store,
            Preview(repository_id=repository.id, kind="branch", ref="main", head_sha=SHA),
            Preview(repository_id=repository.id, kind="branch", ref="other", head_sha=OTHER),
            decision(repository, None, outcome="refuse", reason="before"),
            decision(repository, SHA),
            decision(repository, None, "other", outcome="refuse", reason="elsewhere"),
            decision(repository, None, outcome="refuse", reason="after"),
        )
        assert [row.reason for row in (await rows(store, repository)).decisions] == [None, "after"]

    async def test_builds_with_their_sessions(self, store: Store) -> None:
        repository = await add_repository(store)
        ids = [new_session_id() for _ in range(3)]
        await add(store, *(Build(repository_id=repository.id, sha=sha) for sha in (SHA, OTHER, SHA)))
        for number, session_id in zip((1, 2, 3), ids, strict=True):
            row = Session(id=session_id, token=new_token(), repository_id=repository.id, build_id=number, image="i")
            await add(store, row)
        read = await rows(store, repository)
        assert [row.id for row in read.builds] == [1, 3]
        assert [row.id for row in read.sessions] == [ids[0], ids[2]]

    async def test_reports_are_its_own_and_the_comments_of_pull_requests_at_it(self, store: Store) -> None:
        repository, other = await add_repository(store), await add_repository(store, "other")
        await add(
            store,
            Preview(repository_id=repository.id, kind="pull", ref="7", head_sha=SHA),
            Preview(repository_id=repository.id, kind="pull", ref="8", head_sha=OTHER),
            Preview(repository_id=repository.id, kind="branch", ref="9", head_sha=SHA),
            *(
                Report(repository_id=of.id, kind=kind, subject=subject, wanted={})
                for of, kind, subject in (
                    (repository, "status", SHA),
                    (repository, "check", SHA),
                    (repository, "deployment", SHA),
                    (repository, "status", OTHER),
                    (other, "status", SHA),
                    *((repository, "comment", number) for number in "789"),
                )
            ),
        )
        read = (await rows(store, repository)).reports
        assert [(row.kind, row.subject) for row in read] == [
            ("status", SHA),
            ("check", SHA),
            ("deployment", SHA),
            ("comment", "7"),
        ]

    async def test_of_too_many_the_newest_are_read(self, store: Store) -> None:
        repository = await add_repository(store)
        count = MOST_ROWS + 5
        await add(store, *(Build(repository_id=repository.id, sha=SHA, state=BuildState.FAILED) for _ in range(count)))
        read = await rows(store, repository)
        assert [row.id for row in read.builds] == list(range(count - MOST_ROWS + 1, count + 1))
        assert not read.is_whole


@ONLY_SQLITE
async def test_no_table_is_read_from_end_to_end(store: Store) -> None:
    repository = await known_repository(store)
    asked: list[tuple[str, Any]] = []
    async with store.read() as session:
        engine = session.get_bind()
        event.listen(engine, "before_cursor_execute", lambda *seen: asked.append((seen[2], seen[3])))
        await add(store, Preview(repository_id=repository.id, kind="branch", ref="main", head_sha=SHA))
        await add(store, delivery("a", DeliveryState.STORED, push(repository, SHA)), decision(repository, SHA))
        asked.clear()
        await find_commits(session, SHA[:7])
        await rows_of(session, Commit(repository, SHA))
        plans = []
        for statement, values in [one for one in asked if one[0].startswith("SELECT")]:
            rows_of_plan = await (await session.connection()).exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            plans += [row[-1] for row in rows_of_plan]
    read = {kind.__tablename__ for kind in (Build, Decision, Delivery, Preview, Report, Session)}
    assert {name for name in read if any(name in plan for plan in plans)} == read
    assert [plan for plan in plans if plan.startswith("SCAN") and plan.split()[1] in read] == []
