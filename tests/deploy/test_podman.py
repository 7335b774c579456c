"""Sessions on the real podman: what they are kept from, and that nothing of them stays."""

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from binder.cgroups import Allowance, CgroupFacts, Cgroups, limits_for, read_cgroup_facts
from binder.containers import prepare_engine, release_engine
from binder.lifecycle import BuildState, SessionState
from binder.loop import run_loop, wait_for_hint
from binder.paths import Paths
from binder.process import Account
from binder.settings import read_settings
from binder.store import Store
from binder.store.tables import Session
from deploy.engine import Running, SessionSpec
from deploy.jupyter import Client, Server
from deploy.keeper import Keeper
from deploy.podman import PodmanEngine, is_worth_another_try, running_of
from deploy.probe import proof_of, run_cell, server_of
from templates import render
from tests.deploy.conftest import new_spec, until_it_left
from tests.proxy.rows import add_build, add_repository

pytestmark = pytest.mark.slow


class Visit:
    """A session of a real image that a visitor works in."""

    def __init__(self, engine: PodmanEngine, spec: SessionSpec, target: str) -> None:
        self.engine = engine
        self.spec = spec
        self.url = server_of(spec.id, target, spec.token).url

    async def run(self, code: str) -> str:
        """Run a cell and return what it printed."""
        return (await run_cell(self.url, self.spec.token, code, timeout_seconds=60)).strip()

    async def get(self, path: str) -> str:
        """Return what the server has there."""
        async with Client(Server.with_token(self.url, self.spec.token)) as client, client.content(path) as pieces:
            return b"".join([piece async for piece in pieces]).decode()

    async def has_notice(self) -> bool:
        """Whether its page tells when the session ends."""
        return '"binder-notice"' in await self.get("lab")


@pytest.fixture
async def visit(engine: PodmanEngine, jupyter_image: str) -> Visit:
    spec = new_spec(jupyter_image)
    target = await engine.start(spec)
    async with proof_of(engine, spec, target, timeout_seconds=60):
        pass
    return Visit(engine, spec, target)


async def test_an_image_of_an_authors_own_runs_the_server_that_it_brings(
    engine: PodmanEngine, image_of_an_author: str
) -> None:
    spec = new_spec(image_of_an_author)
    target = await engine.start(spec)
    async with proof_of(engine, spec, target, timeout_seconds=60):
        pass
    visit = Visit(engine, spec, target)
    assert await visit.run("import os, sys; print(sys.prefix, os.getcwd())") == "/srv/lab /srv"
    # Its pages tell when the session ends, and what the author had Jupyter find is found.
    assert await visit.has_notice()
    assert await visit.run("import os; print(os.environ['JUPYTER_PATH'].split(':')[1:])") == "['/srv/own']"


async def test_the_page_tells_when_the_session_ends(visit: Visit) -> None:
    assert await visit.has_notice()
    assert await visit.get("lab/extensions/binder-notice/static/remoteEntry.js") == render("notice/remoteEntry.js")


async def test_a_server_starts_where_its_page_cannot_be_given_the_notice(
    engine: PodmanEngine, odd_images: Callable[[str], str]
) -> None:
    spec = new_spec(odd_images("in-the-way"))
    target = await engine.start(spec)
    async with proof_of(engine, spec, target, timeout_seconds=60):
        assert not await Visit(engine, spec, target).has_notice()


def _processes_of(session_id: str) -> list[str]:
    """Return the command lines of live processes that name the session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if session_id in line:
            found.append(line)
    return found


def _groups_of(session_id: str) -> list[Path]:
    return list(Path("/sys/fs/cgroup").glob(f"**/binder-*/{session_id}"))


async def test_a_visitor_has_no_rights_and_no_way_to_the_host(visit: Visit) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"""
import os, socket
lines = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(os.getuid(), lines["CapBnd"].strip(), lines["NoNewPrivs"].strip(), lines["Seccomp"].strip())
for host in ("127.0.0.1", "10.0.2.2", "host.containers.internal"):
    try:
        socket.create_connection((host, {port}), timeout=5)
        print("reached", host)
    except OSError:
        print("kept from", host)
"""
        assert (await visit.run(code)).splitlines() == [
            "1000 0000000000000000 1 2",
            "kept from 127.0.0.1",
            "kept from 10.0.2.2",
            "kept from host.containers.internal",
        ]


async def test_a_visitor_has_names_and_a_way_out(visit: Visit) -> None:
    asked = "import socket, struct; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20); "
    query = r"s.sendto(b'\0\1\1\0\0\1\0\0\0\0\0\0\0\0\2\0\1', (server, 53)); print(len(s.recv(512)) > 12)"
    server = "server = [line.split()[1] for line in open('/etc/resolv.conf') if line.startswith('nameserver')][0]; "
    assert await visit.run(asked + server + query) == "True"
    assert await visit.run("import socket; print(socket.gethostbyname('localhost'))") == "127.0.0.1"


async def test_the_repositorys_files_do_not_hide_jupyters(engine: PodmanEngine, visit: Visit) -> None:
    assert await visit.run("import os; print(os.getcwd(), os.path.exists('notebook.ipynb'))") == "/home/jovyan True"


async def test_the_token_is_in_no_argument_and_in_no_file_of_ours(visit: Visit, engine_paths: Paths) -> None:
    assert not any(visit.spec.token in line for line in _processes_of(visit.spec.id))
    assert visit.spec.token not in await visit.engine.log_of(visit.spec.id)


async def test_a_session_is_limited_wherever_the_machine_allows_it(visit: Visit) -> None:
    assert visit.engine.limits.explanation is None, "this machine cannot limit sessions: run the tests as root"
    hungry = (
        "import subprocess, sys; print(subprocess.run([sys.executable, '-c', 'len(bytes([1]) * 2**30)']).returncode)"
    )
    assert await visit.run(hungry) == "-9"
    forking = """
import os, signal
children = []
try:
    while len(children) < 1000:
        child = os.fork()
        if not child:
            signal.pause()
        children.append(child)
except BlockingIOError:
    pass
for child in children:
    os.kill(child, 9)
print(0 < len(children) < 128)
"""
    assert await visit.run(forking) == "True"
    assert (await visit.engine.running())[visit.spec.id].alive


async def test_a_server_that_runs_out_of_memory_is_said_to_have(
    engine: PodmanEngine, odd_images: Callable[[str], str]
) -> None:
    spec = new_spec(odd_images("grows"))
    await engine.start(spec)
    assert (await until_it_left(engine, spec.id)).reason == "It ran out of memory."


async def test_nothing_of_a_session_stays(visit: Visit, engine_paths: Paths) -> None:
    assert _processes_of(visit.spec.id)
    assert _groups_of(visit.spec.id)
    await visit.engine.stop(visit.spec.id)
    assert not _groups_of(visit.spec.id)
    assert not [line for line in _processes_of(visit.spec.id) if "conmon" in line or "jupyter" in line]
    assert await visit.engine.running() == {}


async def test_services_that_share_an_engine_leave_each_other_alone(
    engine: PodmanEngine, odd_images: Callable[[str], str], reachable_path: Path, account: Account, paths: Paths
) -> None:
    other = PodmanEngine(Paths(reachable_path / "other", paths.cache), account, engine.limits)
    spec = new_spec(odd_images("waits"))
    await engine.start(spec)
    assert await other.running() == {}
    await other.stop(spec.id)
    assert (await engine.running())[spec.id].alive


async def test_a_port_that_somebody_took_meanwhile_is_worth_another_try(
    engine: PodmanEngine, odd_images: Callable[[str], str]
) -> None:
    spec = new_spec(odd_images("waits"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = await engine._play(spec, server.getsockname()[1])
    assert not done.ok
    assert is_worth_another_try(done.output)
    await engine.stop(spec.id)


async def test_a_start_that_is_given_up_leaves_nothing(engine: PodmanEngine, odd_images: Callable[[str], str]) -> None:
    spec = new_spec(odd_images("waits"))
    starting = asyncio.create_task(engine.start(spec))
    await asyncio.sleep(0.15)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert await engine.running() == {}
    assert not _groups_of(spec.id)


async def test_a_group_without_a_pod_is_found_and_removed(engine: PodmanEngine) -> None:
    spec = new_spec("none")
    Cgroups(engine.limits, engine.instance).make(spec.id, Allowance(spec.memory_bytes, spec.pids, spec.cpus))
    assert not (await engine.running())[spec.id].alive
    await engine.stop(spec.id)
    assert await engine.running() == {}


async def test_without_control_groups_sessions_run_unlimited(
    paths: Paths, account: Account, odd_images: Callable[[str], str]
) -> None:
    engine = PodmanEngine(paths, account, limits_for(CgroupFacts(is_root=os.geteuid() == 0, v1={}, v2={})))
    spec = new_spec(odd_images("waits"))
    await engine.start(spec)
    try:
        assert engine.limits.explanation
        assert (await engine.running())[spec.id].alive
        assert not _groups_of(spec.id)
    finally:
        await engine.stop(spec.id)


async def test_the_last_one_turns_off_the_light(reachable_path: Path, account: Account) -> None:
    paths = Paths(reachable_path / "state", reachable_path / "cache")
    paths.make(account)
    await prepare_engine(paths, account)
    await release_engine(paths, account)
    assert await PodmanEngine(paths, account, limits_for(read_cgroup_facts())).running() == {}
    keeper = Path("/proc", (paths.engine / "run/libpod/pause.pid").read_text(encoding="ascii"), "stat")
    assert keeper.exists()
    await release_engine(paths, account)
    assert not keeper.exists() or keeper.read_text(encoding="ascii").split()[2] == "Z"


async def test_what_runs_is_not_turned_off(
    engine: PodmanEngine, odd_images: Callable[[str], str], engine_paths: Paths, account: Account
) -> None:
    spec = new_spec(odd_images("waits"))
    await engine.start(spec)
    await release_engine(engine_paths, account)
    assert (await engine.running())[spec.id].alive


async def test_a_wanted_session_becomes_a_standby(
    store: Store, engine: PodmanEngine, jupyter_image: str, tmp_path: Path
) -> None:
    build = await add_build(store, await add_repository(store), BuildState.CHECKING, result={"image": jupyter_image})
    async with asyncio.timeout(60):
        keeper = Keeper(store, engine, read_settings(state_dir=tmp_path))
        looping = asyncio.create_task(run_loop("sessions", keeper.step, store.changed, poll_seconds=2))
        event = store.changed.subscribe()
        while not (rows := await _standbys(store)):
            await wait_for_hint(event, 1)
            event.clear()
    looping.cancel()
    await keeper.close()
    assert [row.build_id for row in rows] == [build.id]
    assert (await engine.running())[rows[0].id] == Running(alive=True, target=rows[0].target)


async def _standbys(store: Store) -> list[Session]:
    async with store.read() as session:
        return list(await session.scalars(select(Session).where(Session.state == SessionState.STANDBY)))


@pytest.mark.parametrize(
    ("container", "ran_out_of_memory", "expected"),
    [
        ({"State": "running"}, False, Running(alive=True, target="127.0.0.1:5")),
        ({"State": "running"}, True, Running(alive=True, target="127.0.0.1:5")),
        ({"State": "created"}, False, Running(False, None, None, "The container did not start.")),
        ({"State": "exited", "ExitCode": 137}, True, Running(False, "127.0.0.1:5", 137, "It ran out of memory.")),
        (
            {"State": "exited", "ExitCode": 0},
            False,
            Running(False, "127.0.0.1:5", 0, "The notebook server ended with exit code 0."),
        ),
    ],
)
def test_podmans_account_is_understood(
    container: dict[str, object], ran_out_of_memory: bool, expected: Running
) -> None:
    ports = [{"host_ip": "127.0.0.1", "container_port": 8888, "host_port": 5}]
    assert running_of({"Ports": ports, **container}, ran_out_of_memory) == expected
