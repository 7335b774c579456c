"""The loop of builds, with a real store and the real builder."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from binder.errors import WorldFault
from binder.lifecycle import BuildState
from binder.loop import run_loop, wait_for_hint
from binder.names import new_token
from binder.paths import Paths
from binder.process import Account
from binder.store import Store
from binder.store.build_logs import StoredLog, bill_of
from binder.store.queries import advance_build
from binder.store.tables import Build, Repository, utc_now
from build.commits.git import Source
from build.plan import Layer
from build.quotas import ForkQuota
from build.ways import BuiltLayer
from build.worker import BuildWorker
from tests.builds import Builder, new_builder, new_limits
from tests.leftovers import all_mounts, are_gone, are_there, new_marker, processes_with
from tests.repositories import Files, LocalRepository, Script

pytestmark = pytest.mark.slow

MakeRepository = Callable[[Files], LocalRepository]


@dataclass
class LocalSources:
    """Knows the repositories of one test; `faults` are raised first, one at a time."""

    token: str | None = None
    sources: dict[str, Source] = field(default_factory=dict)
    faults: list[Exception] = field(default_factory=list)

    async def source_of(self, repository: Repository) -> Source:
        """Return where a repository is fetched from."""
        if self.faults:
            raise self.faults.pop()
        return replace(self.sources[repository.name], token=self.token)


@dataclass
class Shop:
    """A worker's surroundings: its store, its folders, and where its repositories are."""

    store: Store
    builder: Builder
    sources: LocalSources
    made: list[str] = field(default_factory=list)
    counted: list[tuple[str | None, str | None]] = field(default_factory=list)

    @property
    def paths(self) -> Paths:
        return self.builder.paths

    def worker(self, **options: Any) -> BuildWorker:
        """Return a new worker."""
        chosen: dict[str, Any] = {
            "at_once": 2,
            "forks": ForkQuota(1, 60),
            "log_bytes": 2**20,
            "secrets": frozenset[str](),
            "count": lambda seconds, way, party: self.counted.append((way, party)) if seconds > 0 else None,
        }
        chosen |= {"limits": new_limits(self.paths)} | options
        return BuildWorker(self.store, self.builder.pipeline, self.sources, self.builder.buildah, **chosen)

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[BuildWorker]:
        """Let a worker work while the block runs, as the service does."""
        worker = self.worker(**options)
        loop = asyncio.create_task(run_loop("builds", worker.step, self.store.changed, poll_seconds=0.2))
        try:
            yield worker
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)
            await worker.close()

    async def want(self, repository: LocalRepository, sha: str | None = None) -> int:
        """Queue a build of a repository's head, and return its id."""
        name = f"r{len(self.sources.sources)}"
        self.sources.sources[name] = repository.source
        row = Repository(host="local", owner="ada", name=name, clone_url=repository.source.url)
        async with self.store.write() as session:
            session.add(row)
            await session.flush()
            build = Build(repository_id=row.id, sha=sha or repository.git("rev-parse", "HEAD"))
            session.add(build)
        return build.id

    async def row(self, build_id: int) -> Build:
        """Return a build's row, as it is now."""
        async with self.store.read() as session:
            return await session.get_one(Build, build_id)

    async def change(self, build_id: int, **values: object) -> None:
        """Change a build's row, as another process would."""
        async with self.store.write() as session:
            build = await session.get_one(Build, build_id)
            for name, value in values.items():
                setattr(build, name, value)

    async def supersede(self, build_id: int) -> None:
        """End a build as one that a newer head made pointless."""
        async with self.store.write() as session:
            advance_build(await session.get_one(Build, build_id), BuildState.SUPERSEDED, utc_now())

    async def wait(self, build_id: int, *states: BuildState) -> Build:
        """Wait until a build is in one of the states, and return its row."""
        changed = self.store.changed.subscribe()
        async with asyncio.timeout(60):
            while (build := await self.row(build_id)).state not in states:
                changed.clear()
                await wait_for_hint(changed, 0.2)
        self.store.changed.unsubscribe(changed)
        if build.result and "image" in build.result:
            self.made.append(build.result["image"])
        return build

    async def ended(self, build_id: int) -> Build:
        """Wait until the builder has done its part, and return the row."""
        return await self.wait(build_id, BuildState.CHECKING, BuildState.FAILED)

    async def log(self, build_id: int) -> str:
        """Return a build's log."""
        return (await StoredLog(self.store, build_id).read(0, 2**26)).decode()

    async def bill(self, build_id: int) -> Any:
        """Return what the image of a build is made of, None where that is not known."""
        async with self.store.read() as session:
            bill = await bill_of(session, build_id)
        return bill and json.loads(bill)

    def work(self) -> list[Path]:
        """Return the folders in which this service's builds work."""
        return list(self.paths.work.glob(f"{self.paths.instance}-*"))


@pytest.fixture
async def shop(
    store: Store, paths: Paths, account: Account, builder: Builder, jupyter_image: str
) -> AsyncIterator[Shop]:
    """Give a worker's surroundings; what its builds made is removed."""
    shop = Shop(store, await new_builder(paths, account, builder.host), LocalSources())
    yield shop
    await builder.forget(shop.made)
    assert shop.work() == []


def sleeping(marker: str) -> Files:
    """Return a repository whose build takes very long, and does not mind being asked to end."""
    script = f'#!/bin/bash\ntrap "" TERM INT\nsetsid sleep {marker} &\nsleep {marker}\nsleep {marker}\n'
    return {"postBuild": Script(script)}


async def test_a_build_is_made_and_its_row_tells_of_it(shop: Shop, make_repository: MakeRepository) -> None:
    build_id = await shop.want(make_repository({"a.ipynb": new_token()}))
    async with shop.running():
        build = await shop.ended(build_id)
    assert build.state is BuildState.CHECKING
    assert build.lease_owner is None
    assert build.started_at
    assert build.result
    assert build.result["image"] in await shop.builder.buildah.images()
    assert build.result["image"].endswith(f":content-{build.result['layers'][-1]['key']}")
    assert build.result["digest"].startswith("sha256:")
    assert build.result["way"] == "content"
    assert build.result["why"].startswith("The environment of these packages was there: ")
    assert [layer["kind"] for layer in build.result["layers"]] == ["base", "environment", "content"]
    assert [layer["reused"] for layer in build.result["layers"]] == [True, True, False]
    assert all(set(layer) == {"kind", "key", "reused", "bytes", "seconds"} for layer in build.result["layers"])
    assert build.result["saved"]["bytes"] == build.result["layers"][1]["bytes"]
    assert build.result["saved"]["seconds"] > 0
    assert set(build.result["seconds"]) == {"fetch", "plan", "environment", "content"}
    assert "is ready: 2 of 3 layers were re-used" in await shop.log(build_id)
    assert shop.counted == [("content", None)]


async def test_what_is_reused_is_told_before_the_rest_is_made(shop: Shop, make_repository: MakeRepository) -> None:
    marker = new_marker()
    build_id = await shop.want(make_repository(sleeping(marker)))
    async with shop.running():
        assert await are_there(f"sleep\0{marker}")
        build = await shop.row(build_id)
        await shop.supersede(build_id)
        assert await are_gone(marker, within_seconds=10)
    assert build.state is BuildState.BUILDING
    assert build.result
    assert [(layer["kind"], layer["reused"]) for layer in build.result["layers"]] == [
        ("base", True),
        ("environment", True),
        ("content", False),
    ]


async def test_the_first_plan_stands(shop: Shop, make_repository: MakeRepository) -> None:
    build_id = await shop.want(make_repository({"a.ipynb": "{}"}))
    await shop.change(build_id, state=BuildState.BUILDING, lease_owner=shop.store.owner)
    worker, layer = shop.worker(), Layer("content", "k")
    await worker._note_plan(build_id, [BuiltLayer(layer, reused=False)])
    await worker._note_plan(build_id, [BuiltLayer(layer, reused=True)])
    kept = {"kind": "content", "key": "k", "reused": False, "bytes": None, "seconds": None}
    assert (await shop.row(build_id)).result == {"layers": [kept]}


async def test_what_an_image_holds_is_written_down(shop: Shop, make_repository: MakeRepository) -> None:
    repository = make_repository({"a.ipynb": new_token()})
    build_id = await shop.want(repository)
    async with shop.running():
        build = await shop.ended(build_id)
    assert build.result
    sbom = await shop.bill(build_id)
    assert sbom["bomFormat"] == "CycloneDX"
    assert build.result["packages"] == len(sbom["components"]) > 100
    named = {component["name"] for component in sbom["components"]}
    assert {"jupyterlab", "ipywidgets", "libc6"} <= named
    text = json.dumps(sbom)
    assert build.sha in text
    assert build.result["digest"].removeprefix("sha256:") in text


async def test_the_bill_of_a_dockerfiles_image_is_true_or_there_is_none(
    shop: Shop, make_repository: MakeRepository
) -> None:
    dockerfile = "FROM scratch\nCOPY status /var/lib/dpkg/status\n"
    status = f"Package: git\nStatus: install ok installed\nVersion: 1\nDescription: {new_token()}\n"
    listed = await shop.want(make_repository({"Dockerfile": dockerfile, "status": status}))
    too_large = await shop.want(make_repository({"Dockerfile": dockerfile, "status": bytes(2**24 + 1)}))
    async with shop.running():
        builds = [await shop.ended(build_id) for build_id in (listed, too_large)]
    assert [build.state for build in builds] == [BuildState.CHECKING] * 2, [build.fault for build in builds]
    assert [build.result["packages"] for build in builds if build.result] == [1, 0]
    sbom = await shop.bill(listed)
    assert [component["purl"] for component in sbom["components"]] == ["pkg:deb/debian/git@1"]
    assert await shop.bill(too_large) is None
    assert "The list of the image's packages could not be made. " in await shop.log(too_large)


async def test_builds_that_fail_say_why_and_the_next_one_is_made(shop: Shop, make_repository: MakeRepository) -> None:
    good = make_repository({"a.ipynb": new_token()})
    bad = make_repository({"requirements.txt": "six\nno-such-package-of-anybody\n"})
    blob = good.blob(b"x").encode()
    many = good.commit_tree(b"".join(b"100644 blob %b\t%06d\0" % (blob, number) for number in range(100_001)))
    ids = [await shop.want(bad), await shop.want(good, many), await shop.want(good, "f" * 40), await shop.want(good)]
    async with shop.running():
        builds = [await shop.ended(build_id) for build_id in ids]
    assert [build.state for build in builds] == [BuildState.FAILED] * 3 + [BuildState.CHECKING]
    faults = [build.fault for build in builds]
    assert faults[0] == {
        "party": "repository",
        "message": "no-such-package-of-anybody was not found in the package registry.",
        "file": "requirements.txt",
        "line": 2,
        "step": "environment",
    }
    assert faults[1]
    assert faults[1]["message"].startswith("The repository has more than 100,000 files, which is too many ")
    assert faults[2]
    assert faults[2]["message"] == "The commit is no longer in the repository."
    for build_id in ids[:3]:
        assert "==> Failed: " in await shop.log(build_id)
    assert sorted(shop.counted, key=str) == [("content", None), *[(None, "repository")] * 3]


async def test_a_superseded_build_is_stopped_at_once_and_leaves_nothing(
    shop: Shop, make_repository: MakeRepository
) -> None:
    marker = new_marker()
    build_id = await shop.want(make_repository(sleeping(marker)))
    waiting = await shop.want(make_repository({"a.ipynb": new_token()}))
    async with shop.running(at_once=1) as worker:
        assert await are_there(f"sleep\0{marker}")
        await shop.supersede(build_id)
        for _ in range(20):  # many loops and rows give hints at any time
            await worker.step()
        assert await are_gone(marker, within_seconds=2)
        assert not any(f"{shop.paths.instance}-" in mounts for mounts in all_mounts())
        build = await shop.ended(waiting)
    assert build.state is BuildState.CHECKING
    assert (await shop.row(build_id)).state is BuildState.SUPERSEDED
    assert "==> The build was stopped" in await shop.log(build_id)
    assert shop.counted == [(None, None), ("content", None)]


async def test_a_fork_has_an_image_of_its_own_and_gets_no_token(shop: Shop, make_repository: MakeRepository) -> None:
    repository = make_repository({"a.ipynb": new_token()})
    first = await shop.want(repository)
    row = await shop.row(first)
    async with shop.store.write() as session:
        fork = Build(repository_id=row.repository_id, sha=row.sha, untrusted=True)
        session.add(fork)
    async with shop.running():
        builds = [await shop.ended(build_id) for build_id in (first, fork.id)]
    assert [build.state for build in builds] == [BuildState.CHECKING] * 2, [build.fault for build in builds]
    one, other = (build.result or {} for build in builds)
    assert one["image"] != other["image"]
    assert [layer["key"] for layer in one["layers"][:-1]] == [layer["key"] for layer in other["layers"][:-1]]
    assert other["way"] == "content"


async def test_a_fork_that_takes_too_long_is_stopped(shop: Shop, make_repository: MakeRepository) -> None:
    marker = new_marker()
    build_id = await shop.want(make_repository(sleeping(marker)))
    await shop.change(build_id, untrusted=True)
    async with shop.running(forks=ForkQuota(1, 0.2)):
        build = await shop.ended(build_id)
    assert build.fault
    assert build.fault["message"] == "The build did not end within 0.2 seconds, which is what a fork's may take."
    assert await are_gone(marker, within_seconds=2)


async def test_forks_are_refused_where_none_is_built(shop: Shop, make_repository: MakeRepository) -> None:
    build_id = await shop.want(make_repository({"a.ipynb": new_token()}))
    await shop.change(build_id, untrusted=True)
    async with shop.running(forks=ForkQuota(0, 60)):
        build = await shop.ended(build_id)
    assert build.fault
    assert (build.fault["party"], build.fault["message"]) == ("operator", "This service builds no commits of forks.")


async def test_who_is_stopped_while_it_cleans_up_cleans_up(shop: Shop) -> None:
    worker, executor = shop.worker(), ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(executor)
    inside, going = asyncio.Event(), asyncio.Event()

    async def build() -> None:
        async with worker._folder(1) as folder:
            (folder / "file").touch()
            inside.set()
            await going.wait()

    task = asyncio.create_task(build())
    await inside.wait()
    assert shop.work()
    busy = threading.Event()
    executor.submit(busy.wait, 60)
    going.set()
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.sleep(0.1)
    busy.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert shop.work() == []


async def test_a_build_that_was_superseded_before_it_began_is_not_made(
    shop: Shop, make_repository: MakeRepository
) -> None:
    build_id = await shop.want(make_repository({"a.ipynb": new_token()}))
    await shop.supersede(build_id)
    async with shop.running():
        await asyncio.sleep(0.5)
    assert (await shop.row(build_id)).result is None
    assert await shop.log(build_id) == ""


@pytest.mark.parametrize("state", [BuildState.FETCHING, BuildState.BUILDING, BuildState.PUSHING])
async def test_a_build_whose_worker_died_is_taken_up(
    shop: Shop, make_repository: MakeRepository, state: BuildState
) -> None:
    build_id = await shop.want(make_repository({"a.ipynb": new_token()}))
    long_ago = utc_now() - timedelta(minutes=5)
    owner = {"lease_owner": "elsewhere:1:a", "lease_until": utc_now() - timedelta(seconds=1)}
    await shop.change(build_id, state=state, started_at=long_ago, **owner)
    async with shop.running():
        build = await shop.ended(build_id)
    assert build.state is BuildState.CHECKING, build.fault
    assert build.started_at
    assert build.started_at > long_ago


async def test_a_build_that_somebody_else_is_at_is_left_alone(shop: Shop, make_repository: MakeRepository) -> None:
    build_id = await shop.want(make_repository({"a.ipynb": new_token()}))
    owner = {"lease_owner": "elsewhere:1:a", "lease_until": utc_now() + timedelta(minutes=1)}
    await shop.change(build_id, state=BuildState.BUILDING, **owner)
    async with shop.running():
        await asyncio.sleep(0.5)
    build = await shop.row(build_id)
    assert (build.state, build.lease_owner) == (BuildState.BUILDING, "elsewhere:1:a")


async def test_a_build_that_somebody_else_took_over_is_theirs(shop: Shop, make_repository: MakeRepository) -> None:
    marker = new_marker()
    script = Script(f"#!/bin/sh\nsleep {marker} & sleep 1\n")
    build_id = await shop.want(make_repository({"postBuild": script, "a.ipynb": new_token()}))
    async with shop.running():
        assert await are_there(f"sleep\0{marker}")
        taken = {"lease_owner": "elsewhere:1:a", "lease_until": utc_now() + timedelta(minutes=1)}
        await shop.change(build_id, state=BuildState.FETCHING, **taken)
        assert await are_gone(marker, within_seconds=20)
        await asyncio.sleep(1)
        assert shop.work() == []
    build = await shop.row(build_id)
    assert (build.state, build.lease_owner, build.fault) == (BuildState.FETCHING, "elsewhere:1:a", None)


async def test_a_worker_that_is_closed_stops_its_builds_and_leaves_their_rows(
    shop: Shop, make_repository: MakeRepository
) -> None:
    marker = new_marker()
    build_id = await shop.want(make_repository(sleeping(marker)))
    async with shop.running():
        assert await are_there(f"sleep\0{marker}")
    assert not processes_with(marker)
    assert shop.work() == []
    assert (await shop.row(build_id)).state is BuildState.BUILDING


async def test_what_the_world_is_at_fault_for_is_tried_again(shop: Shop, make_repository: MakeRepository) -> None:
    build_id = await shop.want(make_repository({"a.ipynb": new_token()}))
    shop.sources.faults = [WorldFault("The index at mirror.example.org did not answer.")]
    async with shop.running(secrets=frozenset({"mirror.example.org"})):
        build = await shop.ended(build_id)
    assert build.state is BuildState.CHECKING
    assert "==> The index at *** did not answer. Trying again in 1 s" in await shop.log(build_id)


@pytest.mark.parametrize("reached", [BuildState.FETCHING, BuildState.BUILDING, BuildState.PUSHING])
async def test_another_attempt_passes_through_what_the_build_has_behind_it(
    shop: Shop, make_repository: MakeRepository, reached: BuildState
) -> None:
    build_id = await shop.want(make_repository({"a.ipynb": "{}"}))
    await shop.change(build_id, state=reached, lease_owner=shop.store.owner)
    worker = shop.worker()
    for state in (BuildState.FETCHING, BuildState.BUILDING, BuildState.PUSHING):
        await worker._enter(build_id, state)
    assert (await shop.row(build_id)).state is BuildState.PUSHING


async def test_a_fault_of_ours_does_not_leave_a_commit_pending(shop: Shop, make_repository: MakeRepository) -> None:
    build_id = await shop.want(make_repository({"a.ipynb": new_token()}))
    shop.sources.faults = [ZeroDivisionError("hunter2")]
    async with shop.running():
        build = await shop.ended(build_id)
    assert build.fault
    assert build.fault["party"] == "operator"
    assert "Something went wrong in this service" in build.fault["message"]
    assert "hunter2" not in await shop.log(build_id)
    assert shop.counted == [(None, "operator")]


async def test_secrets_are_masked_and_the_log_has_an_end(shop: Shop, make_repository: MakeRepository) -> None:
    secret = "password-of-the-index"
    shop.sources.token = "token-of-the-repository"
    script = f"#!/bin/sh\necho {secret} {shop.sources.token}\nseq 1 50000\necho {secret}; exit 3\n"
    build_id = await shop.want(make_repository({"postBuild": Script(script)}))
    async with shop.running(secrets=frozenset({secret}), log_bytes=2**16):
        build = await shop.ended(build_id)
    assert build.fault
    assert build.fault["step"] == "postBuild"
    text = await shop.log(build_id)
    assert "\n*** ***\n" in text
    assert secret not in text
    assert "token-of" not in text
    assert len(text) < 2**16 + 200
    assert text.splitlines()[-1] == "==> The log is full: what came after this is not kept."


async def test_no_more_builds_run_at_once_than_may(shop: Shop, make_repository: MakeRepository) -> None:
    marker = new_marker()
    ids = [await shop.want(make_repository(sleeping(f"{marker}{number}"))) for number in range(3)]
    async with shop.running(at_once=2):
        assert await are_there(f"sleep\0{marker}0")
        assert await are_there(f"sleep\0{marker}1")
        await asyncio.sleep(0.5)
        assert [(await shop.row(build_id)).state for build_id in ids] == [BuildState.BUILDING] * 2 + [BuildState.QUEUED]
    assert await are_gone(marker)


async def test_a_stopped_build_leaves_no_container(shop: Shop, make_repository: MakeRepository) -> None:
    marker = new_marker()
    build_id = await shop.want(make_repository(sleeping(marker)))
    before = await _containers(shop)
    async with shop.running():
        assert await are_there(f"sleep\0{marker}")
        mine = await _containers(shop) - before
        assert mine
        await shop.supersede(build_id)
    for _ in range(100):  # somebody else may have begun to build on this storage meanwhile
        if not mine & await _containers(shop):
            return
        await asyncio.sleep(0.2)
    pytest.fail("a container is left")


async def _containers(shop: Shop) -> set[str]:
    found: set[str] = set()

    async def take(line: str) -> None:
        found.add(line)

    await shop.builder.buildah.run_script("buildah containers --quiet", step="look", take=take)
    return found
