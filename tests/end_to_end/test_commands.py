"""The commands of a person at a terminal, run as they would."""

import asyncio
import os
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from binder.cli.git import git

pytestmark = pytest.mark.slow


async def _binder(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "binder", *arguments),
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
    code, output = await _binder("demo", "--once", "--port", "0", "--github-port", "0", env=own_state)
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
