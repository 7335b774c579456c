"""What of a repository lies elsewhere, in whole builds: files that Git LFS keeps, and submodules."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from binder.errors import RepositoryFault
from binder.process import Account
from tests.build.git_servers import GitServer, git_server
from tests.build.package_index import write_wheel
from tests.builds import Builder
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
