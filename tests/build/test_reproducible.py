"""One commit, built on two machines that share nothing, is the same image, layer by layer."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from binder.process import Account
from build.lock import lock_from, lock_text
from build.pipeline import Built
from tests.build.machines import new_machine, remove_machine, said_by_buildah, the_base
from tests.builds import Builder
from tests.repositories import Files, Script, new_repository

pytestmark = pytest.mark.slow


@pytest.fixture
async def machines(
    builder: Builder, jupyter_image: str, reachable_path: Path
) -> AsyncIterator[tuple[Builder, Builder]]:
    """Give two machines that have nothing but Debian's base; the second never saw a package either."""
    base = [the_base()]
    one = await new_machine(reachable_path / "one", builder, has=base)
    other = await new_machine(reachable_path / "other", builder, has=base, shares_packages=False)
    yield one, other
    await remove_machine(one)
    await remove_machine(other)


_BUILD_SYSTEM = "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n"
_PROJECTS: Files = {
    "pyproject.toml": f"{_BUILD_SYSTEM}[project]\nname = 'tides'\nversion = '1.0'\n",
    "tides/__init__.py": "HEIGHT = 3\n",
    "requirements.txt": "./waves\n-e ./edited\n",
    "waves/setup.py": "from setuptools import setup\nsetup(name='waves', version='1.0', packages=['waves'])\n",
    "waves/waves/__init__.py": "",
    "edited/pyproject.toml": f"{_BUILD_SYSTEM}[project]\nname = 'edited'\nversion = '1.0'\n",
    "edited/edited/__init__.py": "",
}
"""What is built of them holds no time, and nothing of where or when it was built."""


async def _layers(machine: Builder, built: Built) -> list[str]:
    inspected = await said_by_buildah(machine, "inspect", "--type", "image", built.image)
    found: list[str] = json.loads(inspected)["OCIv1"]["rootfs"]["diff_ids"]
    return found


@pytest.mark.timeout(600)
async def test_a_commit_with_a_lock_is_the_same_on_every_machine(
    machines: tuple[Builder, Builder], reachable_path: Path, account: Account
) -> None:
    one, other = machines
    repository = new_repository(reachable_path / "repository", account)
    sha = repository.commit({"a.ipynb": "{}", "data/x.csv": "1,2\n", "run.sh": Script("#!/bin/sh\n")})
    first = await one.build(repository.source, sha)
    assert first.way == "full"
    (text,) = [path.read_text(encoding="utf-8") for path in one.paths.locks.glob("lock-*")]
    lock = lock_from(text)
    assert lock
    assert (
        await one.inside(first.image, "cat /opt/binder/binder.lock")
        == lock_text(replace(lock, made_of="")).splitlines()
    )
    sha = repository.commit({"binder.lock": text})
    here, there = await one.build(repository.source, sha), await other.build(repository.source, sha)
    assert (here.way, there.way) == ("content", "full")
    assert await _layers(one, here) == await _layers(other, there)
    assert (here.image, here.digest) == (there.image, there.digest)
    sha = repository.commit({**_PROJECTS, "binder.lock": None})
    _, lock = await one.lock(repository.source, sha)
    sha = repository.commit({"binder.lock": lock_text(lock)})
    here, there = await one.build(repository.source, sha), await other.build(repository.source, sha)
    assert await one.inside(here.image, "cd / && python -c 'import tides, waves, edited; print(tides.HEIGHT)'") == ["3"]
    assert (await _layers(one, here))[-1] == (await _layers(other, there))[-1]
    assert (here.image, here.digest) == (there.image, there.digest)
