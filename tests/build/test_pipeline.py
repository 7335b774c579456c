"""Builds from end to end, with the real git and the real Buildah."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from binder.errors import BinderError, OperatorFault, RepositoryFault
from binder.lifecycle import BuildState
from binder.names import new_token
from binder.paths import Paths
from binder.process import Account, capture
from binder.settings import Settings
from build.faults import explain_installation
from build.host import find_host_settings
from build.log import BuildLog
from build.pipeline import Built
from build.plan import ENVIRONMENT_HOME, HOME, base_layer, lock_key
from build.recipe import Recipe
from build.requirements import read_requirements
from templates import render
from tests.build.package_index import demanding_host, running_index, write_wheel
from tests.builds import Builder, new_builder
from tests.repositories import Files, Link, LocalRepository, Script, new_repository

pytestmark = pytest.mark.slow

MakeRepository = Callable[[Files], LocalRepository]


@dataclass(frozen=True)
class Whole:
    """A build that had to make its environment, of packages that only this host has or that have no wheel."""

    repository: LocalRepository
    builder: Builder
    built: Built
    states: list[BuildState]
    log: str
    traces: list[str]


_DEMANDING = "docopt==0.6.2\nof-this-host==1.0\n"


@pytest.fixture(scope="module")
def whole(engine_paths: Paths, reachable_root: Path, account: Account) -> Iterator[Whole]:
    """Build a demanding repository, on a host that needs settings to reach its packages."""
    folder = reachable_root / "whole"
    folder.mkdir()
    folder.chmod(0o711)
    paths = Paths(folder / "state", engine_paths.cache)
    paths.make(account)
    _forget_lock(paths)
    with running_index() as index:
        host, traces = demanding_host(asyncio.run(find_host_settings()), folder, index)
        write_wheel(folder / "secret-place-of-wheels", "of_this_host", {"of_this_host.py": "ANSWER = 42\n"})
        builder = asyncio.run(new_builder(paths, account, host))
        repository = new_repository(folder / "repository", account)
        sha = repository.commit({"requirements.txt": _DEMANDING, "notebook.ipynb": "{}", "old/gone.txt": "x"})
        states: list[BuildState] = []
        log = folder / "log"
        built = asyncio.run(builder.build(repository.source, sha, log=log, enter=states.append))
        assert index.asked_with_password
        yield Whole(repository, builder, built, states, log.read_text(), traces)
        asyncio.run(builder.forget([layer.image for layer, _ in built.layers[1:]]))
        _forget_lock(paths)


def _forget_lock(paths: Paths) -> None:
    base = base_layer(Settings.model_fields["debian_suite"].default)
    recipe = Recipe(read_requirements("requirements.txt", _DEMANDING), None)
    (paths.locks / lock_key(base, recipe)).unlink(missing_ok=True)


Build = Callable[..., Awaitable[Built]]


@pytest.fixture
async def build(builder: Builder) -> AsyncIterator[Build]:
    """Build a repository's head, or another commit of it; the images are removed after the test."""
    made: list[str] = []

    async def build_head(repository: LocalRepository, sha: str | None = None) -> Built:
        built = await builder.build(repository.source, sha or repository.git("rev-parse", "HEAD"))
        made.append(built.image)
        return built

    yield build_head
    await builder.forget(made)


def reused(built: Built) -> list[str]:
    return [layer.kind for layer, reused in built.layers if reused]


async def test_a_whole_build_says_what_it_did(whole: Whole) -> None:
    assert whole.built.way == "full"
    assert reused(whole.built) == ["base"]
    assert whole.states == [BuildState.FETCHING, BuildState.BUILDING, BuildState.PUSHING]
    assert set(whole.built.seconds) == {"fetch", "environment", "content"}
    assert (await whole.builder.buildah.images())[whole.built.image] == whole.built.digest
    for heading in ("Fetching commit", "Resolving", "Installing", "building the packages", "1 of 3 layers"):
        assert heading in whole.log


async def test_an_image_has_what_was_asked_for_and_jupyter(whole: Whole) -> None:
    code = (
        "import jupyterlab, notebook, ipywidgets, docopt, of_this_host; print(docopt.__version__, of_this_host.ANSWER)"
    )
    script = f"""
        python -c '{code}'
        command -v jupyter-lab; command -v pip
        cat /opt/binder/requirements.lock
    """
    lines = await whole.builder.inside(whole.built.image, script)
    assert lines[:3] == ["0.6.2 42", "/opt/binder/env/bin/jupyter-lab", "/opt/binder/env/bin/pip"]
    assert {"docopt==0.6.2 \\", "of-this-host==1.0 \\"} <= set(lines)
    assert all(line.startswith(("    --hash=sha256:", "#")) or "==" in line for line in lines[3:] if line)


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
    inspected = await _buildah(whole.builder, "inspect", "--type", "image", whole.built.image)
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


async def _buildah(builder: Builder, *arguments: str) -> str:
    command = builder.buildah.command(["buildah", *arguments])
    code, output = await capture(command, timeout_seconds=30, most_bytes=2**24)
    assert code == 0, output
    return output.decode()


async def test_what_is_built_from_source_stays_out_of_the_common_folder(whole: Whole) -> None:
    found: list[str] = []

    async def take(line: str) -> None:
        found.append(line)

    folder = str(whole.builder.paths.packages / "wheels")
    script = 'find "$1" -path "*sdists*" -name "*docopt*"; ls "$1" | head -1'
    await whole.builder.buildah.run_script(script, folder, step="look", take=take)
    assert len(found) == 1, "nothing that was built, and something that was downloaded"


async def test_a_push_of_content_makes_one_layer(whole: Whole, build: Build) -> None:
    changes: Files = {"notebook.ipynb": '{"cells": []}', "old/gone.txt": None, "new.txt": new_token()}
    sha = whole.repository.commit(changes)
    built = await build(whole.repository, sha)
    assert (built.way, reused(built)) == ("content", ["base", "environment"])
    assert built.layers[1] == (whole.built.layers[1][0], True)
    script = (
        "cat notebook.ipynb; echo; find . -type f ! -name '.b*' ! -name .profile | sort; find /tmp /var/tmp -type f"
    )
    lines = await whole.builder.inside(built.image, script)
    assert lines == ['{"cells": []}', "./new.txt", "./notebook.ipynb", "./requirements.txt"]


async def test_the_same_files_are_the_same_image_whoevers_they_are(
    whole: Whole, make_repository: MakeRepository
) -> None:
    other = make_repository({"requirements.txt": _DEMANDING, "notebook.ipynb": "{}", "old/gone.txt": "x"})
    sha = other.commit({}, time=1_800_000_000)
    built = await whole.builder.build(other.source, sha)
    assert (built.way, reused(built)) == ("nothing", ["base", "environment", "content"])
    assert (built.image, built.digest) == (whole.built.image, whole.built.digest)


async def test_repositories_that_ask_for_the_same_share_it(
    whole: Whole, build: Build, make_repository: MakeRepository
) -> None:
    built = await build(make_repository({"binder/requirements.txt": _DEMANDING, "other.ipynb": "{}"}))
    assert (built.way, built.layers[1][0]) == ("content", whole.built.layers[1][0])


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


async def test_a_post_build_runs_as_the_user_in_the_repository(
    builder: Builder, jupyter_image: str, build: Build, make_repository: MakeRepository
) -> None:
    script = (
        "#!/bin/bash\nset -e\nid -u >who\npwd >where\nexport LEAKED=1\npip config list >/dev/null\npython -V >python\n"
    )
    built = await build(make_repository({"binder/postBuild": Script(script), "data.txt": new_token()}))
    lines = await builder.inside(built.image, 'cat who where python; echo "${LEAKED:-no}"; find . ! -user 1000')
    assert lines[:2] == ["1000", "/home/jovyan"]
    assert lines[2].startswith("Python 3.")
    assert lines[3:] == ["no"]


async def _fault(builder: Builder, repository: LocalRepository, sha: str = "", log: Path | None = None) -> BinderError:
    with pytest.raises(BinderError) as caught:
        await builder.build(repository.source, sha or repository.git("rev-parse", "HEAD"), log=log)
    return caught.value


async def test_a_package_that_does_not_exist_is_named_with_its_line(
    builder: Builder, make_repository: MakeRepository
) -> None:
    repository = make_repository({"requirements.txt": "# ours\nsix\nno-such-package-of-anybody\n"})
    fault = await _fault(builder, repository)
    assert isinstance(fault, RepositoryFault)
    assert (fault.place, fault.step) == ("requirements.txt line 3", "environment")
    assert "no-such-package-of-anybody" in fault.message


async def test_a_post_build_that_fails_is_named_with_its_status(
    builder: Builder, jupyter_image: str, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository = make_repository({"postBuild": Script("#!/bin/sh\necho what went wrong\nexit 3\n")})
    fault = await _fault(builder, repository, log=tmp_path / "log")
    assert isinstance(fault, RepositoryFault)
    assert (fault.place, fault.step) == ("postBuild", "postBuild")
    assert "status 3" in fault.message
    assert "\nwhat went wrong\n" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("files", "file"),
    [
        ({"binder/a": "x", ".binder/a": "x"}, ".binder"),
        ({"environment.yml": "name: x\n"}, "environment.yml"),
        ({"Dockerfile": "FROM scratch\n"}, "Dockerfile"),
        ({"postBuild": "#!/bin/sh\n"}, "postBuild"),
        ({"requirements.txt": "-e .\n"}, "requirements.txt"),
        ({"requirements.txt": Link("/etc/passwd")}, "requirements.txt"),
        ({"pyproject.toml": "[project]\n[build-system]\n"}, "pyproject.toml"),
    ],
)
async def test_what_cannot_be_built_is_named(
    builder: Builder, make_repository: MakeRepository, files: Files, file: str
) -> None:
    fault = await _fault(builder, make_repository(files))
    assert isinstance(fault, RepositoryFault)
    assert fault.file == file


async def test_links_that_lead_out_of_a_repository_lead_nowhere(
    builder: Builder, jupyter_image: str, build: Build, make_repository: MakeRepository, reachable_path: Path
) -> None:
    secret = reachable_path / "secret"
    secret.write_text("of the host")
    secret.chmod(0o644)
    links: Files = {
        "file": Link(str(secret)),
        "folder": Link(str(reachable_path)),
        "up": Link("../../../../../../etc/passwd"),
        ".local": Link("/etc"),
        "itself": Link("itself"),
    }
    built = await build(make_repository(links))
    script = (
        "for name in file folder up .local itself; do readlink $name; done; cat file folder/secret 2>/dev/null; true"
    )
    assert await builder.inside(built.image, script) == [str(link) for link in links.values()]


async def test_a_commit_may_be_of_any_time(
    builder: Builder, jupyter_image: str, build: Build, make_repository: MakeRepository
) -> None:
    repository = make_repository({"a.txt": "of another time"})
    tree = repository.git("rev-parse", "HEAD^{tree}").encode()
    for time in (0, 2**62):
        who = b"Ada <ada@example.org> %d +0000" % time
        sha = repository.commit_object(b"tree %b\nauthor %b\ncommitter %b\n\nx\n" % (tree, who, who))
        built = await build(repository, sha)
        assert await builder.inside(built.image, "cat a.txt") == ["of another time"]
        await builder.forget([built.image])


async def test_what_is_installed_does_not_run_where_it_could_change_what_others_get(
    builder: Builder, jupyter_image: str, reachable_path: Path
) -> None:
    """A wheel can hold a .pth file, and any Python that starts beside it runs what that says."""
    reachable_path.chmod(0o755)
    code = "import os; open('/run/packages/touched', 'w'); open('/opt/binder/touched', 'w')\n"
    write_wheel(reachable_path, "trap", {"trap.pth": code, "trap.py": "x = 1\n", "sitecustomize.py": code})
    image = "localhost/binder/test:trap"
    async with builder.work() as work:
        packages, context = builder.pipeline._new_folder(work / "packages"), work / "environment"
        await builder.pipeline._make_folders(packages)
        context.mkdir(mode=0o755)
        (context / "requirements.lock").write_text("--no-index\n--find-links /run/links/9\ntrap==1.0\n")
        base = base_layer(Settings.model_fields["debian_suite"].default)
        values = {"base": base.image, "prefix": ENVIRONMENT_HOME, "home": HOME, "builds_allowed": False}
        containerfile = work / "Containerfile"
        containerfile.write_text(render("build/environment.Containerfile", **values))
        mounts = [
            *builder.pipeline._mounts(),
            (reachable_path, "/run/links/9", "ro"),
            (packages, "/run/packages", "rw"),
        ]
        log = BuildLog(work / "log", secrets=[], most_bytes=2**16)
        try:
            await builder.buildah.make(
                image,
                containerfile,
                context,
                mounts=mounts,
                created=None,
                step="environment",
                log=log,
                explain=explain_installation,
            )
        finally:
            log.close()
        seen: list[str] = []

        async def take(line: str) -> None:
            seen.append(line)

        await builder.buildah.run_script('find "$1" -name touched; echo end', str(packages), step="look", take=take)
        assert seen == ["end"]
    script = "find /opt/binder -name touched; find /opt/binder -name 'trap*.pyc' | wc -l"
    assert await builder.inside(image, script) == ["1"]
    await builder.forget([image])


async def test_a_full_disk_is_the_operators_fault(builder: Builder) -> None:
    script = 'echo "write /x: no space left on device"; exit 1'

    def explain(output: str) -> BinderError:
        return RepositoryFault(output)

    with pytest.raises(OperatorFault, match="disk of this service is full"):
        await builder.buildah.run_script(script, step="x", take=None, explain=explain)


async def test_a_step_that_takes_too_long_is_stopped(builder: Builder, account: Account) -> None:
    buildah = type(builder.buildah)(builder.paths, account, timeout_seconds=0.3)
    with pytest.raises(RepositoryFault, match=r"“postBuild” did not end within 0\.3 seconds"):
        await buildah.run_script("sleep 60", step="postBuild", take=None)


async def test_images_without_a_name_are_passed_over(builder: Builder, jupyter_image: str) -> None:
    script = 'c=$(buildah from --pull-never "$1") && buildah commit --quiet --rm "$c"'
    made: list[str] = []

    async def take(line: str) -> None:
        made.append(line)

    await builder.buildah.run_script(script, jupyter_image, step="unnamed", take=take)
    try:
        assert '"names": null' in await _buildah(builder, "images", "--json")
        images = await builder.buildah.images()
        assert jupyter_image in images
        assert all(name.startswith("localhost/") and digest.startswith("sha256:") for name, digest in images.items())
    finally:
        await _buildah(builder, "rmi", made[-1])


async def test_images_may_go_while_they_are_listed(builder: Builder, jupyter_image: str) -> None:
    script = (
        'for n in 1 2 3 4; do c=$(buildah from "$1"); i=$(buildah commit --quiet --rm "$c"); buildah rmi "$i"; done'
    )
    going = asyncio.create_task(builder.buildah.run_script(script, jupyter_image, step="going", take=None))
    while not going.done():
        assert jupyter_image in await builder.buildah.images()
    await going
