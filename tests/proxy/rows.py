"""Rows for tests: a repository, builds and sessions in whatever state a test needs."""

from datetime import timedelta
from typing import Any

from binder.lifecycle import BuildState, SessionState
from binder.names import new_session_id, new_token
from binder.store import Store
from binder.store.build_logs import StoredLog
from binder.store.tables import Build, BuildBill, Preview, Repository, Session, utc_now

SHA = "0123456789abcdef0123456789abcdef01234567"
IMAGE = "binder/ada-notebooks:0123"


async def add_repository(
    store: Store, *, owner: str = "ada", name: str = "notebooks", host: str = "github.com", **values: Any
) -> Repository:
    """Store a repository."""
    row = Repository(host=host, owner=owner, name=name, clone_url=f"https://{host}/{owner}/{name}.git", **values)
    async with store.write() as session:
        session.add(row)
    return row


async def add_preview(store: Store, repository: Repository, ref: str, sha: str = SHA, **values: Any) -> Preview:
    """Store a branch that is kept live."""
    row = Preview(**{"repository_id": repository.id, "kind": "branch", "ref": ref, "head_sha": sha, **values})
    async with store.write() as session:
        session.add(row)
    return row


async def add_build(
    store: Store, repository: Repository, state: BuildState = BuildState.SUCCEEDED, *, sha: str = SHA, **values: Any
) -> Build:
    """Store a build; one that succeeded has made `IMAGE`."""
    if state is BuildState.SUCCEEDED:
        values.setdefault("result", {"image": IMAGE})
    row = Build(repository_id=repository.id, sha=sha, state=state, **values)
    async with store.write() as session:
        session.add(row)
    return row


async def add_log(store: Store, build: Build, text: str) -> None:
    """Have a build's log go on with `text`."""
    await StoredLog(store, build.id).append(text.encode())


async def add_bill(store: Store, build: Build, data: bytes) -> None:
    """Store what the image of a build is made of."""
    async with store.write() as session:
        session.add(BuildBill(build_id=build.id, data=data))


async def add_session(store: Store, build: Build, state: SessionState = SessionState.STANDBY, **values: Any) -> Session:
    """Store a session of `IMAGE`."""
    if state in {SessionState.STANDBY, SessionState.OPEN}:
        values.setdefault("ready_at", utc_now() - timedelta(minutes=5))
    values.setdefault("target", "127.0.0.1:1")
    values.setdefault("id", new_session_id())
    values.setdefault("token", new_token())
    row = Session(repository_id=build.repository_id, build_id=build.id, image=IMAGE, state=state, **values)
    async with store.write() as session:
        session.add(row)
    return row


async def session_of(store: Store, session_id: str) -> Session:
    """Return a session as it is now."""
    async with store.read() as session:
        return await session.get_one(Session, session_id)


def columns_of(*sessions: Session) -> list[tuple[str, str, str | None]]:
    """Return what the table of routes is made of: id, token and target of each session."""
    return [(session.id, session.token, session.target) for session in sessions]
