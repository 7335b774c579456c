"""What is brought to nodes of a build: its own image, and those of its modules."""

from pathlib import Path

from binder.settings import read_settings
from binder.store import open_store
from deploy.records import layers_of
from modules.bound import Bound, BoundComponent, as_json
from tests.proxy.rows import IMAGE, add_build, add_repository

_SERVER = "registry.example.org/binder:module-1"


async def test_the_images_of_modules_are_among_those_that_a_build_needs(tmp_path: Path) -> None:
    components = tuple(
        BoundComponent(name, image, {}, 1, 1) for name, image in {"server": _SERVER, "worker": None}.items()
    )
    module = Bound("spark", "4.0", "Spark", "single-node", {}, (), components, {})
    layers = [{"kind": "content", "key": "one", "bytes": 1000}, {"kind": "base", "key": "two", "bytes": None}]
    async with open_store(read_settings(state_dir=tmp_path).store_url) as store:
        result = {"image": IMAGE, "layers": layers, "modules": as_json([module])}
        build = await add_build(store, await add_repository(store), result=result)
        (images,) = (await layers_of(store, [build.id])).values()
    assert list(images) == [IMAGE, _SERVER]
    assert images[IMAGE] == {"one": 1000, "two": 0}
    assert images[_SERVER][_SERVER] > 10**8
