"""Repositories that were made to harm, through whole builds: each is refused or harmless, and the next build works."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from binder.errors import BinderError, RepositoryFault
from binder.names import new_token
from binder.paths import Paths
from binder.process import Account
from tests.build.conftest import Build
from tests.builds import Builder, new_builder
from tests.leftovers import all_mounts, are_gone, new_marker
from tests.repositories import Files, Link, LocalRepository, Script

pytestmark = pytest.mark.slow

MakeRepository = Callable[[Files], LocalRepository]

_MOST_BYTES = 2**20


@pytest.fixture
async def small(
    paths: Paths, account: Account, builder: Builder, jupyter_image: str, make_repository: MakeRepository
) -> AsyncIterator[Builder]:
    """A builder that takes small repositories only; after the test, it must build a good one, with nothing left."""
    small = await new_builder(paths, account, builder.host, {"repository_bytes": _MOST_BYTES})
    yield small
    assert not [path for path in paths.work.iterdir() if path.name.startswith(paths.instance)]
    assert not [mount for mount in all_mounts() if str(paths.state) in mount]
    good = make_repository({"good.txt": new_token()})
    built = await small.build(good.source, good.git("rev-parse", "HEAD"))
    assert built.way == "content"
    await small.forget([built.image])


async def _fault(builder: Builder, repository: LocalRepository, sha: str = "") -> BinderError:
    log = repository.folder.parent / "log"
    with pytest.raises(BinderError) as caught:
        await builder.build(repository.source, sha or repository.git("rev-parse", "HEAD"), log=log)
    assert "root:x:" not in log.read_text() + caught.value.message
    return caught.value


async def test_too_many_files(small: Builder, make_repository: MakeRepository) -> None:
    repository = make_repository({"a.txt": "x"})
    blob = repository.blob(b"x").encode()
    sha = repository.commit_tree(b"".join(b"100644 blob %b\t%06d\0" % (blob, number) for number in range(100_001)))
    assert "more than 100,000 files" in (await _fault(small, repository, sha)).message


async def test_files_that_are_too_large(small: Builder, make_repository: MakeRepository) -> None:
    fault = await _fault(small, make_repository({"data.bin": bytes(2 * _MOST_BYTES)}))
    assert isinstance(fault, RepositoryFault)
    assert fault.file == "data.bin"


@pytest.mark.parametrize("name", [b"..", b".git", b"a/../../b", b"caf\xe9", b".wh..", b".wh..wh..opq"])
async def test_names_that_lead_elsewhere(small: Builder, make_repository: MakeRepository, name: bytes) -> None:
    repository = make_repository({"a.txt": "x"})
    if b"/" in name or name in {b"..", b".git"}:
        content = b"100644 %b\0%b" % (name, bytes.fromhex(repository.blob(b"x")))
        tree = repository.git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=content)
        sha = repository.git("commit-tree", "-m", "A tree", tree)
    else:
        sha = repository.commit_tree(b"100644 blob %b\t%b\0" % (repository.blob(b"x").encode(), name))
    assert isinstance(await _fault(small, repository, sha), RepositoryFault)


@pytest.mark.parametrize(
    "name",
    [
        *("requirements.txt", "environment.yml", "apt.txt", "runtime.txt", "Pipfile", "Pipfile.lock", "pyproject.toml"),
        *("pylock.toml", "pixi.lock", "binder.yml", "binder.lock", "postBuild", "start", "Dockerfile", "DESCRIPTION"),
        *("Project.toml", ".dockerignore", ".containerignore"),
    ],
)
async def test_a_configuration_file_that_is_a_link_out_of_the_repository(
    small: Builder, make_repository: MakeRepository, name: str
) -> None:
    fault = await _fault(small, make_repository({name: Link("/etc/passwd")}))
    assert isinstance(fault, RepositoryFault)
    assert fault.file == name


@pytest.mark.parametrize(
    ("files", "file"),
    [
        ({"requirements.txt": "-r more.txt\n", "more.txt": Link("../../../../etc/passwd")}, "more.txt"),
        ({"requirements.txt": "-e ./sub\n", "sub": Link("/etc")}, "requirements.txt"),
        ({"requirements.txt": "-e ../sub\n"}, "requirements.txt"),
        ({"requirements.txt": "./x.whl\n", "x.whl": Link("/etc/passwd")}, "requirements.txt"),
        ({"uv.lock": Link("/etc/passwd"), "pyproject.toml": "[project]\nname='x'\nversion='1'\n"}, "uv.lock"),
        ({"install.R": Link("/etc/passwd"), "runtime.txt": "r-2024-05-31\n"}, "install.R"),
        ({"Dockerfile": "FROM scratch\n", ".dockerignore": Link("/dev/zero")}, ".dockerignore"),
        ({"binder.yml": "post_build: {inputs: [../x]}\n", "postBuild": Script("#!/bin/sh\n")}, "binder.yml"),
    ],
)
async def test_a_file_that_is_led_to_and_leads_out(
    small: Builder, make_repository: MakeRepository, files: Files, file: str
) -> None:
    fault = await _fault(small, make_repository(files))
    assert isinstance(fault, RepositoryFault)
    assert fault.file == file


async def test_odd_names_are_files_like_others(small: Builder, build: Build, make_repository: MakeRepository) -> None:
    names = ["-rf", "a\nb", "$(touch here)", "\x1b[2J", " ", "*", "run.sh\\", "é", "'", '"']
    built = await build(make_repository(dict.fromkeys(names, "x")), by=small)
    script = "python -c 'import json, os; print(json.dumps(os.listdir()))'"
    (listed,) = await small.inside(built.image, script)
    assert set(json.loads(listed)) >= set(names)


async def test_what_a_build_starts_ends_with_it(small: Builder, build: Build, make_repository: MakeRepository) -> None:
    marker = new_marker()
    script = f"#!/bin/bash\nsetsid nohup sleep {marker} >/dev/null 2>&1 &\ndisown\necho started\n"
    await build(make_repository({"postBuild": Script(script), "x": new_token()}), by=small)
    assert await are_gone(marker)


async def test_a_build_that_says_too_much(small: Builder, make_repository: MakeRepository, tmp_path: Path) -> None:
    script = f"#!/bin/bash\n# {new_token()}\nhead -c 5000000 /dev/zero | tr '\\0' x\n"
    script += "yes '\x1b[2J' | head -c 5000000\nexit 3\n"
    repository = make_repository({"postBuild": Script(script)})
    log = tmp_path / "log"
    with pytest.raises(RepositoryFault, match="ended with status 3") as caught:
        await small.build(repository.source, repository.git("rev-parse", "HEAD"), log=log)
    assert log.stat().st_size < 2**20 + 2**16
    assert len(caught.value.message) < 1000


_REACHING = """\
import os
from setuptools import setup

for path in ("/run/packages/evil", "/run/binder/evil", "/run/asked/evil", "/run/tree.tar", "/run/credentials/netrc"):
    try:
        open(path, "a").close()
        print("REACHED", path)
    except OSError as error:
        print("refused", path, error)
os.system("setsid sleep {marker} >/dev/null 2>&1 &")
setup(name="tides", version="1.0", install_requires=["toolz==0.12.0"])
"""


async def test_what_a_repository_runs_changes_nothing_of_others(
    small: Builder, build: Build, make_repository: MakeRepository
) -> None:
    marker = new_marker()
    built = await build(make_repository({"setup.py": _REACHING.format(marker=marker), "x": new_token()}), by=small)
    assert await are_gone(marker)
    seen: list[str] = []

    async def take(line: str) -> None:
        seen.append(line)

    script = 'find "$1" -name "evil*"; echo looked'
    await small.buildah.run_script(script, str(small.paths.packages), step="look", take=take)
    assert seen == ["looked"]
    assert not [path for folder in (small.paths.tools, small.paths.locks) for path in folder.rglob("evil*")]
    assert await small.inside(built.image, "find /run /opt -name evil 2>/dev/null; echo looked") == ["looked"]
