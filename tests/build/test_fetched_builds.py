"""What of a repository lies elsewhere, in whole builds: files that Git LFS keeps, and submodules."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from binder.errors import RepositoryFault
from binder.names import sha_of_version
from binder.paths import Paths
from binder.process import Account
from build.commits.git import Source
from tests.build.archives import archive_server, zipped
from tests.build.git_servers import GitServer, git_server
from tests.build.package_index import write_wheel
from tests.builds import Builder, new_builder
from tests.repositories import Files, LocalRepository

pytestmark = pytest.mark.slow


@pytest.fixture
def server(reachable_path: Path, account: Account) -> Iterator[GitServer]:
    """A server of repositories."""
    root = reachable_path / "served"
    root.mkdir()
    root.chmod(0o755)
    with git_server(root, account) as server:
        yield server


@pytest.fixture
async def made(builder: Builder) -> AsyncIterator[list[str]]:
    """Names of images that go after the test."""
    made: list[str] = []
    yield made
    await builder.forget(made)


def _with_submodule(server: GitServer, repository: LocalRepository, sha: str, files: Files) -> str:
    modules = f'[submodule "libraries/tides"]\n\tpath = libraries/tides\n\turl = {server.origin}/ada/tides.git\n'
    repository.commit({".gitmodules": modules, **files})
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{sha},libraries/tides")
    repository.git("commit", "--quiet", "--message", "A submodule")
    return repository.git("rev-parse", "HEAD")


async def test_a_submodule_is_installed_and_large_files_are_there(
    builder: Builder, server: GitServer, made: list[str], tmp_path: Path
) -> None:
    """The submodule is a project that the repository installs; a wheel is a file that Git LFS keeps."""
    write_wheel(tmp_path, "waves", {"waves.py": "LENGTH = 5\n"})
    wheel = "waves-1.0-py3-none-any.whl"
    tides = server.repository("ada/tides")
    manifest = "[build-system]\nrequires = ['flit_core >= 3.4']\nbuild-backend = 'flit_core.buildapi'\n"
    manifest += (
        "[project]\nname = 'tides'\nversion = '1.0'\ndescription = 'Tides'\ndependencies = ['toolz == 0.12.0']\n"
    )
    tides_sha = tides.commit({"pyproject.toml": manifest, "tides.py": "import toolz\n\nHEIGHT = 3\n"})
    outer = server.repository("ada/outer")
    files: Files = {
        ".gitattributes": "*.whl filter=lfs\n*.csv filter=lfs\n",
        "requirements.txt": f"./{wheel}\n-e ./libraries/tides\n",
        wheel: server.keep((tmp_path / wheel).read_bytes()),
        "data.csv": server.keep(b"1,2\n" * 100_000),
    }
    sha = _with_submodule(server, outer, tides_sha, files)
    built = await builder.build(server.source("ada/outer"), sha)
    made.append(built.image)
    script = "cd / && python -c 'import tides, waves; print(tides.HEIGHT, waves.LENGTH)'; wc -c </home/jovyan/data.csv"
    assert await builder.inside(built.image, script) == ["3 5", "400000"]
    # What is elsewhere changed: the repository's own commit says so.
    sha = _with_submodule(server, outer, tides.commit({"tides.py": "HEIGHT = 4\n"}), {"data.csv": server.keep(b"3\n")})
    again = await builder.build(server.source("ada/outer"), sha)
    made.append(again.image)
    assert again.way == "content"
    assert await builder.inside(again.image, script) == ["4 5", "2"]


async def test_a_large_file_that_is_nowhere_is_named(builder: Builder, server: GitServer) -> None:
    outer = server.repository("ada/outer")
    pointer = server.keep(b"x" * 1000)
    server.large.clear()
    sha = outer.commit({".gitattributes": "*.csv filter=lfs\n", "data.csv": pointer})
    with pytest.raises(RepositoryFault) as caught:
        await builder.build(server.source("ada/outer"), sha)
    assert caught.value.file == "data.csv"


async def test_a_record_is_built_as_a_commit_is(account: Account, made: list[str], engine_paths: Paths) -> None:
    """Its archive has what a repository has; a version that only changes a notebook keeps the environment."""
    files = {
        "x-1/requirements.txt": b"toolz==0.12.0\n",
        "x-1/a.ipynb": b"{}",
        "x-1/postBuild": b"#!/bin/sh\ntouch done\n",
    }
    all_versions = Source("zenodo:10.5281/zenodo.1000", trusted=False)
    with archive_server() as server:
        builder = await new_builder(engine_paths, account, settings={"zenodo_url": server.origin})
        server.zenodo(1001, {"ada/x-1.zip": zipped(files)}, concept=1000)
        built = await builder.build(all_versions, sha_of_version("1001"))
        made.append(built.image)
        server.zenodo(1002, {"ada/x-2.zip": zipped(files | {"x-1/a.ipynb": b"[]"})}, concept=1000)
        again = await builder.build(all_versions, sha_of_version("1002"))
        made.append(again.image)
    script = "python -c 'import toolz; print(toolz.__version__)'; ls; cat a.ipynb"
    listed = ["0.12.0", "a.ipynb", "done", "postBuild", "requirements.txt"]
    assert await builder.inside(built.image, script) == [*listed, "{}"]
    assert await builder.inside(again.image, script) == [*listed, "[]"]
    assert again.way == "content"
