"""What `scale` runs in namespaces of its own: a simulated cluster, a store, a controller and visitors; and what it saw.

`python -m tests.bench.simulation FOLDER PROGRAMS SIZE` prints a line of JSON for each part of the size, `Seen`.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import quantiles

from sqlalchemy import func, select, text, update

from binder.lifecycle import SessionState
from binder.names import new_session_id, new_token
from binder.store import Store, open_store
from binder.store.tables import Repository, Session, utc_now
from proxy.claims import Launcher, Quota, launch
from proxy.commits import Commit
from tests.bench.filling import BUILDS, PREVIEWS, fill, image_of, insert_rows, repository_of, sha_of
from tests.bench.resting import resident_mb
from tests.cluster.simulated import Simulation, running_simulation, until
from tests.postgresql import running_postgresql

PARTS = (1 / 4, 1 / 2, 1)
_SETTLE_SECONDS = 5.0
_REST_SECONDS = 15.0
_LOOK_SECONDS = 0.25
_PATIENCE_SECONDS = 1800.0
_TICKS = os.sysconf("SC_CLK_TCK")
# Builds whose commits no preview shows any more: the first ones are those of sessions that stand, then come launches.
_OLD_BUILDS = BUILDS - PREVIEWS


@dataclass(frozen=True)
class Size:
    """So many nodes, with so many open sessions; and on top of them so many launches for each second, so long."""

    nodes: int
    sessions: int
    per_second: int
    seconds: float

    def part(self, share: float) -> "Size":
        """Return a smaller one; launches come as fast as in the whole."""
        return Size(round(self.nodes * share), round(self.sessions * share), self.per_second, self.seconds * share)

    @property
    def launches(self) -> int:
        """How many there are."""
        return round(self.per_second * self.seconds)


@dataclass(frozen=True)
class Seen:
    """What one part showed. `*_seconds` by twos are the median and the 99th percentile."""

    nodes: int
    sessions: int
    launches: int
    failed: int
    per_second: float
    """How fast sessions were open in the end: the machine's own limit, where it is below what was asked for."""
    cpu_seconds: float
    """Of the controller, for each launch."""
    calls: float
    """Requests to the API server, for each launch."""
    calls_by_kind: Mapping[str, float]
    asked_seconds: tuple[float, float]
    """From the click's row until the cluster is asked for the session."""
    ready_seconds: tuple[float, float]
    """From the click's row until the session may be opened."""
    start_look_seconds: tuple[float, float]
    whole_look_seconds: tuple[float, float]
    crowd_per_second: float
    """How fast sessions came up that were all wanted at once: those that stand, before the launches."""
    crowd_cpu_seconds: float
    """Of the controller, for each of them."""
    end_cpu_seconds: float
    end_calls: float
    rest_cpu_share: float
    """What the controller takes of one processor while nothing happens."""
    rest_calls_per_second: float
    memory_mb: float
    others_cpu_seconds: Mapping[str, float]
    """What a launch takes of the machine besides: those who simulate, the store, the visitors."""
    load: float
    """The machine's load average of the last minute."""


class Controller:
    """The controller's process, and what it left behind."""

    def __init__(self, process: "subprocess.Popen[bytes]", notes: Path) -> None:
        self.pid = process.pid
        self._process = process
        self._notes = notes

    def check(self) -> None:
        """See that it still runs."""
        if (code := self._process.poll()) is not None:
            raise RuntimeError(f"the controller ended with exit code {code}")

    def notes(self, name: str, since: float) -> list[tuple[float, str]]:
        """Return what it noted by that name: when, and what."""
        lines = (line.split() for line in self._notes.read_text(encoding="ascii").splitlines())
        found = [(float(line[1]), line[2]) for line in lines if len(line) == 3 and line[0] == name]
        return [one for one in found if one[0] >= since]


@contextmanager
def _running_controller(url: str, kubeconfig: Path, places: int, folder: Path) -> Iterator[Controller]:
    notes = folder / "notes"
    argv = [sys.executable, "-m", "tests.bench.controlling", url, str(places), str(notes)]
    with (folder / "controller.log").open("wb") as log:
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=log, stderr=log, env={**os.environ, "KUBECONFIG": str(kubeconfig)}
        )
    try:
        until(notes.exists, "controller")
        yield Controller(process, notes)
    finally:
        process.communicate()  # which ends its standard input, and so it


class Trial:
    """A cluster, a store and a controller, while sessions are launched and ended."""

    def __init__(self, simulation: Simulation, store: Store, controller: Controller, quota: Quota) -> None:
        self._simulation = simulation
        self._store = store
        self._controller = controller
        self._quota = quota
        self._repositories: dict[int, Repository] = {}
        self._standing = 0
        self._audited = 0

    async def run(self, size: Size) -> Seen:
        """Grow to a size, launch sessions on top of it, and end those again."""
        self._say(f"{size.nodes} nodes, {size.sessions} sessions")
        await asyncio.to_thread(self._simulation.grow_to, size.nodes)
        cpu, began, new = self._cpu(), time.monotonic(), size.sessions - self._standing
        await self._stand(size.sessions)
        crowd_rate, crowd_cpu = new / (time.monotonic() - began), (self._cpu() - cpu) / new
        self._say(f"they stand, {crowd_rate:.1f} came up each second")
        await asyncio.sleep(_SETTLE_SECONDS)
        self._asked_since_then()
        cpu, since = self._cpu(), time.time()
        await asyncio.sleep(_REST_SECONDS)
        rest_cpu = (self._cpu() - cpu) / _REST_SECONDS
        rest_calls = self._asked_since_then().total() / _REST_SECONDS
        self._say(f"{size.launches} launches")
        cpu, others, since, first = self._cpu(), self._others(), time.time(), utc_now()
        await self._launch(size)
        seconds = time.time() - since
        others = {name: (used - others[name]) / size.launches for name, used in self._others().items()}
        cpu_seconds = (self._cpu() - cpu) / size.launches
        memory, load = resident_mb(self._controller.pid), os.getloadavg()[0]
        calls = self._asked_since_then()
        asked, ready = await self._waits(first)
        start_looks, whole_looks = (
            [float(took) for _, took in self._controller.notes(name, since)] for name in ("starts", "sessions")
        )
        self._say("the end of them")
        cpu = self._cpu()
        await self._end(size)
        ended = self._asked_since_then()
        return Seen(
            nodes=size.nodes,
            sessions=size.sessions,
            launches=size.launches,
            failed=size.launches - len(ready),
            per_second=len(ready) / seconds,
            cpu_seconds=cpu_seconds,
            calls=calls.total() / size.launches,
            calls_by_kind={kind: number / size.launches for kind, number in calls.most_common()},
            asked_seconds=_half_and_most(asked),
            ready_seconds=_half_and_most(ready),
            start_look_seconds=_half_and_most(start_looks),
            whole_look_seconds=_half_and_most(whole_looks),
            crowd_per_second=crowd_rate,
            crowd_cpu_seconds=crowd_cpu,
            end_cpu_seconds=(self._cpu() - cpu) / size.launches,
            end_calls=ended.total() / size.launches,
            rest_cpu_share=rest_cpu,
            rest_calls_per_second=rest_calls,
            memory_mb=memory,
            others_cpu_seconds=others,
            load=load,
        )

    async def _stand(self, sessions: int) -> None:
        """Have so many sessions open."""
        now = utc_now()
        await insert_rows(self._store, Session, (_wanted(build, now) for build in range(self._standing, sessions)))
        self._standing = sessions
        deadline = time.monotonic() + _PATIENCE_SECONDS
        of_us = Session.build_id <= sessions
        coming = (SessionState.WANTED, SessionState.STARTING, SessionState.STANDBY)
        left = sessions
        while left:
            self._controller.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{left} of {sessions} sessions do not stand after {_PATIENCE_SECONDS:g} s")
            await asyncio.sleep(_LOOK_SECONDS)
            now = utc_now()
            opening = {"state": SessionState.OPEN, "opened_at": now, "activity_at": now}
            async with self._store.write() as session:
                ready = (of_us, Session.state == SessionState.STANDBY)
                await session.execute(update(Session).where(*ready).values(**opening))
                left = (await session.scalars(select(func.count()).where(of_us, Session.state.in_(coming)))).one()
        async with self._store.read() as session:
            lost = select(func.count()).where(of_us, Session.state != SessionState.OPEN)
            self._say(f"{(await session.scalars(lost)).one()} of {sessions} were lost")

    async def _launch(self, size: Size) -> None:
        """Click on links, so many each second, and take the sessions as soon as they are there."""
        waiting = {image_of(build): build for build in self._builds(size)}
        clicking = asyncio.create_task(self._click(size))
        deadline = time.monotonic() + size.seconds + _PATIENCE_SECONDS
        while waiting and time.monotonic() < deadline:
            self._controller.check()
            if clicking.done():
                clicking.result()
            await asyncio.sleep(_LOOK_SECONDS)
            async with self._store.read() as session:
                ready = set(await session.scalars(select(Session.image).where(Session.state == SessionState.STANDBY)))
            took = [waiting.pop(image) for image in ready & waiting.keys()]
            await asyncio.gather(*(self._ask(build) for build in took))
        clicking.cancel()
        await asyncio.gather(clicking, return_exceptions=True)

    async def _click(self, size: Size) -> None:
        began = time.monotonic()
        async with asyncio.TaskGroup() as clicks:
            for number, build in enumerate(self._builds(size)):
                await asyncio.sleep(began + number / size.per_second - time.monotonic())
                clicks.create_task(self._ask(build))

    async def _ask(self, build: int) -> None:
        repository = await self._repository(repository_of(build))
        await launch(
            self._store, Commit(repository, sha_of(build)), Launcher(None, lambda: None), self._quota, utc_now()
        )

    async def _repository(self, repository_id: int) -> Repository:
        if repository_id not in self._repositories:
            async with self._store.read() as session:
                self._repositories[repository_id] = await session.get_one(Repository, repository_id)
        return self._repositories[repository_id]

    async def _waits(self, since: datetime) -> tuple[list[float], list[float]]:
        """Return how long launches waited until the cluster was asked, and until they were ready."""
        columns = select(Session.id, Session.created_at, Session.ready_at).where(Session.created_at >= since)
        async with self._store.read() as session:
            rows = (await session.execute(columns)).all()
        asked = {session_id: at for at, session_id in self._controller.notes("asked", since.timestamp())}
        decided = [asked[row.id] - row.created_at.timestamp() for row in rows if row.id in asked]
        return decided, [(row.ready_at - row.created_at).total_seconds() for row in rows if row.ready_at]

    async def _end(self, size: Size) -> None:
        launched = Session.build_id.in_([build + 1 for build in self._builds(size)])
        live = Session.state.not_in((SessionState.ENDED, SessionState.FAILED))
        async with self._store.write() as session:
            ending = {"state": SessionState.ENDED, "ended_at": utc_now()}
            await session.execute(update(Session).where(launched, live).values(**ending))

        def are_gone() -> bool:
            return self._simulation.pods() <= self._standing

        await asyncio.to_thread(until, are_gone, "pods' end", seconds=_PATIENCE_SECONDS)

    def _builds(self, size: Size) -> range:
        return range(_OLD_BUILDS - size.launches, _OLD_BUILDS)

    def _cpu(self) -> float:
        return _cpu_seconds(self._controller.pid)

    def _others(self) -> dict[str, float]:
        daemons = {name: _cpu_seconds(daemon.pid) for name, daemon in self._simulation.daemons.items()}
        return {**daemons, "visitors": time.process_time()}

    def _asked_since_then(self) -> Counter[str]:
        """Return what the controller asked of the API server since this was asked last: kind of request → how often."""
        with self._simulation.audit.open("rb") as audit:
            audit.seek(self._audited)
            lines = audit.read()
        self._audited += len(lines)
        events = (json.loads(line) for line in lines.splitlines())
        return Counter(f"{event['verb']} {event.get('objectRef', {}).get('resource', '-')}" for event in events)

    def _say(self, what: str) -> None:
        print(f"scale: {what} (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)


def _wanted(build: int, now: datetime) -> dict[str, object]:
    return {
        "id": new_session_id(),
        "token": new_token(),
        "repository_id": repository_of(build),
        "build_id": build + 1,
        "image": image_of(build),
        "state": SessionState.WANTED,
        "created_at": now,
    }


def _half_and_most(seconds: list[float]) -> tuple[float, float]:
    if len(seconds) < 2:
        return (0.0, 0.0)
    cut = quantiles(seconds, n=100)
    return cut[49], cut[98]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def _trials(store: Store, simulation: Simulation, controller: Controller, size: Size, quota: Quota) -> None:
    trial = Trial(simulation, store, controller, quota)
    for share in PARTS:
        print(json.dumps(asdict(await trial.run(size.part(share)))), flush=True)


async def _measure(folder: Path, programs: Mapping[str, Path], url: str, size: Size) -> None:
    places = size.sessions + size.launches + 100
    quota = Quota(places, places)
    async with open_store(url) as store:
        await fill(store)
        async with store.write() as session:
            await session.execute(text("analyze"))
        with (
            running_simulation(folder, programs) as simulation,
            _running_controller(url, simulation.kubeconfig, places, folder) as controller,
        ):
            await _trials(store, simulation, controller, size, quota)


def main() -> None:
    """Run it; everything that it started ends with it."""
    folder, programs, size = sys.argv[1:]
    # PostgreSQL's files are in memory that goes with us, however we end.
    for command in (("ip", "link", "set", "lo", "up"), ("mount", "-t", "tmpfs", "scale", "/dev/shm")):  # noqa: S108
        subprocess.run(command, check=True, timeout=10)
    paths = {name: Path(path) for name, path in json.loads(programs).items()}
    with running_postgresql() as postgresql:
        asyncio.run(_measure(Path(folder), paths, postgresql.new_database(), Size(**json.loads(size))))


if __name__ == "__main__":
    main()
