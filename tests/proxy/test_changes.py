"""Downloading what was changed in a session: behind the real HAProxy, for whoever holds its token and nobody else."""

import asyncio
import io
import os
import zipfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from binder.lifecycle import SessionState
from binder.names import new_token
from binder.paths import Paths
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import Session
from proxy.changes import Changes
from proxy.faults import TooManyError
from tests.proxy.front import Proxy, service_in
from tests.proxy.rows import add_build, add_repository, add_session
from tests.proxy.upstreams import notebook_files

pytestmark = pytest.mark.slow


@dataclass
class Open:
    """A session that is open, its folder, and the way to it; the other is another visitor's."""

    front: Proxy
    session: Session
    other: Session
    home: Path
    host: str | None

    async def ask(self, session: Session | None = None, query: str = "", **headers: str) -> httpx.Response:
        """Ask for what changed, with these headers."""
        address = f"/s/{(session or self.session).id}/binder/changes.zip{query}"
        sent = {"Host": self.host, **headers} if self.host else headers
        return await self.front.client.get(address, headers=sent)


@pytest.fixture(params=["", "sessions.localhost"], ids=["below the service", "an origin of its own"])
async def opened(
    request: pytest.FixtureRequest, settings: Settings, paths: Paths, store: Store, tmp_path: Path
) -> AsyncIterator[Open]:
    """The whole path, with a file that is older than the session."""
    old = tmp_path / "README.md"
    old.write_text("As it came.")
    os.utime(old, (0, 0))
    build = await add_build(store, await add_repository(store))
    token = new_token()
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(notebook_files(tmp_path, token))
        session = await add_session(store, build, SessionState.OPEN, target=target, token=token)
        other = await add_session(store, build, SessionState.OPEN, target=target)
        own = settings.model_copy(update={"sessions_host": request.param})
        front = await stack.enter_async_context(service_in(own, paths, store))
        yield Open(front, session, other, tmp_path, request.param and f"{session.id}.{request.param}")


def names_in(response: httpx.Response) -> list[str]:
    """Return what a zip holds."""
    assert (response.status_code, response.headers["content-type"]) == (200, "application/zip"), response.text
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        return archive.namelist()


async def test_whoever_holds_the_token_gets_what_was_saved(opened: Open) -> None:
    (opened.home / "mine.ipynb").write_text("{}")
    token = opened.session.token
    for answer in (
        await opened.ask(Cookie=f"binder-session={token}"),
        await opened.ask(Authorization=f"token {token}"),
        await opened.ask(query=f"?token={token}"),
    ):
        assert names_in(answer) == ["changes/mine.ipynb"]
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["cache-control"] == "no-store"


async def test_nobody_else_does(opened: Open) -> None:
    (opened.home / "mine.ipynb").write_text("{}")
    mine, theirs = opened.session.token, opened.other.token
    for answer in (
        await opened.ask(),
        await opened.ask(Cookie=f"binder-session={theirs}"),
        await opened.ask(Cookie=f"binder-session={mine}", Origin="https://evil.example"),
        await opened.ask(Authorization=f"token {theirs}"),
        await opened.ask(Authorization=f"Bearer {mine}", Cookie=f"binder-session={theirs}"),
        await opened.ask(opened.other, Cookie=f"binder-session={mine}"),
        await opened.ask(opened.other, Authorization=f"token {mine}"),
    ):
        assert answer.status_code != 200, answer.request.headers
        assert b"PK" not in answer.content


async def test_without_changes_it_says_so(opened: Open) -> None:
    answer = await opened.ask(Cookie=f"binder-session={opened.session.token}")
    assert answer.status_code == 404
    assert "Nothing was saved since this session started." in answer.text


async def test_a_session_that_does_not_answer(opened: Open, store: Store) -> None:
    async with store.write() as transaction:
        (await transaction.get_one(Session, opened.session.id)).target = "127.0.0.1:1"
    answer = await opened.ask(Cookie=f"binder-session={opened.session.token}")
    assert answer.status_code == 503
    assert "The notebook server does not answer." in answer.text


async def test_one_at_a_time_and_a_broken_one_leaves_nothing(opened: Open) -> None:
    (opened.home / "mine.bin").write_bytes(os.urandom(50 * 2**20))
    changes, session = Changes(), opened.session
    assert session.target
    answer = await changes.answer(session, session.target)
    with pytest.raises(TooManyError):
        await changes.answer(session, session.target)

    begun = asyncio.Event()

    async def never_ready(_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def nothing_more() -> dict[str, str]:
        await begun.wait()
        return {"type": "http.disconnect"}

    async with asyncio.timeout(10):
        await answer({"type": "http", "asgi": {"spec_version": "2.0"}}, nothing_more, never_ready)
    for _ in range(2):
        again = await changes.answer(session, session.target)
        with pytest.raises(RuntimeError, match="sent nowhere"):
            await again({"type": "http", "asgi": {"spec_version": "2.4"}}, nothing_more, _nowhere)


async def _nowhere(_: object) -> None:
    raise RuntimeError("sent nowhere")
