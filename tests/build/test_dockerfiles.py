"""Repositories with a Dockerfile of their own, from end to end: with a registry, and a mirror of Docker Hub in it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from binder.containers import release_engine
from binder.errors import RepositoryFault
from binder.names import new_token
from binder.process import Account
from build.images import LocalTexts, Record, read_record, write_record
from tests.build.conftest import Build, Works
from tests.build.git_servers import GitServer, git_server
from tests.build.machines import new_machine, remove_machine, said_by_buildah
from tests.build.mirrors import Mirror, write_tiny_system
from tests.build.registry_servers import RunningRegistry, running_registry
from tests.builds import Builder, new_builder
from tests.repositories import Files, Link, LocalRepository, Script

pytestmark = pytest.mark.slow

MakeRepository = Callable[[Files], LocalRepository]

_DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG VERSION=1
FROM tiny:${VERSION} AS made
RUN mkdir /made && echo from the other stage >/made/file

FROM library/tiny:1
ARG NB_USER
ARG NB_UID=1001
RUN mkdir -p /home/jovyan && \\
    # as people write it
    echo "$NB_USER $NB_UID" >/told && \\
    chmod 777 /home/jovyan
COPY --from=made /made/file /from-made
COPY --chown=${NB_UID} . /home/jovyan/
WORKDIR /home/jovyan
ENV HOME=/home/jovyan
LABEL of.the.author=kept
USER ${NB_UID}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """The registry, for our images and for the mirror."""
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


def _settings(registry: RunningRegistry) -> dict[str, Any]:
    return {
        "registry": f"{registry.host}/test/binder",
        "registry_plain_http": True,
        "docker_mirror": f"{registry.host}/hub",
    }


@pytest.fixture(scope="module")
def mirror(registry: RunningRegistry, builder: Builder, reachable_root: Path) -> Iterator[Mirror]:
    """The mirror, which has `tiny:1`, and the folders of a machine that builds."""
    settings = _settings(registry)
    machine = asyncio.run(new_machine(reachable_root / "of-dockerfiles", builder, **settings))
    system = reachable_root / "tiny"
    write_tiny_system(system)
    mirror = Mirror(str(settings["docker_mirror"]), machine, system)
    asyncio.run(mirror.put("library/tiny:1"))
    yield mirror
    asyncio.run(release_engine(machine.paths, machine.account))
    asyncio.run(remove_machine(machine))


@pytest.fixture
async def machine(registry: RunningRegistry, mirror: Mirror) -> AsyncIterator[Builder]:
    """The machine that builds; its connections to the registry are this test's."""
    made = mirror.machine
    machine = await new_builder(made.paths, made.account, made.host, _settings(registry))
    yield machine
    await machine.wired.close()


async def _refusal(machine: Builder, repository: LocalRepository, log: Path | None = None) -> RepositoryFault:
    with pytest.raises(RepositoryFault) as caught:
        await machine.build(repository.source, repository.git("rev-parse", "HEAD"), log=log)
    return caught.value


async def test_a_dockerfile_says_it_all(
    machine: Builder, build: Build, make_repository: MakeRepository, registry: RunningRegistry
) -> None:
    files: Files = {
        "Dockerfile": _DOCKERFILE,
        "requirements.txt": "no-such-package-of-anybody\n",
        ".dockerignore": "# left out\nsecret.txt\nlogs/*\n!logs/kept.log\n.dockerignore\n",
        "secret.txt": "x",
        "logs/one.log": "x",
        "logs/kept.log": "x",
        "run.sh": Script("#!/bin/sh\n"),
        "link": Link("run.sh"),
        "notebook.ipynb": "{}",
    }
    repository = make_repository(files)
    built = await build(repository, by=machine)
    assert (built.way, built.image.partition(":content-")[0]) == ("full", f"{registry.host}/test/binder")
    script = "cat /told /from-made; pwd; id -u; ls -R; readlink link; [ -x run.sh ] && echo can be run"
    assert await machine.inside(built.image, script) == [
        *("jovyan 1000", "from the other stage", "/home/jovyan", "1000"),
        *(".:", "Dockerfile", "link", "logs", "notebook.ipynb", "requirements.txt", "run.sh"),
        *("", "./logs:", "kept.log", "run.sh", "can be run"),
    ]
    inspected = json.loads(await said_by_buildah(machine, "inspect", "--type", "image", built.image))
    labels = inspected["OCIv1"]["config"]["Labels"]
    assert labels["of.the.author"] == "kept"
    assert labels["org.opencontainers.image.revision"] == repository.git("rev-parse", "HEAD")
    assert labels["org.opencontainers.image.source"] == repository.source.url
    again = await build(repository, by=machine)
    assert (again.way, again.digest) == ("nothing", built.digest)


async def test_the_steps_that_did_not_change_are_used_again(
    machine: Builder, build: Build, make_repository: MakeRepository
) -> None:
    repository = make_repository({"Dockerfile": _DOCKERFILE, "notebook.ipynb": "{}"})
    log = repository.folder / "log"
    await build(repository, by=machine)
    sha = repository.commit({"notebook.ipynb": '{"cells": []}'})
    built = await build(repository, sha, by=machine, log=log)
    assert await machine.inside(built.image, "cat notebook.ipynb; echo; cat /told") == ['{"cells": []}', "jovyan 1000"]
    assert log.read_text().count("Using cache") == 5, "those of the stage, and those before the files"


async def test_a_step_that_reads_mounted_files_is_not_used_again(
    machine: Builder, build: Build, make_repository: MakeRepository
) -> None:
    text = f"FROM tiny:1\nRUN --mount=type=bind,source=said,target=/said cat /said >/seen && : {new_token()}\n"
    repository = make_repository({"Dockerfile": text, "said": "at first\n"})
    first = await build(repository, by=machine)
    second = await build(repository, repository.commit({"said": "then\n"}), by=machine)
    seen = [(await machine.inside(built.image, "cat /seen"))[0] for built in (first, second)]
    assert seen == ["at first", "then"]


async def test_a_step_of_a_fork_is_used_again_by_forks_alone(machine: Builder, make_repository: MakeRepository) -> None:
    text = f"FROM tiny:1\nRUN cat /proc/sys/kernel/random/uuid >/seen && : {new_token()}\n"
    repository = make_repository({"Dockerfile": text})
    sha, source = repository.git("rev-parse", "HEAD"), replace(repository.source, trusted=False)
    fork, own = await machine.build(source, sha), await machine.build(repository.source, sha)
    next_one = await machine.build(source, repository.commit({"more": new_token()}))
    seen = [(await machine.inside(built.image, "cat /seen"))[0] for built in (fork, next_one, own)]
    assert seen[0] == seen[1] != seen[2]
    assert fork.image != own.image
    await machine.forget([fork.image, own.image, next_one.image])


async def test_what_an_image_holds_is_listed_and_kept(
    machine: Builder, build: Build, make_repository: MakeRepository
) -> None:
    dpkg = "Package: {}\nStatus: install ok installed\nVersion: 1:2.0-1\n\n"
    site = "system/usr/local/lib/python3.12/site-packages"
    files: Files = {
        "Dockerfile": "FROM tiny:1\nCOPY system /\nUSER 1000\n",
        "system/var/lib/dpkg/status": "".join(map(dpkg.format, ("git", "libc6"))),
        "system/etc/os-release": Link("../usr/lib/os-release"),
        "system/usr/lib/os-release": 'ID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n',
        f"{site}/tides-1.0.dist-info/METADATA": "Name: Tides\nVersion: 1.0\n\n",
    }
    repository = make_repository(files)
    built = await build(repository, by=machine)
    assert list(map(tuple, built.packages or ())) == [
        ("deb", "git", "1:2.0-1"),
        ("deb", "libc6", "1:2.0-1"),
        ("os", "ubuntu", "noble"),
        ("pypi", "tides", "1.0"),
    ]
    layer, texts = built.layers[-1].layer, machine.paths.locks
    (texts / f"record-{layer.tag}").unlink()
    again = await build(repository, by=machine)
    assert (again.way, again.packages) == ("nothing", built.packages), "the registry has it"
    # Of another image of that name nothing is known yet.
    await write_record(LocalTexts(machine.paths), layer, Record(packages=[], listed_of="sha256:0"))
    assert (await build(repository, by=machine)).packages == built.packages
    assert (await read_record(LocalTexts(machine.paths), layer)).listed_of == built.digest
    assert await said_by_buildah(machine, "containers", "--quiet") == ""


async def test_an_image_that_does_harm_to_who_looks_at_it_is_an_image_like_others(
    machine: Builder, build: Build, make_repository: MakeRepository, reachable_path: Path
) -> None:
    secret = reachable_path / "status"
    secret.write_text("Package: of-the-host\nStatus: install ok installed\nVersion: 1\n")
    secret.chmod(0o644)
    status = "system/var/lib/dpkg/status"
    files: Files = {
        "Dockerfile": "FROM tiny:1\nCOPY system /\n",
        status: Link(str(secret)),
        "system/etc/os-release": Link("/etc/os-release"),
        "system/usr/local/lib/python3.12": Link("/usr/lib/python3"),
        "system/home/ada/env": Link("/opt/../../../../../.."),
    }
    repository = make_repository(files)
    built = await build(repository, by=machine)
    assert built.packages == []
    log = repository.folder / "log"
    sha = repository.commit({status: bytes(2**24 + 1)})
    built = await build(repository, sha, by=machine, log=log)
    assert built.packages is None
    text = log.read_text()
    assert "The list of the image's packages could not be made. The step “list” failed: " in text
    assert "/var/lib/dpkg/status is too large" in text


async def test_a_file_may_go(machine: Builder, build: Build, make_repository: MakeRepository) -> None:
    repository = make_repository({"Dockerfile": _DOCKERFILE, "old": "x", "new": "x"})
    await build(repository, by=machine)
    built = await build(repository, repository.commit({"old": None}), by=machine)
    assert await machine.inside(built.image, "ls") == ["Dockerfile", "new"]


@pytest.mark.parametrize("path", ["binder/Dockerfile", ".binder/Containerfile"])
async def test_the_context_is_the_whole_repository(
    path: str, machine: Builder, build: Build, make_repository: MakeRepository
) -> None:
    folder = path.partition("/")[0]
    files: Files = {
        path: "FROM tiny:1\nCOPY data /data\nCOPY . /all\n",
        "data/x.csv": "1",
        "Dockerfile": "FROM no-such-image:1\n",
        f"{folder}/.dockerignore": "Dockerfile\n",
        ".dockerignore": "data\n",
    }
    built = await build(make_repository(files), by=machine)
    # The root's own Dockerfile is left out by the folder's ignore file; what the root's says does not count.
    script = f"cat /data/x.csv; echo; ls -A /all; ls -A /all/{folder}"
    there = [".dockerignore", folder, "data"], sorted([".dockerignore", path.partition("/")[2]])
    assert await machine.inside(built.image, script) == ["1", *sorted(there[0]), *there[1]]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "FROM tiny:1\n\nRUN echo one && \\\n  echo what went wrong && \\\n  exit 3\n",
            3,
            "status 3: what went wrong",
        ),
        ("FROM tiny:1 AS one\nRUN true\nFROM tiny:1\nRUN no-such-command\n", 4, "status 127: .*no-such-command"),
        ("FROM tiny:1\nCOPY absent.txt /\n", 2, "'absent.txt', which is not in the repository"),
        ("FROM tiny:1\nCOPY ../../../../etc/passwd /\n", 2, "which leads out of the repository"),
        ("FROM tiny:1\nUSER 1000\nRUN echo x >/etc/own\n", 3, "status 2"),
        (
            "ARG X=localhost/binder\nFROM $X:environment-0123456789abcdef\n",
            2,
            "an image of this service",
        ),
        ("FROM tiny:1\nCOPY --from=localhost/binder:base-0 /etc /\n", 2, "an image of this service"),
        ("FROM tiny:1\nRUN --mount=type=bind,source=link,target=/x cat /x\n", 2, "by a symbolic link"),
        ("FROM tiny:1\nRUN --mount=type=bind,source=folder/../link,target=/x cat /x\n", 2, "by a symbolic link"),
        ("FROM tiny:1\nRUN --mount=type=cache,id=../../..,target=/x,required=true ls /x\n", 2, "type cache"),
        ("FROM tiny:1\nRUN --security=insecure id\n", 2, "not to be had here"),
        ("FROM tiny:1\nRUN <<END\nid\nEND\n", 2, "here-document"),
    ],
)
async def test_the_line_at_fault_is_named(
    machine: Builder, make_repository: MakeRepository, text: str, line: int, message: str
) -> None:
    repository = make_repository({"Dockerfile": text, "link": Link("/etc/passwd"), "folder/x": "x"})
    with pytest.raises(RepositoryFault, match=message) as caught:
        await machine.build(repository.source, repository.git("rev-parse", "HEAD"))
    assert caught.value.place == f"Dockerfile line {line}"


async def test_an_image_that_is_not_there_or_is_ours_cannot_be_begun_with(
    machine: Builder, make_repository: MakeRepository, registry: RunningRegistry
) -> None:
    absent, ours = f"{registry.host}/hub/library/tiny:2", f"{registry.host}/test/binder:content-0"
    fault = await _refusal(machine, make_repository({"Dockerfile": f"FROM tiny:1\nCOPY --from={absent} / /\n"}))
    assert (fault.place, fault.step) == ("Dockerfile line 2", "image")
    assert f"asks for {absent}, which its registry does not have" in fault.message
    fault = await _refusal(machine, make_repository({"Dockerfile": f"FROM {ours}\n"}))
    assert fault.place == "Dockerfile line 1"
    assert "an image of this service" in fault.message


async def test_links_of_the_repository_lead_nowhere(
    machine: Builder, build: Build, make_repository: MakeRepository, reachable_path: Path
) -> None:
    secret = reachable_path / "secret"
    secret.write_text("of the host")
    secret.chmod(0o644)
    text = "FROM tiny:1\nCOPY . /all\nRUN --mount=type=bind,target=/context cat /context/file >/seen 2>&1 || true\n"
    repository = make_repository({"Dockerfile": text, "file": Link(str(secret)), "folder": Link(str(reachable_path))})
    built = await build(repository, by=machine)
    script = "readlink /all/file /all/folder; cat /all/file /all/folder/secret 2>/dev/null; cat /seen"
    lines = await machine.inside(built.image, script)
    assert lines[:2] == [str(secret), str(reachable_path)]
    assert "of the host" not in "".join(lines)
    sha = repository.commit({"Dockerfile": "FROM tiny:1\nCOPY file /copied\nRUN cat /copied\n"})
    log = repository.folder / "log"
    with pytest.raises(RepositoryFault) as caught:
        await machine.build(repository.source, sha, log=log)
    assert caught.value.place == "Dockerfile line 2"
    assert "of the host" not in log.read_text()


async def test_what_an_image_asks_of_those_that_begin_with_it_is_done_or_refused(
    machine: Builder, mirror: Mirror, build: Build, make_repository: MakeRepository
) -> None:
    await mirror.put("ada/good:1", ["RUN echo triggered >/triggered"])
    await mirror.put("ada/bad:1", ["COPY --from=localhost/binder:base-0 / /"])
    built = await build(make_repository({"Dockerfile": "FROM ada/good:1\n"}), by=machine)
    assert await machine.inside(built.image, "cat /triggered") == ["triggered"]
    fault = await _refusal(machine, make_repository({"Dockerfile": "# one\nFROM ada/bad:1\n"}))
    assert fault.place == "Dockerfile line 2"
    assert "ONBUILD" in fault.message


async def test_a_session_starts_the_server_that_an_authors_image_has(
    machine: Builder, make_repository: MakeRepository, works: Works
) -> None:
    server = Script('#!/bin/sh\necho "Mine: $1 of $#"\nexit 3\n')
    repository = make_repository({"Dockerfile": "FROM tiny:1\nUSER 1000\n", "jupyter-notebook": server})
    built = await machine.build(repository.source, repository.git("rev-parse", "HEAD"))
    with pytest.raises(RepositoryFault, match="There is no jupyter-lab, jupyter-notebook or jupyter-server in the im"):
        await works(built.image, "", machine.paths)
    sha = repository.commit({"Dockerfile": "FROM tiny:1\nCOPY jupyter-notebook /bin/\nUSER 1000\n"})
    built = await machine.build(repository.source, sha)
    with pytest.raises(RepositoryFault, match=r"ended with exit code 3\. Its last lines: Mine: --no-browser of \d+"):
        await works(built.image, "", machine.paths)


async def test_a_build_has_no_network_where_the_operator_gives_none(
    registry: RunningRegistry, mirror: Mirror, reachable_path: Path, make_repository: MakeRepository
) -> None:
    settings = _settings(registry)
    machine = await new_machine(reachable_path / "alone", mirror.machine, build_network="dependencies", **settings)
    try:
        repository = make_repository({"Dockerfile": "FROM tiny:1\nRUN cat /proc/net/dev >/devices\n"})
        built = await machine.build(repository.source, repository.git("rev-parse", "HEAD"))
        _, _, *devices = await machine.inside(built.image, "cat /devices")
        assert [device.split(":")[0].strip() for device in devices] == ["lo"]
    finally:
        await remove_machine(machine)


@pytest.fixture
def server(reachable_path: Path, account: Account) -> Iterator[GitServer]:
    """A server of repositories."""
    root = reachable_path / "served"
    root.mkdir()
    root.chmod(0o755)
    with git_server(root, account) as server:
        yield server


async def test_large_files_and_submodules_are_in_the_context(machine: Builder, server: GitServer) -> None:
    inner = server.repository("ada/inner")
    inner_sha = inner.commit({"b.txt": "of the submodule\n"})
    repository = server.repository("ada/outer")
    files: Files = {
        "Dockerfile": "FROM tiny:1\nCOPY . /all\n",
        ".gitattributes": "*.bin filter=lfs\n",
        "large.bin": server.keep(b"kept elsewhere\n"),
        ".gitmodules": f'[submodule "sub"]\n\tpath = sub\n\turl = {server.origin}/ada/inner.git\n',
    }
    repository.commit(files)
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{inner_sha},sub")
    repository.git("commit", "--quiet", "--message", "A submodule")
    built = await machine.build(server.source("ada/outer"), repository.git("rev-parse", "HEAD"))
    lines = await machine.inside(built.image, "cat /all/large.bin /all/sub/b.txt")
    assert lines == ["kept elsewhere", "of the submodule"]
