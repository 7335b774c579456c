"""Builds of forks' commits: they get nothing of the host's, and leave nothing to others."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from binder.errors import BinderError, RepositoryFault
from binder.names import new_token
from binder.process import Account
from build.images import LocalTexts, read_record
from build.lock import lock_text
from build.log import BuildLog, FileLog
from build.pipeline import Built
from build.planner import Job
from tests.build.conftest import environment_of
from tests.build.machines import new_machine, remove_machine, the_base
from tests.build.package_index import Index, demanding_host, running_index, write_wheel
from tests.builds import Builder
from tests.repositories import Files, LocalRepository, Script, new_repository

pytestmark = pytest.mark.slow

MakeRepository = Callable[[Files], LocalRepository]

_PRIVATE = "of-the-house==1.0\n"


@dataclass(frozen=True)
class House:
    """A machine whose host has a password for an index, and a repository of which it has built a commit."""

    machine: Builder
    index: Index
    repository: LocalRepository
    built: Built

    async def build_of_fork(self, files: Files) -> Built:
        """Build a commit on the repository's as that of a fork."""
        sha = self.repository.commit(files)
        self.index.asked_with_password = False
        return await self.machine.build(replace(self.repository.source, trusted=False), sha)

    async def lock(self) -> str:
        """Return what `binder lock` makes of the repository."""
        async with self.machine.work() as work:
            notes = BuildLog(FileLog(work / "log"), secrets=(), most_bytes=2**20)
            sha = self.repository.git("rev-parse", "HEAD")
            job = Job(self.repository.source, sha, notes, work, _entered)
            try:
                return lock_text((await self.machine.wired.planner.lock(job))[1])
            finally:
                await notes.close()


async def _entered(state: object) -> None:
    """Take no notice."""


@pytest.fixture(scope="module")
def house(builder: Builder, reachable_root: Path, account: Account) -> Iterator[House]:
    """Build what needs a package that only the password opens."""
    folder = reachable_root / "house"
    folder.mkdir()
    folder.chmod(0o711)
    wheels = folder / "wheels"
    wheels.mkdir()
    write_wheel(wheels, "of_the_house", {"of_the_house.py": "SECRET = 42\n"})
    usual = new_repository(folder / "usual", account)
    near = environment_of(asyncio.run(builder.build(usual.source, usual.commit({"a.ipynb": "{}"}))))
    with running_index(wheels) as index:
        host, _ = demanding_host(builder.host, folder, index)
        machine = asyncio.run(new_machine(folder / "machine", builder, host=host, has=[the_base(), near]))
        repository = new_repository(folder / "repository", account)
        sha = repository.commit({"requirements.txt": _PRIVATE})
        yield House(machine, index, repository, asyncio.run(machine.build(repository.source, sha)))
        asyncio.run(remove_machine(machine))


async def test_the_repository_itself_has_what_the_password_opens(house: House) -> None:
    assert house.built.way == "full"
    code = "import of_the_house; print(of_the_house.SECRET)"
    assert await house.machine.inside(house.built.image, f"python -c '{code}'") == ["42"]


async def test_a_fork_cannot_have_it_although_it_was_downloaded(house: House) -> None:
    with pytest.raises(RepositoryFault, match="of-the-house"):
        await house.build_of_fork({"requirements.txt": _PRIVATE, "a.txt": new_token()})
    assert not house.index.asked_with_password


async def test_a_fork_cannot_have_it_by_a_lock_that_names_the_file(house: House) -> None:
    house.repository.commit({"requirements.txt": _PRIVATE})
    lock = await house.lock()
    assert "of-the-house==1.0" in lock
    with pytest.raises(RepositoryFault):
        await house.build_of_fork({"requirements.txt": _PRIVATE, "binder.lock": lock})
    place = f"http://127.0.0.1:{house.index.server_port}/files/of_the_house-1.0-py3-none-any.whl"
    with pytest.raises(BinderError, match="of-the-house"):
        await house.build_of_fork({"requirements.txt": f"of-the-house @ {place}\n", "binder.lock": None})
    assert not house.index.asked_with_password


async def test_a_fork_that_needs_no_password_is_built_of_what_everybody_may_have(house: House) -> None:
    built = await house.build_of_fork({"requirements.txt": None, "binder.lock": None, "a.ipynb": new_token()})
    assert built.way == "content"
    assert not house.index.asked_with_password


async def test_a_fork_takes_what_is_there_and_its_own_image_is_not_the_repositorys(
    builder: Builder, make_repository: MakeRepository
) -> None:
    files: Files = {
        "binder.yml": "post_build:\n  inputs: [asked.txt]\n",
        "postBuild": Script("#!/bin/sh\nhead -c 9 /dev/urandom | base64 >~/made\n"),
        "asked.txt": new_token(),
    }
    repository = make_repository(files)
    first = await builder.build(repository.source, repository.git("rev-parse", "HEAD"))
    sha = repository.commit({"a.ipynb": new_token()})
    fork = await builder.build(replace(repository.source, trusted=False), sha)
    own = await builder.build(repository.source, sha)
    assert [one.layer.kind for one in fork.layers if one.reused] == ["base", "environment", "prepared"]
    assert [one.layer.key for one in fork.layers[:-1]] == [one.layer.key for one in first.layers[:-1]]
    assert not own.layers[-1].reused
    assert fork.image != own.image
    await builder.forget([first.image, fork.image, own.image])
    await builder.forget([_name(first, "prepared")])


async def test_what_a_fork_makes_is_taken_by_forks_alone(builder: Builder, make_repository: MakeRepository) -> None:
    files: Files = {
        "requirements.txt": "six==1.16.0\n",
        "binder.yml": "post_build:\n  inputs: [asked.txt]\n",
        "postBuild": Script("#!/bin/sh\nhead -c 9 /dev/urandom | base64 >~/made\n"),
        "asked.txt": new_token(),
    }
    repository = make_repository(files)
    source = replace(repository.source, trusted=False)
    sha = repository.git("rev-parse", "HEAD")
    await _without_six(builder, repository, sha)
    fork = await builder.build(source, sha)
    next_one = await builder.build(source, repository.commit({"a.ipynb": new_token()}))
    assert [one.layer.kind for one in next_one.layers if one.reused] == ["base", "environment", "prepared"]
    record = await read_record(LocalTexts(builder.paths), environment_of(fork))
    assert (record.family, record.pins["six"]) == (None, "1.16.0"), "nobody begins with it"
    assert builder.wired.again.due() != environment_of(fork).key, "nobody makes it again"
    own = await builder.build(repository.source, sha)
    kinds = ("environment", "prepared", "content")
    assert not {_name(fork, kind) for kind in kinds} & {_name(own, kind) for kind in kinds}
    assert not {one.layer.kind for one in own.layers if one.reused} & {*kinds}
    made = [(await builder.inside(built.image, "cat made"))[0] for built in (fork, next_one, own)]
    assert made[0] == made[1] != made[2]
    await builder.forget([fork.image, next_one.image, own.image])
    await builder.forget([_name(built, kind) for built in (fork, own) for kind in ("prepared",)])
    await builder.forget([_name(built, "environment") for built in (fork, own)])


async def _without_six(builder: Builder, repository: LocalRepository, sha: str) -> None:
    """See that the environment that is asked for is not there, nor its lock."""
    built = await builder.build(repository.source, sha)
    await builder.forget([built.image])
    await builder.forget([_name(built, "prepared")])
    await builder.forget([_name(built, "environment")])


def _name(built: Built, kind: str) -> str:
    return next(f"localhost/binder:{one.layer.tag}" for one in built.layers if one.layer.kind == kind)
