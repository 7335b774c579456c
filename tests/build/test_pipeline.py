"""Builds from end to end, with the real git and the real Buildah, on a host that needs settings for its packages."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from binder.lifecycle import BuildState
from binder.names import new_token
from binder.process import Account
from build.environments import Wanted
from build.foundations import foundation_of
from build.host import find_host_settings
from build.lock import Lock
from build.log import BuildLog, FileLog
from build.pipeline import Built
from build.plan import Layer
from build.recipes.recipe import recipe_for
from tests.build.conftest import Build
from tests.build.machines import new_machine, remove_machine, said_by_buildah, the_base
from tests.build.package_index import demanding_host, running_index, write_wheel
from tests.builds import Builder
from tests.repositories import Files, Link, LocalRepository, Script, new_repository

pytestmark = pytest.mark.slow

MakeRepository = Callable[[Files], LocalRepository]

_DEMANDING = "docopt==0.6.2\nof-this-host==1.0\n"
_FILES = {"requirements.txt": _DEMANDING, "notebook.ipynb": "{}", "old/gone.txt": "x"}


@dataclass(frozen=True)
class Whole:
    """A build that had to make its environment, of packages that only this host has or that have no wheel."""

    repository: LocalRepository
    builder: Builder
    built: Built
    states: list[BuildState]
    log: str
    traces: list[str]


@pytest.fixture(scope="module")
def whole(builder: Builder, reachable_root: Path, account: Account) -> Iterator[Whole]:
    """Build a demanding repository, on a machine that has an environment which is near, but not of use."""
    folder = reachable_root / "whole"
    folder.mkdir()
    folder.chmod(0o711)
    usual = new_repository(folder / "usual", account)
    near = environment_of(asyncio.run(builder.build(usual.source, usual.commit({"a.ipynb": "{}"}))))
    with running_index() as index:
        host, traces = demanding_host(asyncio.run(find_host_settings()), folder, index)
        wheels = folder / "secret-place-of-wheels"
        write_wheel(wheels, "of_this_host", {"of_this_host.py": "ANSWER = 42\n"})
        write_wheel(wheels, "trap", {"trap.pth": _TRAP, "trap.py": "x = 1\n", "sitecustomize.py": _TRAP})
        machine = asyncio.run(new_machine(folder / "machine", builder, host=host, has=[the_base(), near]))
        repository = new_repository(folder / "repository", account)
        sha = repository.commit(_FILES)
        states: list[BuildState] = []
        log = folder / "log"
        built = asyncio.run(machine.build(repository.source, sha, log=log, enter=states.append))
        assert index.asked_with_password
        yield Whole(repository, machine, built, states, log.read_text(), traces)
        asyncio.run(remove_machine(machine))


def environment_of(built: Built) -> Layer:
    return next(one.layer for one in built.layers if one.layer.kind == "environment")


def reused(built: Built) -> list[str]:
    return [one.layer.kind for one in built.layers if one.reused]


async def test_a_whole_build_says_what_it_did(whole: Whole) -> None:
    built = whole.built
    assert built.way == "full"
    assert built.why == "No environment of these packages was there, nor one that is near it."
    assert reused(built) == ["base"]
    assert whole.states == [BuildState.FETCHING, BuildState.BUILDING, BuildState.PUSHING]
    assert set(built.seconds) == {"fetch", "plan", "environment", "content"}
    assert (await whole.builder.buildah.images())[built.image] == built.digest
    assert [one.layer.tag for one in built.layers][-1] == built.image.removeprefix("localhost/binder:")


async def test_a_log_tells_of_each_step(whole: Whole) -> None:
    """What must be built is resolved without credentials, is not exchanged, and is built apart from what all share."""
    headings = [line.removeprefix("==> ") for line in whole.log.splitlines() if line.startswith("==> ")]
    expected = [
        "Fetching commit",
        "Resolving the environment",
        "Resolving again, without this service's credentials",
        "Exchanging packages of an earlier environment: docopt, of-this-host",
        "Installing the environment",
        "Installing the environment again, building the packages that have no wheel",
        "Laying the repository's files",
        f"Image {whole.built.image} is ready: 1 of 3 layers were re-used",
    ]
    assert len(headings) == len(expected)
    assert all(heading.startswith(words) for heading, words in zip(headings, expected, strict=True)), headings


async def test_what_an_image_holds_is_known(whole: Whole) -> None:
    packages = set(map(tuple, whole.built.packages or ()))
    assert {("pypi", "docopt", "0.6.2"), ("pypi", "of-this-host", "1.0")} <= packages
    assert {kind for kind, *_ in packages} == {"os", "deb", "pypi"}
    environment = next(one for one in whole.built.layers if one.layer.kind == "environment")
    assert environment.seconds
    assert environment.size_bytes
    assert environment.size_bytes > 2**26


async def test_an_image_has_what_was_asked_for_and_jupyter(whole: Whole) -> None:
    code = (
        "import jupyterlab, notebook, ipywidgets, docopt, of_this_host; print(docopt.__version__, of_this_host.ANSWER)"
    )
    script = f"python -c '{code}'; command -v jupyter-lab; command -v pip; cat /opt/binder/binder.lock"
    lines = await whole.builder.inside(whole.built.image, script)
    assert lines[:3] == ["0.6.2 42", "/opt/binder/env/bin/jupyter-lab", "/opt/binder/env/bin/pip"]
    lock = json.loads("\n".join(lines[3:]))
    assert {"docopt==0.6.2 \\", "of-this-host==1.0 \\"} <= set(lock["pypi"])
    assert all(line.startswith("    --hash=sha256:") or "==" in line for line in lock["pypi"] if line)


async def test_an_image_is_what_notebooks_expect(whole: Whole) -> None:
    script = """
        id -un; id -u; pwd; echo "$HOME"; echo "$REPO_DIR"; echo "$NB_USER $NB_UID"; echo "$PATH"
        find /home/jovyan /opt/binder ! -user 1000 | head
        touch /home/jovyan/x /opt/binder/env/x && pip --version >/dev/null && ls /home/jovyan
    """
    lines = await whole.builder.inside(whole.built.image, script)
    assert lines[:6] == ["jovyan", "1000", "/home/jovyan", "/home/jovyan", "/home/jovyan", "jovyan 1000"]
    assert lines[6].startswith("/opt/binder/env/bin:/home/jovyan/.local/bin:")
    assert lines[7:] == ["notebook.ipynb", "old", "requirements.txt", "x"]


async def test_nothing_of_the_host_is_in_an_image(whole: Whole) -> None:
    inspected = await said_by_buildah(whole.builder, "inspect", "--type", "image", whole.built.image)
    config = json.loads(inspected)["OCIv1"]["config"]
    assert {line.partition("=")[0] for line in config["Env"]} == {
        *("PATH", "LANG", "HOME", "SHELL", "REPO_DIR", "NB_USER", "NB_UID", "VIRTUAL_ENV")
    }
    patterns = " ".join(f"-e '{trace}'" for trace in whole.traces)
    script = f"grep -rlF {patterns} /opt /home /etc /tmp /var /run 2>/dev/null; find /run/binder /run/links -type f"
    assert await whole.builder.inside(whole.built.image, f"{script} 2>/dev/null; true") == []
    for trace in whole.traces:
        assert trace not in inspected
        assert trace not in whole.log


async def test_an_image_says_where_it_comes_from(whole: Whole) -> None:
    inspected = json.loads(await said_by_buildah(whole.builder, "inspect", "--type", "image", whole.built.image))
    sha = whole.repository.git("rev-list", "--max-parents=0", "HEAD")
    labels = inspected["OCIv1"]["config"]["Labels"]
    labels.pop("io.buildah.version", None)
    assert labels == {
        "org.opencontainers.image.source": whole.repository.source.url,
        "org.opencontainers.image.revision": sha,
        "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
    }
    assert inspected["OCIv1"]["created"] == "2023-11-14T22:13:20Z"
    assert inspected["OCIv1"]["config"]["Cmd"] == ["jupyter-lab", "--ip=0.0.0.0"]


async def _lines_of(builder: Builder, script: str, *arguments: str) -> list[str]:
    found: list[str] = []

    async def take(line: str) -> None:
        found.append(line)

    await builder.buildah.run_script(script, *arguments, step="look", take=take)
    return found


async def test_what_is_built_from_source_stays_out_of_the_common_folder(whole: Whole) -> None:
    script = 'find "$1" -path "*sdists*" -name "*docopt*"; ls "$1" | head -1'
    found = await _lines_of(whole.builder, script, str(whole.builder.paths.packages / "wheels"))
    assert len(found) == 1, "nothing that was built, and something that was downloaded"


_TRAP = "import os; open('/run/packages/touched', 'w'); open('/opt/binder/touched', 'w')\n"


async def test_what_is_installed_does_not_run_where_it_could_change_what_others_get(whole: Whole) -> None:
    """A wheel can hold a .pth file, and any Python that starts beside it runs what that says."""
    machine = whole.builder
    recipe = recipe_for({}, {}, ("3.11",))
    foundation = foundation_of("bookworm", recipe, ())
    images: list[str] = []
    for pins in ("trap==1.0\n", "trap==1.0\nsix==1.17.0\n"):
        wanted = Wanted(Layer("environment", f"trap{len(images)}"), foundation.system, Lock(pins), {})
        async with machine.work() as work:
            notes = BuildLog(FileLog(work / "log"), secrets=[], most_bytes=2**16)
            outcome = await machine.wired.again.make(wanted, foundation, recipe, notes, work)
            await notes.close()
        assert outcome.how == ("delta" if images else "whole")
        images.append(f"localhost/binder:{wanted.layer.tag}")
        script = 'find "$1/" -name touched; echo end'
        assert await _lines_of(machine, script, str(machine.paths.packages)) == ["end"]
    script = "find /opt/binder -name touched; find /opt/binder -name 'trap*.pyc' | wc -l"
    assert await machine.inside(images[0], script) == ["1"]


async def test_a_push_of_content_makes_one_layer(whole: Whole, build: Build) -> None:
    changes: Files = {"notebook.ipynb": '{"cells": []}', "old/gone.txt": None, "new.txt": new_token()}
    sha = whole.repository.commit(changes)
    built = await build(whole.repository, sha, by=whole.builder)
    assert (built.way, reused(built)) == ("content", ["base", "environment"])
    assert built.why == "The environment of these packages was there: only the repository's files were laid on it."
    assert environment_of(built) == environment_of(whole.built)
    script = (
        "cat notebook.ipynb; echo; find . -type f ! -name '.b*' ! -name .profile | sort; find /tmp /var/tmp -type f"
    )
    lines = await whole.builder.inside(built.image, script)
    assert lines == ['{"cells": []}', "./new.txt", "./notebook.ipynb", "./requirements.txt"]


async def test_what_is_reused_is_saved(whole: Whole, build: Build) -> None:
    environment = next(one for one in whole.built.layers if one.layer.kind == "environment")
    assert whole.built.saved["bytes"] == 0
    built = await build(whole.repository, whole.repository.commit({"new.txt": new_token()}), by=whole.builder)
    assert built.saved["bytes"] == environment.size_bytes
    assert environment.seconds
    assert built.saved["seconds"] >= round(environment.seconds, 1)


async def test_a_commit_that_was_built_is_nothing_to_do(whole: Whole) -> None:
    sha = whole.repository.git("rev-list", "--max-parents=0", "HEAD")
    built = await whole.builder.build(whole.repository.source, sha)
    assert (built.way, reused(built)) == ("nothing", ["base", "environment", "content"])
    assert built.why == "The image of this commit was there already."
    assert (built.image, built.digest) == (whole.built.image, whole.built.digest)
    assert built.packages == whole.built.packages


async def test_repositories_that_ask_for_the_same_share_it(
    whole: Whole, build: Build, make_repository: MakeRepository
) -> None:
    other = make_repository({"binder/requirements.txt": _DEMANDING, "other.ipynb": "{}"})
    built = await build(other, by=whole.builder)
    assert (built.way, environment_of(built)) == ("content", environment_of(whole.built))


async def test_the_same_commit_is_the_same_image_byte_for_byte(
    builder: Builder, jupyter_image: str, build: Build, make_repository: MakeRepository
) -> None:
    repository = make_repository(
        {"a.txt": "x", "folder/b.txt": "y", "run.sh": Script("#!/bin/sh\n"), "l": Link("a.txt")}
    )
    digests = []
    for _ in range(2):
        built = await build(repository)
        digests.append(built.digest)
        await builder.forget([built.image])
        await asyncio.sleep(1)  # what holds the time of day would differ
    assert digests[0] == digests[1]


async def test_builds_of_one_image_make_it_once(
    jupyter_image: str, build: Build, make_repository: MakeRepository
) -> None:
    repository = make_repository({"a.txt": new_token()})
    builds = await asyncio.gather(*(build(repository) for _ in range(3)))
    assert sorted(built.way for built in builds) == ["content", "nothing", "nothing"]
    assert len({built.digest for built in builds}) == 1
