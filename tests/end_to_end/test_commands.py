"""The commands of a person at a terminal, run as they would."""

import asyncio
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from binder.cli.git import git
from binder.errors import RepositoryFault
from build.lock import lock_from
from tests.builds import Builder
from tests.repositories import Files, LocalRepository
from tests.unit_file import bounded_as_the_unit_is

pytestmark = pytest.mark.slow


async def _binder(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, bounded: bool = False
) -> tuple[int, str]:
    argv = (sys.executable, "-m", "binder", *arguments)
    process = await asyncio.create_subprocess_exec(
        *(bounded_as_the_unit_is(*argv) if bounded else argv),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "200", **(env or {})},
        cwd=cwd,
    )
    async with asyncio.timeout(240):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.fixture
def own_state(home: Path) -> dict[str, str]:
    return {"BINDER_STATE_DIR": str(home / "state")}


async def test_demo_once(own_state: dict[str, str]) -> None:
    """Within what the systemd unit leaves a service."""
    ports = ("--port", "0", "--github-port", "0")
    code, output = await _binder("demo", "--once", *ports, env=own_state, bounded=True)
    assert code == 0, output
    for step in ("First push", "opens JupyterLab", "A cell runs", "Second push", "Pull request"):
        assert re.search(rf"✓ .*{step}.* s", output), output
    assert not (Path(own_state["BINDER_STATE_DIR"]) / "demo").exists()


async def test_demo_says_which_port_is_taken(own_state: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, output = await _binder("demo", "--once", "--port", port, env=own_state)
    assert code == 4
    assert output == (f"binder: Port {port} is taken. Stop what listens there, or choose another one with --port.\n")


async def test_serve_says_which_port_is_taken(own_state: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        code, output = await _binder("serve", env={**own_state, "BINDER_LISTEN": listen})
    assert code == 4
    assert f"HAProxy cannot listen on {listen}: another program does." in output.splitlines()[-1]


async def test_serve_names_every_wrong_setting(own_state: dict[str, str]) -> None:
    code, output = await _binder("serve", env={**own_state, "BINDER_URL": "nowhere", "BINDER_BUILDS_AT_ONCE": "0"})
    assert code == 4
    assert output.count("\n") == 1
    assert "BINDER_URL" in output
    assert "BINDER_BUILDS_AT_ONCE" in output


async def test_serve_names_a_broken_template_and_its_line(own_state: dict[str, str], home: Path) -> None:
    page = home / "templates" / "pages" / "front.html"
    page.parent.mkdir(parents=True)
    page.write_text("<h1>\n{{ nothing }}\n</h1>", encoding="utf-8")
    code, output = await _binder("serve", env={**own_state, "BINDER_TEMPLATES": str(home / "templates")})
    assert code == 4
    assert output.startswith("binder: The template pages/front.html line 2: it asks for `nothing`")


async def test_a_tool_that_is_missing_is_named(own_state: dict[str, str], home: Path) -> None:
    """In a mount namespace of its own, the machine loses its buildah."""
    nothing = home / "nothing"
    nothing.touch(mode=0o644)
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--mount", "sh", "-c", f'mount --bind {nothing} /usr/bin/buildah && exec "$@"', "sh"),
        *(sys.executable, "-m", "binder", "doctor"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **own_state},
    )
    output, _ = await process.communicate()
    assert process.returncode == 4
    assert "buildah is not installed. `make set-up` installs it" in output.decode()


async def test_a_full_disk_is_said(own_state: dict[str, str], home: Path) -> None:
    """In a mount namespace of its own, the cache folder lies on a file system of 16 MiB."""
    cache = home / "cache"
    cache.mkdir()
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size=16m none {cache} && exec "$@"', "sh"),
        *(sys.executable, "-m", "binder", "serve"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **own_state, "BINDER_CACHE_DIR": str(cache)},
    )
    output, _ = await process.communicate()
    assert process.returncode == 4
    assert output.decode().startswith("binder: The disk is full:")


async def test_preview_of_a_folder(own_state: dict[str, str], home: Path) -> None:
    folder = home / "my work"
    folder.mkdir()
    (folder / "one.ipynb").write_text("{}", encoding="utf-8")
    await git(folder, "init", "--quiet", "--initial-branch=main")
    await git(folder, "add", "--all")
    await git(folder, "commit", "--quiet", "--message", "One")
    (folder / "two.txt").touch()
    code, output = await _binder("preview", str(folder), "--once", "--port", "0", env=own_state)
    assert code == 0, output
    assert "not committed" in output
    assert re.search("✓ .*opens JupyterLab", output)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["/nonexistent"], "is neither a folder nor an address"),
        (["/"], "is not a git repository that has 'HEAD'"),
        (["http://127.0.0.1:9/nothing.git"], "could not fetch"),
    ],
)
async def test_preview_of_what_is_not_there(own_state: dict[str, str], arguments: list[str], sentence: str) -> None:
    code, output = await _binder("preview", *arguments, "--once", "--port", "0", env=own_state)
    assert code in {2, 5}
    assert sentence in " ".join(output.split())


async def test_preview_of_a_repository_that_does_not_build(own_state: dict[str, str], home: Path) -> None:
    folder = home / "broken"
    folder.mkdir()
    (folder / "requirements.txt").write_text("nosuchpackage-for-preview\n", encoding="utf-8")
    await git(folder, "init", "--quiet", "--initial-branch=main")
    await git(folder, "add", "--all")
    await git(folder, "commit", "--quiet", "--message", "One")
    code, output = await _binder("preview", str(folder), "--once", "--port", "0", env=own_state)
    assert code == 3
    assert "nosuchpackage-for-preview" in output


async def _folder_of(home: Path, name: str, files: Mapping[str, str]) -> Path:
    """Make a repository of one commit that has a notebook; the files are beside it, and not committed."""
    folder = home / name
    folder.mkdir()
    (folder / "one.ipynb").write_text("{}", encoding="utf-8")
    await git(folder, "init", "--quiet", "--initial-branch=main")
    await git(folder, "add", "--all")
    await git(folder, "commit", "--quiet", "--message", "One")
    for path, text in files.items():
        (folder / path).write_text(text, encoding="utf-8")
    return folder


async def test_lock_is_of_the_files_as_they_are_and_builds_keep_to_it(
    own_state: dict[str, str],
    home: Path,
    builder: Builder,
    make_repository: Callable[[Files], LocalRepository],
) -> None:
    folder = await _folder_of(home, "locked", {"requirements.txt": "six\n"})
    code, output = await _binder("lock", str(folder), env=own_state)
    assert code == 0, output
    assert re.search(r"binder\.lock names \d+ packages", output)
    assert await git(folder, "status", "--porcelain") == "?? binder.lock\n?? requirements.txt"
    assert not [path for path in (home / "state").rglob("*") if path.is_file()]
    text = (folder / "binder.lock").read_text(encoding="utf-8")
    lock = lock_from(text)
    assert lock
    assert {"six", "jupyterlab"} <= set(lock.pins)

    log = home / "log"
    repository = make_repository({"requirements.txt": "six\n", "binder.lock": text})
    built = await builder.build(repository.source, repository.git("rev-parse", "HEAD"), log=log)
    assert "==> The environment is that of binder.lock" in log.read_text(encoding="utf-8")
    installed = {name: version for kind, name, version in built.packages or () if kind == "pypi"}
    assert installed == lock.pins
    await builder.forget([built.image])
    changed = repository.commit({"requirements.txt": "six\ncowsay\n"})
    with pytest.raises(RepositoryFault, match=r"made from other configuration files .* Run `binder lock`") as caught:
        await builder.build(repository.source, changed)
    assert caught.value.file == "binder.lock"


@pytest.mark.parametrize(
    ("files", "code", "sentence"),
    [
        ({"Dockerfile": "FROM scratch\n"}, 3, "there is nothing to lock"),
        ({"requirements.txt": "six\nnosuchpackage-for-lock\n"}, 3, "nosuchpackage-for-lock was not found"),
    ],
)
async def test_lock_of_what_has_none(
    own_state: dict[str, str], home: Path, files: dict[str, str], code: int, sentence: str
) -> None:
    folder = await _folder_of(home, "none", files)
    ended, output = await _binder("lock", str(folder), env=own_state)
    assert ended == code, output
    assert sentence in " ".join(output.split())
    assert not (folder / "binder.lock").exists()


async def test_lock_of_what_is_no_repository(own_state: dict[str, str], home: Path) -> None:
    code, output = await _binder("lock", str(home), env=own_state)
    assert code == 2
    assert "is not a folder of a git repository" in " ".join(output.split())
