"""Builds of repositories that ask for modules: real images of them, and real clients in the notebook's image."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from binder.errors import OperatorFault, RepositoryFault
from binder.process import Account
from build.pipeline import Built
from modules.beginning import new_module
from modules.bound import as_json, images_of
from modules.catalogue import Catalogue
from modules.reading import read_module
from tests.build.conftest import Build, Works
from tests.builds import Builder, new_builder
from tests.repositories import Files, LocalRepository, new_repository

pytestmark = pytest.mark.slow

MakeRepository = Callable[[Files], LocalRepository]

_ASKED = """\
modules:
  mailbox:
    seed: first.txt
    parameters:
      greeting: "It's {{ me }} \\"x\\" $HOME"
"""
_MODULE = "binder/modules/mailbox/1.0"


def module_files(folder: str = _MODULE, changes: Mapping[str, tuple[str, str]] | None = None) -> dict[str, bytes]:
    """Return the files of a small module in a repository, with one text of some files put for another."""
    found = {f"{folder}/{path}": content for path, content in new_module("mailbox", "1.0").items()}
    for path, (old, new) in (changes or {}).items():
        assert old.encode() in found[f"{folder}/{path}"]
        found[f"{folder}/{path}"] = found[f"{folder}/{path}"].replace(old.encode(), new.encode())
    return found


def files(changes: Mapping[str, tuple[str, str]] | None = None) -> dict[str, str | bytes]:
    return {"binder.yml": _ASKED, "first.txt": "seed", "a.ipynb": "{}", **module_files(changes=changes)}


@dataclass(frozen=True)
class Made:
    """A repository that brings a module, and its build."""

    repository: LocalRepository
    built: Built
    log: str

    @property
    def image(self) -> str:
        (image,) = images_of(as_json(self.built.modules))
        return image


@pytest.fixture(scope="module")
def made(builder: Builder, jupyter_image: str, reachable_root: Path, account: Account) -> Iterator[Made]:
    """Build it, on a machine on which nobody has asked for the module."""
    folder = reachable_root / "modules"
    folder.mkdir()
    folder.chmod(0o711)
    repository = new_repository(folder / "repository", account)
    # An image of an earlier run would be used again.
    sha = repository.commit(files({"images/server/Containerfile": ("CMD", f"LABEL run={folder.parent.name}\nCMD")}))
    built = asyncio.run(builder.build(repository.source, sha, log=folder / "log"))
    found = Made(repository, built, (folder / "log").read_text())
    yield found
    asyncio.run(builder.forget([built.image, found.image]))


async def test_a_build_keeps_the_module_with_what_is_asked_of_it(made: Made, builder: Builder) -> None:
    (bound,) = made.built.modules
    assert (bound.name, bound.version, bound.title, bound.mode) == ("mailbox", "1.0", "mailbox", "single-node")
    assert bound.values == {"greeting": 'It\'s {{ me }} "x" $HOME', "memory": 64 * 2**20}
    assert bound.seed
    assert bound.seed.file == "./first.txt"
    assert made.image.startswith("localhost/binder:module-")
    assert made.image in await builder.buildah.images()
    assert "==> Modules: mailbox 1.0 (single-node)" in made.log
    assert "==> Making the image server of the module mailbox 1.0" in made.log
    assert set(made.built.seconds) == {"fetch", "plan", "modules", "environment", "content"}


async def test_the_image_of_a_module_runs_as_it_should(made: Made, builder: Builder) -> None:
    script = """
        export GREETING=hello PASSWORD=secret
        id -u; touch /var/lib/server/x && ls -ld /usr/local/bin/server | cut -c 1-10
        server >/dev/null 2>&1 & server=$!
        for n in $(seq 50); do server --check 2>/dev/null && break; sleep 0.1; done
        python3 -c 'if True:
            import urllib.request as r
            print(r.urlopen(r.Request("http://127.0.0.1:8090/", headers={"X-Password": "secret"})).read().decode())'
        kill $server
    """
    assert await builder.inside(made.image, script) == ["1000", "-rwxr-xr-x", "hello"]


async def test_a_notebook_has_the_helper_and_the_example(made: Made, builder: Builder) -> None:
    script = """
        PYTHONPATH=/opt/binder/modules python -c 'from binder_modules import mailbox; print(mailbox.get.__doc__)'
        ls binder-modules; find /opt/binder/modules /home/jovyan ! -user 1000; stat -c '%U %a' /opt /opt/binder
    """
    lines = await builder.inside(made.built.image, script)
    assert lines == ["Return what the server says.", "mailbox.ipynb", "root 755", "jovyan 755"]


async def test_a_session_has_it_seeded_and_within_reach_of_its_helper(made: Made, works: Works) -> None:
    """What `binder modules new` writes is a module that works, from its image to its example."""
    (bound,) = made.built.modules
    code = "from binder_modules import mailbox; print(mailbox.get(), mailbox.put('kept'), mailbox.get())"
    assert await works(made.built.image, code, modules=[bound]) == "seed kept kept\n"
    greeting = await works(made.built.image, code, modules=[replace(bound, seed=None)])
    assert greeting == 'It\'s {{ me }} "x" $HOME kept kept\n'


async def test_what_did_not_change_is_not_made_again(made: Made, build: Build, reachable_path: Path) -> None:
    sha = made.repository.commit({"binder.yml": _ASKED.replace("It's", "It is"), "new.txt": "x"})
    built = await build(made.repository, sha, log=reachable_path / "log")
    assert built.way == "content"
    assert images_of(as_json(built.modules)) == {made.image}
    assert built.modules[0].values["greeting"] != made.built.modules[0].values["greeting"]
    assert "Making the image" not in (reachable_path / "log").read_text()


async def test_a_fork_keeps_its_own_module_apart(made: Made, builder: Builder, build: Build) -> None:
    sha = made.repository.git("rev-list", "--max-parents=0", "HEAD")
    fork = await builder.build(replace(made.repository.source, trusted=False), sha)
    (image,) = images_of(as_json(fork.modules))
    try:
        assert image != made.image
        assert fork.image != made.built.image
    finally:
        await builder.forget([fork.image, image])


async def test_a_new_helper_is_a_new_image_of_the_notebook(made: Made, build: Build) -> None:
    """Its own key knows the files that modules lay beside those of the repository."""
    first = await build(made.repository, made.repository.git("rev-list", "--max-parents=0", "HEAD"))
    assert first.way == "nothing"
    changed = {"client/binder_modules/mailbox.py": ("Return what", "Give what")}
    built = await build(made.repository, made.repository.commit(module_files(changes=changed)))
    assert built.way == "content"


@pytest.mark.parametrize(
    ("changes", "file", "line", "problem"),
    [
        (
            {"images/server/Containerfile": ("FROM ${BASE}", "FROM debian:12")},
            "images/server/Containerfile",
            4,
            "begins",
        ),
        (
            {"images/server/Containerfile": ("CMD", "RUN echo broken; false\nCMD")},
            "images/server/Containerfile",
            9,
            "ended with status 1: broken",
        ),
        ({"module.yml": ("memory: memory", "memory: much")}, "module.yml", 16, "must be a size"),
    ],
)
async def test_a_module_that_is_wrong_is_the_repositorys_fault(
    build: Build,
    make_repository: MakeRepository,
    changes: dict[str, tuple[str, str]],
    file: str,
    line: int,
    problem: str,
) -> None:
    with pytest.raises(RepositoryFault, match=problem) as caught:
        await build(make_repository(files(changes)))
    assert (caught.value.file, caught.value.line) == (f"{_MODULE}/{file}", line)


async def test_a_fault_in_what_all_versions_have_is_named_where_it_is(
    build: Build, make_repository: MakeRepository
) -> None:
    there = {path.replace("/1.0/components", "/all/components"): content for path, content in module_files().items()}
    place = "binder/modules/mailbox/all/components/server.json"
    there[place] = there[place].replace(b'"cpus": 0.5', b'"cpus": 500')
    with pytest.raises(RepositoryFault, match=f"in {place} must be a number") as caught:
        await build(make_repository({"binder.yml": "modules: [mailbox]", **there}))
    assert (caught.value.file, caught.value.line) == (place, 7)


@pytest.mark.parametrize(
    ("settings", "problem", "line"),
    [
        ({"repository_modules": False}, "which this service does not allow", 2),
        ({"modules_memory_bytes_at_most": 2**25}, "ask for 64 MiB of memory together; 32 MiB are allowed", 2),
    ],
)
async def test_an_operator_says_what_may_be_asked_for(
    builder: Builder,
    make_repository: MakeRepository,
    settings: dict[str, object],
    problem: str,
    line: int,
) -> None:
    repository = make_repository(files())
    other = await new_builder(builder.paths, builder.account, builder.host, settings)
    with pytest.raises(RepositoryFault, match=problem) as caught:
        await other.build(repository.source, repository.git("rev-parse", "HEAD"))
    assert (caught.value.file, caught.value.line) == ("binder.yml", line)


async def test_without_a_network_an_own_module_has_no_packages_of_debian(
    builder: Builder, make_repository: MakeRepository
) -> None:
    repository = make_repository({**files(), f"{_MODULE}/images/server/apt.txt": "tree\n"})
    settings = {"build_network": "dependencies"}
    other = await new_builder(builder.paths, builder.account, builder.host, settings)
    with pytest.raises(OperatorFault, match=r"apt\.txt asks for packages of Debian, .* no network here"):
        await other.build(repository.source, repository.git("rev-parse", "HEAD"))


async def test_clients_packages_are_locked_and_installed(
    builder: Builder, build: Build, make_repository: MakeRepository
) -> None:
    wants = {"module.yml": ("  python: []\n  debian: []", "  python: [six==1.16.0]\n  debian: [tree]")}
    repository = make_repository(files(wants))
    place, lock = await builder.lock(repository.source, repository.git("rev-parse", "HEAD"))
    assert (place, lock.pins["six"]) == ("binder.lock", "1.16.0")
    built = await build(repository)
    assert {("pypi", "six", "1.16.0")} <= set(map(tuple, built.packages or ()))
    script = "python -c 'import six; print(six.__version__)'; command -v tree"
    assert await builder.inside(built.image, script) == ["1.16.0", "/usr/bin/tree"]


async def test_a_client_that_cannot_be_had_names_its_module(build: Build, make_repository: MakeRepository) -> None:
    wants = {"module.yml": ("  python: []", "  python: [six==1.16.0]")}
    repository = make_repository({**files(wants), "requirements.txt": "six==1.15.0\n"})
    with pytest.raises(RepositoryFault, match=r"six==1\.1[56]\.0") as caught:
        await build(repository)
    assert (caught.value.file, caught.value.line) in {("requirements.txt", 1), ("binder.yml", 2)}
    other = make_repository(files({"module.yml": ("  debian: []", "  debian: [no-such-package-at-all]")}))
    with pytest.raises(RepositoryFault, match="Debian has no package no-such-package-at-all") as caught:
        await build(other)
    assert (caught.value.file, caught.value.line) == ("binder.yml", 2)


def _catalogue(changes: Mapping[str, tuple[str, str]] | None = None) -> Catalogue:
    """Return a catalogue of one module, an operator's."""
    given = {path.removeprefix(f"{_MODULE}/"): data for path, data in module_files(changes=changes).items()}
    return Catalogue().joined([read_module("mailbox", "1.0", given, origin="/srv/modules")])


@pytest.mark.parametrize("broken", ["RUN false\nCMD", "RUN sh /run/asked/system.sh && false\nCMD", "COPY none /\nCMD"])
async def test_an_operators_module_that_cannot_be_made_is_the_operators_fault(
    builder: Builder, make_repository: MakeRepository, broken: str
) -> None:
    repository = make_repository({"binder.yml": "modules: [mailbox]", "a.ipynb": "{}"})
    catalogue = _catalogue({"images/server/Containerfile": ("CMD", broken)})
    other = await new_builder(builder.paths, builder.account, builder.host, catalogue=catalogue)
    with pytest.raises(OperatorFault, match=r"mailbox 1\.0 \(/srv/modules\) cannot be made: .*Containerfile line 9"):
        await other.build(repository.source, repository.git("rev-parse", "HEAD"))


async def test_with_a_dockerfile_there_are_services_and_no_clients(
    builder: Builder, make_repository: MakeRepository, reachable_path: Path
) -> None:
    clients = {"module.yml": ("  python: []", "  python: [six]")}
    other = await new_builder(builder.paths, builder.account, builder.host, catalogue=_catalogue(clients))
    repository = make_repository(
        {"Dockerfile": "FROM scratch\nCOPY a.ipynb /\n", "binder.yml": _ASKED, "a.ipynb": "{}", "first.txt": "x"}
    )
    log = reachable_path / "log"
    built = await other.build(repository.source, repository.git("rev-parse", "HEAD"), log=log)
    await builder.forget([built.image])
    assert [one.layer.kind for one in built.layers] == ["content"]
    assert [one.name for one in built.modules] == ["mailbox"]
    assert images_of(as_json(built.modules))
    assert "Dockerfile says what the image holds: it gets no packages of their clients." in log.read_text()
