"""Python's packages, asked for in each way that there is, and installed for real.

The samples all come to the same two packages, so that one environment is enough for nearly all of them.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from binder.errors import OperatorFault, RepositoryFault
from binder.names import new_token
from binder.paths import Paths
from binder.process import Account
from build.lock import lock_text
from build.plan import Layer
from tests.build.conftest import Build, environment_of
from tests.build.machines import new_machine, remove_machine, the_base
from tests.build.package_index import write_wheel
from tests.builds import Builder, new_builder
from tests.repositories import Files, LocalRepository, Script

pytestmark = pytest.mark.slow

MakeRepository = Callable[[Files], LocalRepository]
Sample = Callable[..., LocalRepository]

_MODULE = '"""Tides."""\n\nimport toolz\n\nHEIGHT = toolz.last([1, 2, 3])\n'
_SETUP = """\
from setuptools import setup

setup(name="tides", version="1.0", py_modules=["tides"], install_requires=open("needs.txt").read().split())
"""
_OF_PROJECTS: dict[str, Files] = {
    "setup-py": {"setup.py": _SETUP, "tides.py": _MODULE},
    "pyproject": {"tides/__init__.py": _MODULE},
    "parts": {"sub/tides.py": _MODULE},
}
"""What the samples lack: the sources, which no tool of ours should take for the project's own."""

_VERSIONS = "import six, toolz; print(six.__version__, toolz.__version__)"


@pytest.fixture
async def listed(build: Build, sample: Sample) -> Layer:
    """The environment of a requirements.txt that includes a list, and is bound by another."""
    return environment_of(await build(sample("requirements")))


@pytest.mark.parametrize("name", ["requirements", "pipfile", "pipfile-lock", "uv", "poetry", "pylock"])
async def test_every_tools_files_come_to_the_same_environment(
    name: str, builder: Builder, build: Build, sample: Sample, listed: Layer
) -> None:
    built = await build(sample(name))
    assert environment_of(built) == listed
    assert await builder.inside(built.image, f"python -c '{_VERSIONS}'") == ["1.16.0 0.12.0"]
    assert ("pypi", "toolz", "0.12.0") in set(map(tuple, built.packages or ()))


@pytest.mark.parametrize("name", _OF_PROJECTS)
async def test_the_repository_itself_is_installed_with_what_it_needs(
    name: str, builder: Builder, build: Build, sample: Sample
) -> None:
    built = await build(sample(name, _OF_PROJECTS[name]))
    # Not from the folder that we are in, where it would be found anyway.
    script = """cd / && python -c 'import tides; print(tides.HEIGHT, tides.__file__)'
        pip list --format freeze | grep -E "^(toolz|tides)="; find /home/jovyan ! -user 1000; ls -A /tmp"""
    height, *rest = await builder.inside(built.image, script)
    where = "/home/jovyan/sub" if name == "parts" else "/opt/binder/env/lib/python3.11/site-packages"
    assert height.startswith(f"3 {where}/tides")
    assert rest == ["tides==1.0", "toolz==0.12.0"]
    assert {("pypi", "tides", "1.0"), ("pypi", "toolz", "0.12.0")} <= set(map(tuple, built.packages or ()))


async def test_a_push_to_a_static_project_resolves_nothing(builder: Builder, build: Build, sample: Sample) -> None:
    repository = sample("pyproject", _OF_PROJECTS["pyproject"])
    first = await build(repository)
    sha = repository.commit({"tides/__init__.py": "HEIGHT = 7\n", "notebook.ipynb": "{}"})
    log = repository.folder / "log"
    second = await build(repository, sha, log=log)
    assert (second.way, environment_of(second)) == ("content", environment_of(first))
    assert "Resolving" not in log.read_text()
    script = "cd / && python -c 'import tides; print(tides.HEIGHT)'"
    assert await builder.inside(second.image, script) == ["7"]


async def test_a_push_to_a_project_that_must_be_built_asks_it_again(
    builder: Builder, build: Build, sample: Sample
) -> None:
    repository = sample("setup-py", _OF_PROJECTS["setup-py"])
    first = await build(repository)
    second = await build(repository, repository.commit({"needs.txt": "toolz==0.12.0\n"}))
    assert environment_of(second) != environment_of(first)
    assert await builder.inside(second.image, "cd / && python -c 'import tides; print(tides.HEIGHT)'") == ["3"]


async def test_a_wheel_of_the_repository_is_installed(
    builder: Builder, build: Build, make_repository: MakeRepository, tmp_path: Path
) -> None:
    write_wheel(tmp_path, "tides", {"tides.py": "HEIGHT = 3\n"})
    wheel = "tides-1.0-py3-none-any.whl"
    files: Files = {"requirements.txt": f"./wheels/{wheel}\n", f"wheels/{wheel}": (tmp_path / wheel).read_bytes()}
    built = await build(make_repository(files))
    assert await builder.inside(built.image, "python -c 'import tides; print(tides.HEIGHT)'") == ["3"]


@pytest.mark.parametrize("folder", ["binder", ".binder"])
async def test_only_the_folder_counts_where_there_is_one(
    folder: str, builder: Builder, build: Build, sample: Sample, make_repository: MakeRepository, listed: Layer
) -> None:
    files: Files = {
        f"{folder}/requirements.txt": "toolz==0.12.0\nsix==1.16.0\n",
        "requirements.txt": "no-such-package-of-anybody\n",
        "environment.yml": "dependencies: [no-such-package-of-anybody]\n",
        "setup.py": "raise SystemExit('never run')\n",
        "Dockerfile": "FROM no.such.host.invalid/image\n",
    }
    built = await build(make_repository(files))
    assert environment_of(built) == listed


async def test_another_python_comes_with_another_release_of_debian(
    builder: Builder, build: Build, make_repository: MakeRepository
) -> None:
    built = await build(make_repository({"runtime.txt": "python-3.13\n"}))
    assert ("os", "debian", "trixie") in set(map(tuple, built.packages or ()))
    lines = await builder.inside(built.image, "python --version; jupyter-lab --version; pip --version")
    assert lines[0].startswith("Python 3.13.")
    assert lines[1].startswith("4.")
    assert "/opt/binder/env/lib/python3.13/" in lines[2]


async def test_a_python_that_is_not_here_is_refused(builder: Builder, make_repository: MakeRepository) -> None:
    repository = make_repository({"runtime.txt": "python-3.7\n"})
    with pytest.raises(RepositoryFault, match=r"There is Python 3\.11 and 3\.13 here") as caught:
        await builder.build(repository.source, repository.git("rev-parse", "HEAD"))
    assert caught.value.place == "runtime.txt line 1"


async def test_an_environment_is_of_its_day(builder: Builder, build: Build, make_repository: MakeRepository) -> None:
    built = await build(make_repository({"binder.yml": "as_of: 2024-03-01\n"}))
    assert {("pypi", "jupyterlab", "4.1.2"), ("pypi", "notebook", "7.1.1")} <= set(map(tuple, built.packages or ()))
    assert await builder.inside(built.image, "jupyter-lab --version") == ["4.1.2"]


async def test_the_day_of_the_commit_is_a_day(build: Build, make_repository: MakeRepository) -> None:
    repository = make_repository({"binder.yml": "as_of: commit-date\n"})
    built = await build(repository, repository.commit({}, time=1_709_337_599))
    same = await build(make_repository({"binder.yml": "as_of: 2024-03-01\n"}))
    assert environment_of(built) == environment_of(same)


async def test_a_project_that_cannot_be_installed_is_named(builder: Builder, make_repository: MakeRepository) -> None:
    """Its postBuild has no part in it."""
    backend = "[build-system]\nrequires = []\nbuild-backend = 'own'\nbackend-path = ['.']\n"
    manifest = f"{backend}[project]\nname = 'tides'\nversion = '1.0'\n"
    files: Files = {
        "requirements.txt": "./libraries/tides\n",
        "libraries/tides/pyproject.toml": manifest,
        "libraries/tides/own.py": "raise SystemExit('no tide today')\n",
        "postBuild": Script("#!/bin/sh\necho never run\n"),
    }
    repository = make_repository(files)
    log = repository.folder / "log"
    with pytest.raises(RepositoryFault, match="Failed to build `tides") as caught:
        await builder.build(repository.source, repository.git("rev-parse", "HEAD"), log=log)
    assert (caught.value.place, caught.value.step) == ("libraries/tides/pyproject.toml", "content")
    assert "no tide today" in log.read_text()
    assert "never run" not in log.read_text()


@pytest.fixture
async def cut_off(paths: Paths, account: Account, builder: Builder) -> Builder:
    """A builder whose builds have no network once their dependencies are there."""
    return await new_builder(paths, account, builder.host, {"build_network": "dependencies"})


@pytest.mark.parametrize("name", _OF_PROJECTS)
async def test_what_a_project_is_built_with_is_there_before(
    name: str, builder: Builder, cut_off: Builder, build: Build, sample: Sample
) -> None:
    built = await build(sample(name, {**_OF_PROJECTS[name], "a.txt": new_token()}), by=cut_off)
    assert await builder.inside(built.image, "cd / && python -c 'import tides; print(tides.HEIGHT)'") == ["3"]


async def test_what_was_removed_since_is_fetched_again(
    builder: Builder, build: Build, make_repository: MakeRepository, reachable_path: Path
) -> None:
    """What says that it is there may be wrong."""
    manifest = "[build-system]\nrequires = ['flit_core']\nbuild-backend = 'flit_core.buildapi'\n"
    manifest += "[project]\nname = 'tides'\nversion = '1.0'\ndescription = 'Tides'\n"
    repository = make_repository({"pyproject.toml": manifest, "tides.py": "HEIGHT = 3\n"})
    built = await build(repository)
    _, lock = await builder.lock(repository.source, repository.git("rev-parse", "HEAD"))
    repository.commit({"binder.lock": lock_text(lock)})
    has = [the_base(), environment_of(built)]
    machine = await new_machine(
        reachable_path / "machine", builder, has=has, shares_packages=False, build_network="dependencies"
    )
    fetched, forget = [], 'mv "$1/fetched" "$1/../kept"; rm -rf "$1"/*; mv "$1/../kept" "$1/fetched"'
    try:
        for script in ("true", "true", forget):
            await machine.buildah.run_script(script, str(machine.paths.packages / "wheels"), step="clear", take=None)
            log = reachable_path / new_token()
            await machine.build(repository.source, repository.commit({"a.txt": new_token()}), log=log)
            fetched.append(log.read_text().count("Fetching what the repository is built with"))
    finally:
        await remove_machine(machine)
    assert fetched == [1, 0, 1]


_ASKS_LATER: Files = {
    "pyproject.toml": "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'own'\nbackend-path = ['.']\n"
    "[project]\nname = 'tides'\nversion = '1.0'\n",
    "own.py": "from hatchling.build import *\n"
    "def get_requires_for_build_wheel(settings=None):\n    return ['toolz==0.11.1']\n",
    "tides/__init__.py": "HEIGHT = 3\n",
}


async def test_what_only_a_build_asks_for_is_fetched_where_there_is_network(
    builder: Builder, cut_off: Builder, build: Build, make_repository: MakeRepository
) -> None:
    repository = make_repository(_ASKS_LATER)
    log = repository.folder / "log"
    with pytest.raises(OperatorFault, match=r"pyproject\.toml needs packages to be built with"):
        await cut_off.build(repository.source, repository.git("rev-parse", "HEAD"))
    built = await build(repository, log=log)
    assert "Not all that pyproject.toml is built with is known before" in log.read_text()
    assert await builder.inside(built.image, "cd / && python -c 'import tides; print(tides.HEIGHT)'") == ["3"]


async def test_what_a_project_cannot_be_built_with_is_named_with_its_line(
    builder: Builder, make_repository: MakeRepository
) -> None:
    requires = "[build-system]\nrequires = [\n  'hatchling',\n  'no-such-package-of-anybody',\n]\n"
    repository = make_repository({"pyproject.toml": f"{requires}[project]\nname = 'tides'\nversion = '1.0'\n"})
    with pytest.raises(RepositoryFault, match="no-such-package-of-anybody") as caught:
        await builder.build(repository.source, repository.git("rev-parse", "HEAD"))
    assert caught.value.place == "pyproject.toml line 4"


async def test_a_lock_holds_what_a_project_is_built_with(
    builder: Builder, build: Build, sample: Sample, make_repository: MakeRepository
) -> None:
    repository = sample("pyproject", _OF_PROJECTS["pyproject"])
    manifest = (repository.folder / "pyproject.toml").read_text()
    place, lock = await builder.lock(repository.source, repository.git("rev-parse", "HEAD"))
    assert (place, set(lock.build or {})) == ("binder.lock", {""})
    assert {"hatchling", "editables"} <= set((lock.build or {})[""].pins)
    locked = await build(repository, repository.commit({"binder.lock": lock_text(lock)}))
    before = await build(repository, repository.commit({"binder.lock": lock_text(replace(lock, build=None))}))
    assert environment_of(before) == environment_of(locked)
    other = manifest.replace('["hatchling"]', '["hatchling>1"]')
    repository.commit({"binder.lock": lock_text(lock), "pyproject.toml": other})
    with pytest.raises(RepositoryFault, match=r"binder\.lock was made from other"):
        await builder.build(repository.source, repository.git("rev-parse", "HEAD"))
