"""Environments: made by exchanging packages of others, and made again, whole, with the same packages in them."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from binder.names import new_token
from binder.process import Account
from build.delta import DEEPEST
from build.images import LocalTexts, Record, read_record
from build.log import BuildLog, FileLog
from build.pipeline import Built
from build.plan import Layer
from tests.build.machines import new_machine, remove_machine, said_by_buildah, the_base
from tests.build.package_index import host_with, write_wheel
from tests.builds import Builder
from tests.repositories import Files, LocalRepository, new_repository

pytestmark = pytest.mark.slow

_USUAL = ("usual0", "usual1", "usual2")
_FIRST = ("alpha==1.0", "beta", *_USUAL)
_SECOND = ("alpha==2.0", "gamma", *_USUAL)
_TREE = """/usr/bin/python3 -I -S - <<'END'
import hashlib, os, stat
for folder, folders, names in os.walk("/opt/binder"):
    for name in folders + names:
        path, found = os.path.join(folder, name), os.lstat(os.path.join(folder, name))
        if stat.S_ISLNK(found.st_mode):
            held = os.readlink(path)
        elif stat.S_ISREG(found.st_mode):
            with open(path, "rb") as file:
                data = b"".join(sorted(file)) if name == "RECORD" else file.read()
            held = hashlib.sha256(data).hexdigest()
        else:
            held = ""
        print(stat.filemode(found.st_mode), int(found.st_mtime) if held else "", path, held)
END"""


def environment_of(built: Built) -> Layer:
    return next(one.layer for one in built.layers if one.layer.kind == "environment")


@dataclass(frozen=True)
class Growing:
    """A repository on a machine of its own, where the environment of the usual packages is."""

    machine: Builder
    usual: Layer
    repository: LocalRepository
    log: Path

    async def build(self, *asked: str, **files: str) -> Built:
        """Ask for packages, and build."""
        changes: Files = {"requirements.txt": "".join(f"{one}\n" for one in asked), **files}
        return await self.machine.build(self.repository.source, self.repository.commit(changes), log=self.log)

    async def record(self, built: Built) -> Record:
        """Return what is known of the environment of an image."""
        return await read_record(LocalTexts(self.machine.paths), environment_of(built))

    async def make_again(self, built: Built) -> None:
        """Make the environment of an image again, as is done when there is nothing else to do."""
        async with self.machine.work() as work:
            notes = BuildLog(FileLog(self.log), secrets=[], most_bytes=2**20)
            try:
                await self.machine.wired.again.make_again(environment_of(built).key, notes, work)
            finally:
                await notes.close()


def _write_wheels(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)
    for version in ("1.0", "2.0"):
        module = f"of_{version[0]}"
        # Of one length, so that only what is in it tells one from the other.
        code = {"__init__": f"VERSION = '{version}'\n", "same": f"VERSION = '{version}'\n", module: ""}
        write_wheel(folder, "alpha", {f"alpha/{name}.py": text for name, text in code.items()}, version=version)
    for name in ("beta", "gamma", *_USUAL, *(f"step{number}" for number in range(DEEPEST))):
        write_wheel(folder, name, {f"{name}.py": "HERE = True\n"})


@pytest.fixture(scope="module")
def growing(builder: Builder, reachable_root: Path, account: Account) -> Iterator[Growing]:
    """Give the repository."""
    folder = reachable_root / "growing"
    folder.mkdir()
    folder.chmod(0o711)
    _write_wheels(folder / "wheels")
    usual = new_repository(folder / "usual", account)
    there = asyncio.run(builder.build(usual.source, usual.commit({"a.ipynb": "{}"})))
    host = host_with(builder.host, folder / "wheels")
    has = [the_base(), environment_of(there)]
    machine = asyncio.run(new_machine(folder / "machine", builder, host=host, has=has))
    yield Growing(machine, environment_of(there), new_repository(folder / "repository", account), folder / "log")
    asyncio.run(remove_machine(machine))


@dataclass(frozen=True)
class Exchanged:
    """Builds after each other, each with an environment that was made of an earlier one, and the last one's files."""

    first: Built
    second: Built
    files: list[str]
    log: str


@pytest.fixture(scope="module")
def exchanged(growing: Growing) -> Exchanged:
    """Build with some packages, then with others."""
    first = asyncio.run(growing.build(*_FIRST))
    second = asyncio.run(growing.build(*_SECOND))
    files = sorted(asyncio.run(growing.machine.inside(second.image, _TREE)))
    return Exchanged(first, second, files, growing.log.read_text())


async def test_some_packages_more_are_exchanged(growing: Growing, exchanged: Exchanged) -> None:
    first, second = exchanged.first, exchanged.second
    assert (first.way, second.way) == ("delta", "delta")
    assert first.why.startswith("An earlier environment differs only in alpha, beta, usual0 and 2 more: ")
    assert second.why.startswith("An earlier environment differs only in alpha, beta, gamma: "), second.why
    assert second.changed == ("alpha", "beta", "gamma")
    assert [one.layer.kind for one in second.layers if one.reused] == ["base"]
    assert "==> Exchanging packages of an earlier environment: alpha, beta, gamma" in exchanged.log
    assert "Installing the environment" not in exchanged.log
    assert (await growing.record(first)).pins["alpha"] == "1.0"
    # What is made again meanwhile is no delta any more.
    assert ((await growing.record(first)).depth, (await growing.record(second)).depth) in {(1, 2), (1, 0)}


async def test_what_was_exchanged_is_what_runs(growing: Growing, exchanged: Exchanged) -> None:
    code = """
import alpha, alpha.same, alpha.of_2, gamma, importlib.util
print(alpha.VERSION, alpha.same.VERSION, importlib.util.find_spec("beta"), importlib.util.find_spec("alpha.of_1"))
print(*(open(module.__cached__, "rb").read(8)[4] for module in (alpha, gamma)))
"""
    lines = await growing.machine.inside(exchanged.second.image, f"python -c '{code}'; pip list 2>/dev/null")
    assert lines[:2] == ["2.0 2.0 None None", "1 1"], "compiled for good, whatever the time of the source"
    listed = {tuple(line.split()) for line in lines[2:]}
    assert {("alpha", "2.0"), ("gamma", "1.0")} <= listed
    assert "beta" not in {name for name, *_ in listed}


async def test_what_is_made_again_is_the_same_and_no_delta_any_more(growing: Growing, exchanged: Exchanged) -> None:
    built, machine = exchanged.second, growing.machine
    before = await growing.record(built)
    assert before.depth > 0
    await growing.make_again(built)
    after = await growing.record(built)
    assert (after.depth, after.pins, after.packages) == (0, before.pins, before.packages)
    # What was laid on it while it was a delta is an image of its own; what comes next lies on the new one.
    again = await growing.build(*_SECOND, **{"a.ipynb": new_token()})
    assert again.way == "content"
    assert environment_of(again) == environment_of(built)
    assert sorted(await machine.inside(again.image, _TREE)) == exchanged.files
    whole = await _diff_ids(machine, f"localhost/binder:{environment_of(built).tag}")
    assert (await _diff_ids(machine, again.image))[:-1] == whole
    assert len(whole) == 2
    # The first one may itself be a delta, of what else was made on this machine.
    first = await _diff_ids(machine, f"localhost/binder:{growing.usual.tag}")
    assert len(await _diff_ids(machine, built.image)) == len(first) + before.depth + 1


async def _diff_ids(machine: Builder, image: str) -> list[str]:
    inspected = await said_by_buildah(machine, "inspect", "--type", "image", image)
    found: list[str] = json.loads(inspected)["OCIv1"]["rootfs"]["diff_ids"]
    return found


async def test_what_is_made_again_is_made_again_once(growing: Growing, exchanged: Exchanged) -> None:
    again = growing.machine.wired.again
    due = again.due()
    assert due == environment_of(exchanged.first).key, "the oldest"
    LocalTexts(growing.machine.paths).forget(f"again-{due}")
    assert again.due() != due
    growing.log.write_text("")
    await growing.make_again(exchanged.first)
    assert growing.log.read_text() == ""


async def test_deltas_lie_on_each_other_up_to_a_depth(growing: Growing, exchanged: Exchanged) -> None:
    assert (await growing.record(exchanged.first)).depth == 1
    depths = []
    for number in range(DEEPEST):
        built = await growing.build(*_FIRST, *(f"step{step}" for step in range(number + 1)))
        assert built.way == "delta"
        depths.append((await growing.record(built)).depth)
    assert depths == [min(number + 2, DEEPEST) for number in range(DEEPEST)]
