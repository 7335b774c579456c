"""Conda's environments from end to end: solved, installed and looked into, from a channel that is a folder.

A folder has the same address in each run, which a server on a free port has not: so what is made is kept.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from binder.errors import RepositoryFault
from binder.hosts import CONDA
from binder.paths import Paths
from binder.process import Account
from build.host import find_host_settings
from build.plan import Layer
from tests.build.conda_channel import PYTHON_VERSION, make_channel, served
from tests.build.conftest import Build, Works, environment_of
from tests.builds import Builder, new_builder
from tests.repositories import Files, LocalRepository

pytestmark = pytest.mark.slow

MakeRepository = Callable[[Files], LocalRepository]

_INSIDE = "/run/links/channels"
_ODD = 'high & low, "$HOME" \\ or so #1'
_WITH_PYTHON = f"""\
name: tides
channels: [binder-tests, nodefaults]
dependencies:
  - python
  - pure
  - tool=1
  - pip:
    - toolz==0.12.0
variables:
  TIDES: '{_ODD}'
"""
_WITHOUT_PYTHON = """\
channels: [binder-tests, nodefaults]
dependencies: [left]
"""


@pytest.fixture(scope="module")
def channel(reachable_root: Path) -> Path:
    """The channel; its name is the last part of its path."""
    folder = reachable_root / "channels/binder-tests"
    make_channel(folder)
    folder.parent.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def conda(engine_paths: Paths, reachable_root: Path, account: Account, channel: Path) -> Builder:
    """A builder of a host that has its channels in a folder."""
    paths = Paths(reachable_root / "conda", engine_paths.cache)
    paths.make(account)
    found = asyncio.run(find_host_settings())
    host = replace(found, folders={**found.folders, channel.parent: _INSIDE})
    return asyncio.run(new_builder(paths, account, host, {"conda_channel_alias": f"file://{_INSIDE}"}))


async def test_an_environment_with_python_is_condas(
    conda: Builder, build: Build, make_repository: MakeRepository, works: Works
) -> None:
    built = await build(make_repository({"environment.yml": _WITH_PYTHON, "requirements.txt": "never-read"}), by=conda)
    found = set(map(tuple, built.packages or ()))
    assert {("conda", "tool", "1.0"), ("conda", "pure", "1.0"), ("conda", "python", PYTHON_VERSION)} <= found
    assert ("pypi", "toolz", "0.12.0") in found
    script = """
        python -c 'import sys, toolz, pure; print(sys.prefix, toolz.__version__)'
        pure-says; tool; command -v jupyter-lab; echo "$TIDES"; echo "$CONDA_PREFIX ${VIRTUAL_ENV:-none}"
        find /opt/binder ! -user 1000; ls -A /tmp; ls -A /opt/binder
    """
    assert await conda.inside(built.image, script) == [
        "/opt/binder/conda 0.12.0",
        "pure /opt/binder/conda",
        "1.0",
        "/opt/binder/conda/bin/jupyter-lab",
        _ODD,
        "/opt/binder/conda none",
        *("binder.lock", "conda", "conda-entrypoint"),
    ]
    code = "import pure, subprocess; print(subprocess.check_output('tool', text=True)); pure.main()"
    assert await works(built.image, code) == "1.0\n\npure /opt/binder/conda\n"


@pytest.fixture
async def left(conda: Builder, build: Build, make_repository: MakeRepository) -> tuple[str, Layer]:
    """An image of an environment without Python, and the environment."""
    built = await build(make_repository({"environment.yml": _WITHOUT_PYTHON}), by=conda)
    return built.image, environment_of(built)


async def test_an_environment_without_python_lies_beside_debians(
    conda: Builder, left: tuple[str, Layer], works: Works
) -> None:
    script = """
        python -c 'import sys; print(sys.prefix, sys.version_info[:2])'
        tool; cat /opt/binder/conda/share/left; echo "$CONDA_PREFIX $VIRTUAL_ENV"; ls /opt/binder
    """
    assert await conda.inside(left[0], script) == [
        *("/opt/binder/env (3, 11)", "2.0", "left", "/opt/binder/conda /opt/binder/env"),
        *("binder.lock", "conda", "conda-entrypoint", "env"),
    ]
    assert await works(left[0], "import subprocess; subprocess.check_output('tool', text=True)") == "'2.0\\n'"


async def test_a_lock_of_pixi_is_installed_as_it_is(
    conda: Builder, build: Build, make_repository: MakeRepository, channel: Path, left: tuple[str, Layer]
) -> None:
    """It names packages at their usual place, and gets them where this service has the channel."""
    usual = f"https://{CONDA}/binder-tests"
    archives = [channel / "noarch" / name for name in ("left-1.0-b_0.conda", "tool-2.0-b_0.conda")]
    packages = [
        {
            "conda": f"{usual}/noarch/{archive.name}",
            "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
            "size": archive.stat().st_size,
        }
        for archive in archives
    ]
    chosen = {"linux-64": [{"conda": package["conda"]} for package in packages]}
    channels = [{"url": f"{usual}/"}]
    lock = {"version": 6, "environments": {"default": {"channels": channels, "packages": chosen}}, "packages": packages}
    files: Files = {"pixi.toml": "[workspace]\n", "pixi.lock": json.dumps(lock)}
    built = await build(make_repository(files), by=conda)
    assert environment_of(built) == left[1]


@pytest.fixture
def on_network(engine_paths: Paths, reachable_path: Path, account: Account, channel: Path) -> Iterator[Builder]:
    """A builder of a host that reaches its channels over the network."""
    paths = Paths(reachable_path / "state", engine_paths.cache)
    paths.make(account)
    with served(channel.parent) as address:
        settings = {"conda_channel_alias": address}
        yield asyncio.run(new_builder(paths, account, settings=settings))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("dependencies:\n  - tool\n  - no-such-package\n", 3, "No channel has a package named no-such-package"),
        ("dependencies:\n  - tool=3\n", 2, "No version satisfies tool=3; the newest that there are: 2.0, 1.0"),
        ("dependencies:\n  - left\n  - right\n", 2, "The Conda packages do not go together"),
        ("dependencies:\n  - python\n  - pip:\n    - no-such-package-of-anybody\n", 4, "no-such-package-of-anybody"),
        ('dependencies: [tool]\nvariables:\n  A: "x\\nRUN id"\n', 3, "a line end"),
    ],
)
async def test_what_no_channel_can_give_is_named_with_its_line(
    on_network: Builder, make_repository: MakeRepository, text: str, line: int, message: str
) -> None:
    repository = make_repository({"environment.yml": f"{text}channels: [binder-tests, nodefaults]\n"})
    with pytest.raises(RepositoryFault, match=message) as caught:
        await on_network.build(repository.source, repository.git("rev-parse", "HEAD"))
    assert caught.value.place == f"environment.yml line {line}"
