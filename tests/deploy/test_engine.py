"""What holds for every engine: one suite, run against the fake, podman and Kubernetes alike."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import pytest

from binder.errors import BinderError
from deploy.engine import Engine, Running
from deploy.fake import FakeEngine, FakeImage
from tests.deploy.conftest import new_spec, until_it_left


class Place(Protocol):
    """An engine, and the names of images whose server goes on, and leaves with exit code 3."""

    engine: Engine
    waits: str
    leaves: str


class _Place:
    def __init__(self, engine: Engine, name: Callable[[str], str]) -> None:
        self.engine = engine
        self.waits = name("waits")
        self.leaves = name("leaves")


@pytest.fixture(
    params=[
        "fake",
        pytest.param("podman", marks=pytest.mark.slow),
        pytest.param("kubernetes", marks=pytest.mark.cluster),
    ]
)
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "podman":
        return _Place(request.getfixturevalue("engine"), request.getfixturevalue("odd_images"))
    if request.param == "kubernetes":
        return _Place(request.getfixturevalue("kubernetes_engine"), request.getfixturevalue("odd_cluster_images"))
    images = {"waits": FakeImage(), "leaves": FakeImage(exit_code=3, log="I am leaving")}
    return _Place(FakeEngine(images), str)


async def test_a_session_is_there_from_its_start_to_its_stop(place: Place) -> None:
    spec = new_spec(place.waits)
    target = await place.engine.start(spec)
    assert await place.engine.running() == {spec.id: Running(alive=True, target=target)}
    await place.engine.stop(spec.id)
    assert await place.engine.running() == {}


async def test_sessions_do_not_meet(place: Place) -> None:
    specs = [new_spec(place.waits) for _ in range(3)]
    targets = await asyncio.gather(*(place.engine.start(spec) for spec in specs))
    assert len(set(targets)) == 3
    await place.engine.stop(specs[1].id)
    assert set(await place.engine.running()) == {specs[0].id, specs[2].id}


async def test_to_stop_what_is_not_there_does_nothing(place: Place) -> None:
    spec = new_spec(place.waits)
    await place.engine.stop(spec.id)
    await place.engine.start(spec)
    await asyncio.gather(place.engine.stop(spec.id), place.engine.stop(spec.id))
    await place.engine.stop(spec.id)
    assert await place.engine.running() == {}


async def test_what_ended_by_itself_says_so_until_it_is_stopped(place: Place) -> None:
    spec = new_spec(place.leaves)
    await place.engine.start(spec)
    found = await until_it_left(place.engine, spec.id)
    assert found.exit_code == 3
    assert found.reason
    assert "I am leaving" in await place.engine.log_of(spec.id)
    await place.engine.stop(spec.id)
    assert await place.engine.running() == {}
    assert await place.engine.log_of(spec.id) == ""


async def test_an_image_that_is_not_there_is_said_and_leaves_nothing(place: Place) -> None:
    spec = new_spec("localhost/binder-tests/none:1")
    with pytest.raises(BinderError) as raised:
        await place.engine.start(spec)
    assert spec.token not in raised.value.message
    assert await place.engine.running() == {}


async def test_a_start_replaces_what_an_earlier_one_left(place: Place) -> None:
    spec = new_spec(place.waits)
    await place.engine.start(spec)
    target = await place.engine.start(spec)
    assert await place.engine.running() == {spec.id: Running(alive=True, target=target)}


async def test_a_session_can_be_started_again(place: Place) -> None:
    spec = new_spec(place.waits)
    await place.engine.start(spec)
    await place.engine.stop(spec.id)
    await place.engine.start(spec)
    assert (await place.engine.running())[spec.id].alive
