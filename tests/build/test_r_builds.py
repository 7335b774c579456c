"""R from end to end: Debian's R, CRAN's packages of a day, the repository as a package, and a kernel that answers."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from binder.errors import RepositoryFault
from binder.paths import Paths
from binder.process import Account
from build.host import find_host_settings
from tests.build.conda_channel import served
from tests.build.conftest import Build, Works
from tests.build.cran_mirror import r_package, write_archive
from tests.builds import Builder, new_builder
from tests.repositories import Files, LocalRepository

pytestmark = pytest.mark.slow

MakeRepository = Callable[[Files], LocalRepository]

_DAY = "2024-05-31"
_NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "height",
            "metadata": {},
            "outputs": [],
            "source": ["library(tides)\n", "cat(height(), R.version$major)"],
        }
    ],
    "metadata": {"kernelspec": {"display_name": "R", "language": "R", "name": "ir"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


@pytest.fixture(scope="module")
def r(engine_paths: Paths, reachable_root: Path, account: Account) -> Iterator[Builder]:
    """A builder of a host that knows an archive of CRAN as it was on one day."""
    folder = reachable_root / "cran"
    write_archive(folder / _DAY, {"tiny": "answer <- function() 42\n"})
    paths = Paths(reachable_root / "r", engine_paths.cache)
    paths.make(account)
    with served(folder) as address:
        snapshot = f"{address}/{{date}}"
        host = asyncio.run(find_host_settings(cran="http://127.0.0.1:9/closed", cran_snapshot=snapshot))
        yield asyncio.run(new_builder(paths, account, host))


async def test_a_repository_of_r_has_the_packages_of_its_day_and_a_kernel(
    r: Builder, build: Build, make_repository: MakeRepository, works: Works
) -> None:
    files: Files = {
        **r_package("tides", "0.1", "height <- function() tiny::answer() / 6\n", "Imports: methods, tiny (>= 1.0)\n"),
        "runtime.txt": f"r-4.2-{_DAY}\n",
        # The last line is in many repositories. It wants Jupyter.
        "install.R": 'install.packages("tiny")\nlibrary(tiny)\nIRkernel::installspec(name = "own")\n',
        "requirements.txt": "toolz==0.12.0\n",
        "notebook.ipynb": json.dumps(_NOTEBOOK),
    }
    repository = make_repository(files)
    log = repository.folder / "log"
    built = await build(repository, by=r, log=log)
    assert {("cran", "tiny", "1.0"), ("pypi", "toolz", "0.12.0")} <= set(map(tuple, built.packages or ()))
    script = """
        Rscript -e 'library(tides); cat(height(), "\\n", .libPaths()[1], "\\n", sep = "")'
        jupyter kernelspec list --json | grep -oE '"(own|ir|python3)":'
        jupyter execute --inplace notebook.ipynb 2>&1
        python -c 'import json; print(json.load(open("notebook.ipynb"))["cells"][0]["outputs"][0]["text"])'
        find /opt/binder /home/jovyan ! -user 1000; ls -A /tmp
    """
    height, library, *kernels, text = await r.inside(built.image, script)
    assert (height, library) == ("7", "/opt/binder/r")
    assert sorted(kernels[:3]) == ['"ir":', '"own":', '"python3":']
    assert text in {"7 4", "['7 4']"}
    code = "import subprocess; subprocess.check_output(['Rscript', '-e', 'cat(tides::height())'], text=True)"
    assert await works(built.image, code) == "'7'"


async def test_a_description_is_enough(r: Builder, build: Build, make_repository: MakeRepository) -> None:
    files: Files = {**r_package("tides", "0.1", "height <- function() 7\n"), "data/DESCRIPTION": "not read"}
    repository = make_repository(files)
    built = await build(repository, by=r)
    assert await r.inside(built.image, "cd / && Rscript -e 'cat(tides::height())'") == ["7"]
    assert ("cran", "tides", "0.1") in set(map(tuple, built.packages or ()))
    sha = repository.commit({"R/tides.R": "height <- function() 8\n"})
    again = await build(repository, sha, by=r)
    assert again.way == "content"
    assert await r.inside(again.image, "cd / && Rscript -e 'cat(tides::height())'") == ["8"]
    sha = repository.commit({"R/tides.R": "height <- function( 8\n"})
    with pytest.raises(RepositoryFault, match="Unable to collate and parse R files") as caught:
        await r.build(repository.source, sha)
    assert (caught.value.place, caught.value.step) == ("DESCRIPTION", "content")


async def test_the_line_of_install_r_that_fails_is_named(r: Builder, make_repository: MakeRepository) -> None:
    files: Files = {"runtime.txt": f"r-{_DAY}\n", "install.R": '# ours\n\ninstall.packages("absent")\n'}
    repository = make_repository(files)
    with pytest.raises(RepositoryFault, match="absent") as caught:
        await r.build(repository.source, repository.git("rev-parse", "HEAD"))
    assert (caught.value.place, caught.value.step) == ("install.R line 3", "environment")


@pytest.mark.parametrize(
    ("text", "message"),
    [("r-3.6-2020-01-01\n", r"asks for R 3\.6\. There is R 4\.2 and 4\.5 here"), ("r-4.2\n", "without a day")],
)
async def test_an_r_that_is_not_here_is_refused(
    r: Builder, make_repository: MakeRepository, text: str, message: str
) -> None:
    repository = make_repository({"runtime.txt": text})
    with pytest.raises(RepositoryFault, match=message) as caught:
        await r.build(repository.source, repository.git("rev-parse", "HEAD"))
    assert caught.value.file == "runtime.txt"
