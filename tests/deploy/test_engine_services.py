"""What holds for the services of sessions on every engine."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import pytest

from binder.cgroups import Cgroups
from binder.errors import BinderError, RepositoryFault
from binder.paths import Paths
from binder.process import Account
from deploy.engine import RESTARTS_AT_MOST, Engine, ServiceState, SessionSpec
from deploy.fake import FakeEngine, FakeImage
from deploy.manifests import pod_name
from deploy.podman import PodmanEngine
from modules.services import Services
from tests.deploy.conftest import new_spec
from tests.deploy.services import ODD, PORT, SOW, store, that_does, with_seed

_SERVICE = "store-server"


class Place(Protocol):
    """An engine, and an image of nothing but busybox whose server goes on."""

    engine: Engine
    waits: str

    async def end_service(self, session_id: str) -> None:
        """Have the service of a session end."""


class RealPlace(Place, Protocol):
    """One whose containers run something."""

    async def run(self, session_id: str, container: str, *argv: str) -> str:
        """Run a command in a container of a session, and return what it printed."""


class _OnPodman:
    def __init__(self, engine: Engine, waits: str) -> None:
        self.engine = engine
        self.waits = waits

    async def end_service(self, session_id: str) -> None:
        await self.run(session_id, _SERVICE, "touch", "/data/end")

    async def run(self, session_id: str, container: str, *argv: str) -> str:
        assert isinstance(self.engine, PodmanEngine)
        name = f"{pod_name(self.engine.instance, session_id)}-{container}"
        done = await self.engine._podman.call("exec", name, *argv)
        return done.output


class _Fake:
    def __init__(self) -> None:
        self.waits = "waits"
        self.fake = FakeEngine({"waits": FakeImage()})
        self.engine: Engine = self.fake

    async def end_service(self, session_id: str) -> None:
        self.fake.end_service(session_id, _SERVICE, exit_code=7)


_PODMAN = pytest.param("podman", marks=pytest.mark.slow)
_KUBERNETES = pytest.param("kubernetes", marks=pytest.mark.cluster)


@pytest.fixture(params=["fake", _PODMAN, _KUBERNETES])
def place(request: pytest.FixtureRequest) -> Place:
    return _place(request, request.param)


@pytest.fixture(params=[_PODMAN, _KUBERNETES])
def real(request: pytest.FixtureRequest) -> RealPlace:
    return _real_place(request, request.param)


@pytest.fixture(params=["fake", _PODMAN])
def quick(request: pytest.FixtureRequest) -> Place:
    """An engine that starts what ended again at once: a cluster takes minutes until it would be given up."""
    return _place(request, request.param)


def _place(request: pytest.FixtureRequest, name: str) -> Place:
    return _Fake() if name == "fake" else _real_place(request, name)


def _real_place(request: pytest.FixtureRequest, name: str) -> RealPlace:
    if name == "podman":
        return _OnPodman(request.getfixturevalue("engine"), request.getfixturevalue("small_image"))
    from tests.deploy.cluster_place import OnKubernetes  # noqa: PLC0415 - takes two seconds

    waits = request.getfixturevalue("odd_cluster_images")("small")
    return OnKubernetes(request.getfixturevalue("kubernetes_engine"), waits, request.getfixturevalue("cluster"))


def _spec(place: Place, services: Services | None = None) -> SessionSpec:
    return replace(new_spec(place.waits), services=services or store(place.waits))


async def _state(place: Place, session_id: str) -> ServiceState:
    return (await place.engine.running())[session_id].services[_SERVICE]


async def _until(place: Place, session_id: str, holds: Callable[[ServiceState], bool]) -> ServiceState:
    found = None
    for _ in range(600):
        if holds(found := await _state(place, session_id)):
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"the service is at {found}")


async def test_a_session_has_its_services_until_it_is_stopped(place: Place) -> None:
    spec = _spec(place)
    await place.engine.start(spec)
    found = (await place.engine.running())[spec.id]
    assert found.alive
    assert found.services == {_SERVICE: ServiceState(ready=True)}
    await place.engine.stop(spec.id)
    assert await place.engine.running() == {}
    assert await place.engine.log_of(spec.id, _SERVICE) == ""


@pytest.mark.slow
async def test_nothing_of_a_session_with_services_stays(engine: PodmanEngine, small_image: str) -> None:
    spec = replace(new_spec(small_image), services=store(small_image))
    await engine.start(spec)
    for left in (("volume", "ls"), ("ps", "--all"), ("pod", "ls")):
        assert spec.id in (await engine._podman.call(*left)).output
    await engine.stop(spec.id)
    for left in (("volume", "ls"), ("ps", "--all"), ("pod", "ls")):
        assert spec.id not in (await engine._podman.call(*left)).output


@pytest.mark.slow
async def test_whoever_comes_after_a_service_of_ours_goes_on_to_keep_services_up(
    engine: PodmanEngine, small_image: str, paths: Paths, account: Account
) -> None:
    spec = replace(new_spec(small_image), services=store(small_image))
    await engine.start(spec)
    place = _OnPodman(PodmanEngine(paths, account, engine.limits), small_image)
    await place.end_service(spec.id)
    await _until(place, spec.id, lambda state: state.ready and state.restarts == 1)


@pytest.mark.slow
async def test_a_service_that_was_started_again_and_a_seed_are_within_the_sessions_limits(
    engine: PodmanEngine, small_image: str
) -> None:
    place = _OnPodman(engine, small_image)
    spec = replace(new_spec(small_image), services=with_seed(store(small_image), "cat", "/proc/self/cgroup"))
    groups = Cgroups(engine.limits, engine.instance).groups_of(spec.id)
    seeds = spec.services.seeds
    failing = replace(seeds[0], command=("sh", "-c", "cat /proc/self/cgroup; exit 1"))
    with pytest.raises(RepositoryFault) as raised:
        await engine.start(replace(spec, services=replace(spec.services, seeds=(failing,))))
    assert any(f"/{group.parent.name}/{spec.id}" in raised.value.message for group in groups)
    await engine.start(spec)
    await place.end_service(spec.id)
    await _until(place, spec.id, lambda state: state.ready and state.restarts == 1)
    name = f"{pod_name(engine.instance, spec.id)}-{_SERVICE}"
    pid = (await engine._podman.call("inspect", "--format", "{{.State.Pid}}", name)).output.strip()
    for group in groups:
        assert pid in (group / "cgroup.procs").read_text(encoding="ascii").split(), group


async def test_a_service_can_be_used_when_the_start_returns_and_is_told_what_it_was_given(real: RealPlace) -> None:
    spec = _spec(real)
    await real.engine.start(spec)
    url = f"http://127.0.0.1:{PORT}/greeting"
    assert await real.run(spec.id, "notebook", "wget", "-q", "-O", "-", url) == ODD
    assert await real.run(spec.id, _SERVICE, "cat", "/data/literal") == "$(GREETING) $$ $X"
    said = await real.run(spec.id, "notebook", "env")
    assert f"GREETING=to {ODD}" in said.splitlines()
    assert (await real.run(spec.id, _SERVICE, "cat", "/data/runs")).splitlines() == ["run as 1000"]
    assert "JUPYTER_TOKEN" not in await real.run(spec.id, _SERVICE, "env")
    assert "ready" in await real.engine.log_of(spec.id, _SERVICE)


async def test_a_service_without_an_image_has_the_notebooks(real: RealPlace) -> None:
    spec = _spec(real, store(None))
    await real.engine.start(spec)
    assert (await _state(real, spec.id)).ready


async def test_a_seed_is_sown_once_before_the_start_returns(real: RealPlace) -> None:
    spec = _spec(real, with_seed(store(real.waits), *SOW))
    await real.engine.start(spec)
    sown = ""
    for _ in range(50):  # what was sent has to be written yet
        sown = sown or await real.run(spec.id, _SERVICE, "cat", "/data/seeds")
        await asyncio.sleep(0.1)
    assert sown.splitlines() == [f"sown of it: to {ODD}"]


async def test_a_seed_that_fails_says_so_and_leaves_nothing(real: RealPlace) -> None:
    spec = _spec(real, with_seed(store(real.waits), "sh", "-c", "echo line 3 is no good; exit 4"))
    with pytest.raises(RepositoryFault) as raised:
        await real.engine.start(spec)
    said = "The seed data/seed.sh of Store failed with exit code 4. Its last lines: line 3 is no good"
    assert (raised.value.message, raised.value.step) == (said, "seed")
    assert await real.engine.running() == {}


async def test_a_seed_that_does_not_end_is_given_up(real: RealPlace) -> None:
    spec = replace(_spec(real, with_seed(store(real.waits), "sleep", "600")), seed_seconds=2)
    with pytest.raises(RepositoryFault, match=r"The seed data/seed\.sh of Store did not end within 2 s"):
        await real.engine.start(spec)
    assert await real.engine.running() == {}


async def test_a_service_that_does_not_stay_up_is_said_with_its_last_lines(real: RealPlace) -> None:
    services = that_does(store(real.waits), "echo there is no such option; exit 9")
    with pytest.raises(RepositoryFault) as raised:
        await real.engine.start(_spec(real, services))
    said = "Store did not start. It ended with exit code 9. Its last lines: "
    assert raised.value.message.startswith(said)
    assert raised.value.message.endswith("there is no such option")
    assert raised.value.step == "modules"
    assert await real.engine.running() == {}


async def test_a_service_that_does_not_become_ready_is_said(real: RealPlace) -> None:
    services = that_does(store(real.waits), "echo I think; exec sleep 600", seconds=3)
    with pytest.raises(RepositoryFault, match=r"Store did not become ready within 3 s\. Its last lines: I think"):
        await real.engine.start(_spec(real, services))
    assert await real.engine.running() == {}


async def test_an_image_of_a_service_that_is_not_there_is_said_and_leaves_nothing(place: Place) -> None:
    with pytest.raises(BinderError, match="Store") as raised:
        await place.engine.start(_spec(place, store("localhost/binder-tests/none:1")))
    assert raised.value.party != "repository"
    assert await place.engine.running() == {}


async def test_a_service_that_ends_comes_back_with_its_data(place: Place) -> None:
    spec = _spec(place)
    await place.engine.start(spec)
    await place.end_service(spec.id)
    gone = await _until(place, spec.id, lambda state: not state.ready)
    back = await _until(place, spec.id, lambda state: state.ready)
    assert gone.reason in {"It ended with exit code 7.", None}
    assert (back.restarts, back.gave_up) == (1, False)
    assert (await place.engine.running())[spec.id].alive


async def test_what_a_service_has_in_its_folders_stays_when_it_is_started_again(real: RealPlace) -> None:
    spec = _spec(real)
    await real.engine.start(spec)
    await real.end_service(spec.id)
    await _until(real, spec.id, lambda state: state.ready and state.restarts == 1)
    assert len((await real.run(spec.id, _SERVICE, "cat", "/data/runs")).splitlines()) == 2


async def test_a_service_that_ends_too_often_is_given_up_and_says_why(quick: Place) -> None:
    spec = _spec(quick)
    await quick.engine.start(spec)
    for count in range(1, RESTARTS_AT_MOST + 1):
        await quick.end_service(spec.id)
        await _until(quick, spec.id, lambda state, count=count: state.ready and state.restarts == count)  # type: ignore[misc]
    await quick.end_service(spec.id)
    state = await _until(quick, spec.id, lambda state: state.gave_up)
    assert state == ServiceState(False, RESTARTS_AT_MOST, "It ended with exit code 7.", gave_up=True)
    assert (await quick.engine.running())[spec.id].alive, "the notebook goes on"


async def test_two_sessions_have_each_their_own(real: RealPlace) -> None:
    specs = [_spec(real, store(real.waits, greeting=name)) for name in ("one", "two")]
    await asyncio.gather(*(real.engine.start(spec) for spec in specs))
    url = f"http://127.0.0.1:{PORT}/greeting"
    said = [await real.run(spec.id, "notebook", "wget", "-q", "-O", "-", url) for spec in specs]
    assert said == ["one", "two"]
