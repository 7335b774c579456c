"""The loop of notebooks that have to run: with a real store, an engine of words, and a server that plays Jupyter."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from binder.errors import BinderError, RepositoryFault, WorldFault
from binder.lifecycle import BuildState
from binder.notebook_checks import CheckSettings
from binder.settings import Settings, read_settings
from binder.store import Store
from binder.store.build_logs import StoredLog
from binder.store.notebook_runs import claim_run, executed_of, note_session, runs_of_build, sessions_of_runs, want_runs
from binder.store.queries import advance_build
from binder.store.tables import Build, NotebookRun, utc_now
from deploy.engine import SessionSpec
from deploy.fake import FakeEngine, FakeImage
from deploy.notebooks.checker import Checker
from tests.proxy.rows import IMAGE, SHA, add_build, add_preview, add_repository
from tests.proxy.upstreams import running

KERNEL = "0b8e6e0e-0000-4000-8000-000000000000"


def notebook(*sources: str) -> bytes:
    """A notebook of code cells, the outputs of which are committed as what follows `#=> ` in them."""
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "metadata": {},
            "execution_count": None,
            "outputs": [{"output_type": "stream", "name": "stdout", "text": source.partition("#=> ")[2]}],
            "source": source.splitlines(keepends=True),
        }
        for source in sources
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1).encode()


@dataclass
class Jupyter:
    """A notebook server whose kernels print what stands behind `print `, fail at `fail`, and never end at `wait`."""

    ran: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/s/{id}/api/status", self._status),
                Route("/s/{id}/api/kernelspecs", self._specs),
                Route("/s/{id}/api/kernels", self._start, methods=["POST"]),
                Route("/s/{id}/api/kernels/{kernel}", self._end, methods=["DELETE"]),
                WebSocketRoute("/s/{id}/api/kernels/{kernel}/channels", self._channels),
            ]
        )

    async def _status(self, _: Request) -> Response:
        return JSONResponse({})

    async def _specs(self, _: Request) -> Response:
        return JSONResponse({"default": "python3", "kernelspecs": {"python3": {}}})

    async def _start(self, request: Request) -> Response:
        asked = await request.json()
        assert asked["name"] == "python3"
        self.folders.append(asked["path"])
        return JSONResponse({"id": KERNEL}, 201)

    async def _end(self, _: Request) -> Response:
        return Response(status_code=204)

    async def _channels(self, socket: WebSocket) -> None:
        await socket.accept()
        count = 0
        async for request in socket.iter_json():
            count += 1
            code = request["content"]["code"]
            assert request["content"]["allow_stdin"] is False
            self.ran.append(code)

            async def say(
                kind: str, channel: str = "iopub", header: object = request["header"], **content: object
            ) -> None:
                await socket.send_json(
                    {"channel": channel, "msg_type": kind, "parent_header": header, "content": content}
                )

            await say("execute_input", execution_count=count)
            if "wait" in code:
                self.waiting.set()
                await asyncio.sleep(3600)
            if "die" in code:
                await say("status", header={}, execution_state="restarting")
                continue
            if "hang up" in code:
                await socket.close()
                return
            status = "error" if "fail" in code else "ok"
            if status == "error":
                traceback = [f"\x1b[31mCell In[{count}], line 2\x1b[0m", "ValueError: \x1b[1mno"]
                await say("error", ename="ValueError", evalue="no\x1b[0m", traceback=traceback)
            else:
                text = code.partition("print ")[2].partition(" #=>")[0]
                await say("stream", name="stdout", text=text)
            await say("execute_reply", "shell", status=status, execution_count=count)
            await say("status", execution_state="idle")


@dataclass
class Files:
    """What is committed."""

    files: dict[str, bytes | BinderError] = field(default_factory=dict)

    async def read(self, build: Build, path: str) -> bytes:
        found = self.files[path]
        if isinstance(found, BinderError):
            raise found
        return found


class Engine(FakeEngine):
    """Sessions of words that are all served by one server."""

    target = ""

    async def start(self, spec: SessionSpec) -> str:
        await super().start(spec)
        return self.target


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.notebooks.checker._LOOK_SECONDS", 0.1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(state_dir=tmp_path, check_timeout_seconds=100)


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def jupyter() -> Jupyter:
    return Jupyter()


@pytest.fixture
async def engine(jupyter: Jupyter) -> AsyncIterator[Engine]:
    config = uvicorn.Config(jupyter.app(), port=0, log_level="warning", timeout_graceful_shutdown=0)
    async with running(uvicorn.Server(config)) as server:
        engine = Engine({IMAGE: FakeImage()})
        engine.target = "127.0.0.1:{1}".format(*server.servers[0].sockets[0].getsockname())
        yield engine


@pytest.fixture
async def checker(store: Store, engine: Engine, settings: Settings, files: Files) -> AsyncIterator[Checker]:
    checker = Checker(store, engine, settings, files, at_once=2)
    yield checker
    await checker.close()


async def add_checking(store: Store, *paths: str, how: CheckSettings | None = None, **values: Any) -> Build:
    repository = await add_repository(store)
    preview = await add_preview(store, repository, "main")
    result = {"image": IMAGE, "digest": "sha256:1"}
    build = await add_build(
        store, repository, BuildState.CHECKING, preview_id=preview.id, result=result, awaits_check=True, **values
    )
    async with store.write() as session:
        want_runs(session, build, paths, how or CheckSettings())
    return build


async def build_now(store: Store, build: Build) -> Build:
    async with store.read() as session:
        return await session.get_one(Build, build.id)


async def runs_now(store: Store, build: Build) -> list[NotebookRun]:
    async with store.read() as session:
        return list(await runs_of_build(session, build.id))


async def until_quiet(checker: Checker) -> None:
    for _ in range(3000):
        at_work = bool(checker._tasks)
        if not await checker.step() and not at_work:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the loop does not come to an end")


async def test_notebooks_that_run_let_the_build_go_on(
    store: Store, checker: Checker, engine: Engine, files: Files, jupyter: Jupyter
) -> None:
    files.files = {"a.ipynb": notebook("print 1", "print 2"), "b/c.ipynb": notebook("print 3")}
    build = await add_checking(store, *files.files)
    await until_quiet(checker)
    after = await build_now(store, build)
    assert (after.state, after.awaits_check) == (BuildState.CHECKING, False)
    assert [(one["path"], one["outcome"]) for one in (after.result or {})["notebooks"]] == [
        ("a.ipynb", "passed"),
        ("b/c.ipynb", "passed"),
    ]
    assert (after.result or {})["image"] == IMAGE
    # Each in a session of its own, in the notebook's folder, and none of them is left.
    assert jupyter.ran == ["print 1", "print 2", "print 3"]
    assert jupyter.folders == ["a.ipynb", "b/c.ipynb"]
    assert len(set(engine.started)) == 2
    assert sorted(engine.started) == sorted(engine.stopped)
    text = (await StoredLog(store, build.id).read(0, 2**16)).decode()
    assert "==> Running the notebook a.ipynb  [" in text
    assert "==> The notebook b/c.ipynb ran in " in text


async def test_a_cell_that_fails_fails_the_build_at_its_line_and_the_rest_runs(
    store: Store, checker: Checker, files: Files
) -> None:
    files.files = {
        "a.ipynb": notebook("print 1", "print 2\nfail\n"),
        "b.ipynb": notebook("fail"),
        "c.ipynb": notebook("print 3"),
    }
    build = await add_checking(store, *files.files)
    await until_quiet(checker)
    after = await build_now(store, build)
    assert after.state is BuildState.FAILED
    rows = files.files["a.ipynb"].decode().split("\n")  # type: ignore[union-attr]
    line = next(number for number, row in enumerate(rows, 1) if "fail" in row)
    assert after.fault == {
        "party": "repository",
        "message": "Cell 2 failed: ValueError: no (2 notebooks failed)",
        "file": "a.ipynb",
        "line": line,
        "step": "notebook",
    }
    first, second, third = await runs_now(store, build)
    assert (first.outcome, second.outcome, third.outcome) == ("failed", "failed", "passed")
    assert (first.fault or {})["traceback"] == "Cell In[2], line 2\nValueError: no"
    text = (await StoredLog(store, build.id).read(0, 2**16)).decode()
    assert f"==> Failed: a.ipynb line {line}: Cell 2 failed: ValueError: no" in text
    assert "\x1b" not in text


async def test_outputs_are_compared_where_that_is_asked(store: Store, checker: Checker, files: Files) -> None:
    files.files = {
        "near.ipynb": notebook("print 0.1001 #=> 0.1"),
        "far.ipynb": notebook("print 1 #=> 1", "print 0.2 #=> 0.1"),
    }
    build = await add_checking(store, *files.files, how=CheckSettings(60, "compare", 0.01))
    await until_quiet(checker)
    near, far = await runs_now(store, build)
    assert (near.outcome, far.outcome) == ("passed", "failed")
    message = "Cell 2: The output is not the committed one: `0.1` became `0.2`."
    assert (far.fault or {})["message"] == message


async def test_a_cell_that_never_ends_is_ended(store: Store, checker: Checker, files: Files, engine: Engine) -> None:
    files.files = {"a.ipynb": notebook("print 1", "wait")}
    build = await add_checking(store, "a.ipynb", how=CheckSettings(timeout_seconds=2))
    await until_quiet(checker)
    (run,) = await runs_now(store, build)
    assert (run.fault or {})["message"] == "The notebook did not end within 2 s. Cell 2 ran."
    assert engine.started == engine.stopped


async def test_a_kernel_that_dies_is_told_at_its_cell(store: Store, checker: Checker, files: Files) -> None:
    files.files = {"a.ipynb": notebook("die")}
    build = await add_checking(store, "a.ipynb")
    await until_quiet(checker)
    (run,) = await runs_now(store, build)
    assert (run.fault or {})["message"] == "The kernel died. Cell 1 ran."


async def test_what_ran_before_in_the_image_is_not_run_again(
    store: Store, checker: Checker, files: Files, jupyter: Jupyter
) -> None:
    files.files = {"a.ipynb": notebook("print 1"), "bad.ipynb": notebook("fail")}
    first = await add_checking(store, *files.files)
    await until_quiet(checker)
    assert jupyter.ran == ["print 1", "fail"]

    async def again(**values: Any) -> Build:
        async with store.write() as session:
            row = Build(
                **{
                    "repository_id": first.repository_id,
                    "sha": SHA,
                    "state": BuildState.CHECKING,
                    "awaits_check": True,
                    "result": {"image": IMAGE, "digest": "sha256:1"},
                    **values,
                }
            )
            session.add(row)
            await session.flush()
            want_runs(session, row, files.files, CheckSettings())
        await until_quiet(checker)
        return row

    second = await again()
    good, bad = await runs_now(store, second)
    # What failed is run again: that is what somebody who asks again wants.
    assert jupyter.ran == ["print 1", "fail", "fail"]
    assert (good.outcome, good.reused, bad.outcome, bad.reused) == ("passed", True, "failed", False)
    async with store.read() as session:
        executed = await session.scalar(select(NotebookRun.executed).where(NotebookRun.id == good.id))
    assert json.loads(zlib.decompress(executed or b""))["cells"][0]["outputs"][0]["text"] == "1"
    for other in ({"sha": "f" * 40}, {"result": {"image": IMAGE, "digest": "sha256:2"}}, {"untrusted": True}):
        jupyter.ran.clear()
        await again(**other)
        assert jupyter.ran == ["print 1", "fail"], other


@pytest.mark.parametrize("state", [BuildState.SUPERSEDED, BuildState.CANCELLED])
async def test_a_build_that_is_given_up_ends_its_session(
    store: Store, checker: Checker, files: Files, jupyter: Jupyter, engine: Engine, state: BuildState
) -> None:
    files.files = {"a.ipynb": notebook("wait"), "b.ipynb": notebook("print 1")}
    build = await add_checking(store, *files.files)
    await checker.step()
    await asyncio.wait_for(jupyter.waiting.wait(), 30)
    assert await sessions_of_runs(store) == set(engine.started)
    async with store.write() as session:
        advance_build(await session.get_one(Build, build.id), state, utc_now())
    await until_quiet(checker)
    assert engine.started == engine.stopped
    assert [run.outcome for run in await runs_now(store, build)] == ["stopped", "stopped"]
    assert await sessions_of_runs(store) == set()


async def test_a_restart_in_the_middle_takes_it_up_again(
    store: Store, engine: Engine, files: Files, jupyter: Jupyter, settings: Settings
) -> None:
    files.files = {"a.ipynb": notebook("print 1"), "b.ipynb": notebook("wait")}
    build = await add_checking(store, *files.files)
    first = Checker(store, engine, settings, files, at_once=1)
    while not jupyter.waiting.is_set():
        await first.step()
        await asyncio.sleep(0.005)
    await first.close()
    assert engine.started == engine.stopped
    await store.release_leases()
    files.files["b.ipynb"] = notebook("print 2")
    second = Checker(store, engine, settings, files, at_once=1)
    await until_quiet(second)
    assert jupyter.ran == ["print 1", "wait", "print 2"]
    assert [run.outcome for run in await runs_now(store, build)] == ["passed", "passed"]
    assert not (await build_now(store, build)).awaits_check


async def test_a_session_that_is_lost_is_nobodys_fault_here(
    store: Store, checker: Checker, files: Files, jupyter: Jupyter, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.notebooks.checker._PAUSES_SECONDS", (0.0, 0.0))
    files.files = {"a.ipynb": notebook("wait")}
    build = await add_checking(store, "a.ipynb")
    await checker.step()
    await asyncio.wait_for(jupyter.waiting.wait(), 30)
    await engine.stop(engine.started[0])
    files.files["a.ipynb"] = notebook("print 1")
    async with asyncio.timeout(20):
        while not (run := (await runs_now(store, build))[0]).outcome:
            await checker.step()
            await asyncio.sleep(0.02)
    assert (run.outcome, run.attempts) == ("passed", 2)


async def test_a_world_that_stays_away_is_told_so(
    store: Store, checker: Checker, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.notebooks.checker._PAUSES_SECONDS", (0.0, 0.0))
    files.files = {"a.ipynb": WorldFault("GitHub does not answer.")}
    build = await add_checking(store, "a.ipynb")
    await until_quiet(checker)
    after = await build_now(store, build)
    assert after.state is BuildState.FAILED
    assert after.fault
    assert (after.fault["party"], after.fault["message"]) == ("world", "GitHub does not answer.")


async def test_what_the_container_ends_with_is_the_repositorys(
    store: Store, checker: Checker, files: Files, jupyter: Jupyter, engine: Engine
) -> None:
    files.files = {"a.ipynb": notebook("wait")}
    build = await add_checking(store, "a.ipynb")
    await checker.step()
    await asyncio.wait_for(jupyter.waiting.wait(), 30)
    engine.end(engine.started[0], exit_code=137)
    await until_quiet(checker)
    (run,) = await runs_now(store, build)
    assert (run.fault or {}) | {"line": 0} == {
        "party": "repository",
        "message": "The notebook server ended with exit code 137. Cell 1 ran.",
        "line": 0,
        "traceback": "",
    }


async def test_all_notebooks_together_have_a_bound(
    store: Store, engine: Engine, files: Files, settings: Settings, tmp_path: Path
) -> None:
    files.files = {"a.ipynb": notebook("wait"), "b.ipynb": notebook("print 1")}
    short = read_settings(state_dir=tmp_path, check_timeout_seconds=2)
    checker = Checker(store, engine, short, files, at_once=1)
    build = await add_checking(store, *files.files)
    await until_quiet(checker)
    first, second = await runs_now(store, build)
    assert (first.fault or {})["message"] == "The notebook did not end within 2 s. Cell 1 ran."
    assert "have together here" in (second.fault or {})["message"]


async def test_a_notebook_that_is_none_is_the_repositorys_fault(store: Store, checker: Checker, files: Files) -> None:
    files.files = {"a.ipynb": b"{\n]", "b.ipynb": RepositoryFault("There is no b.ipynb in the commit.")}
    build = await add_checking(store, *files.files)
    await until_quiet(checker)
    after = await build_now(store, build)
    assert after.fault
    assert (after.fault["party"], after.fault["file"], after.fault["line"]) == ("repository", "a.ipynb", 2)


async def test_notebooks_may_be_wanted_of_a_build_that_has_succeeded(
    store: Store, checker: Checker, files: Files
) -> None:
    files.files = {"a.ipynb": notebook("fail")}
    build = await add_build(store, await add_repository(store), result={"image": IMAGE, "digest": "sha256:1"})
    async with store.write() as session:
        want_runs(session, build, files.files, CheckSettings())
    await until_quiet(checker)
    (run,) = await runs_now(store, build)
    assert run.outcome == "failed"
    assert (await build_now(store, build)).state is BuildState.SUCCEEDED


async def test_what_ran_long_ago_is_not_kept_as_it_ran(
    store: Store, checker: Checker, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("binder.store.notebook_runs._MOST_KEPT", 2)
    files.files = {f"{name}.ipynb": notebook("print 1") for name in "abc"}
    build = await add_checking(store, *files.files)
    await until_quiet(checker)
    async with store.read() as session:
        kept = [await executed_of(session, run.id) is not None for run in await runs_of_build(session, build.id)]
    assert kept == [False, True, True]


async def test_one_notebook_of_a_build_runs_at_a_time_and_forks_wait(store: Store) -> None:
    fork = await add_checking(store, "a.ipynb", untrusted=True)
    async with store.write() as session:
        own = Build(repository_id=fork.repository_id, sha="f" * 40, state=BuildState.CHECKING, awaits_check=True)
        session.add(own)
        await session.flush()
        want_runs(session, own, ["b.ipynb", "c.ipynb"], CheckSettings())
    taken = [await claim_run(store, lease_seconds=30) for _ in range(3)]
    assert [run and run.path for run in taken] == ["b.ipynb", "a.ipynb", None]
    assert taken[0]
    assert await note_session(store, taken[0].id, "s1")
    await store.release_leases()
    assert not await note_session(store, taken[0].id, "s2")
