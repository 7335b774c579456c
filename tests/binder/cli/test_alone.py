"""A machine with no service: `binder` builds, deploys, renders and uploads by itself, with the real engine."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from binder.cli.git import git
from binder.names import is_session_id
from deploy.kubernetes_schema import objections_to
from deploy.probe import run_cell
from modules.beginning import new_module
from tests.binder.cli.typed import typed
from tests.build.registry_servers import running_registry
from tests.proxy.conftest import free_port, made_folder

pytestmark = pytest.mark.slow

_NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that the build account can pass through, with a module of the operator's and a repository that asks
    for it."""
    with made_folder() as folder:
        for path, content in new_module("mailbox", "1.0").items():
            file = folder / "modules" / "mailbox" / "1.0" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        work = folder / "work"
        work.mkdir()
        (work / "a.ipynb").write_text(json.dumps(_NOTEBOOK), encoding="utf-8")
        (work / "binder.yml").write_text(
            "modules:\n  mailbox:\n    parameters: {greeting: Good day}\n", encoding="utf-8"
        )
        asyncio.run(_commit(work))
        yield folder


async def _commit(work: Path) -> None:
    await git(work, "init", "--quiet", "--initial-branch=main")
    await git(work, "add", "--all")
    await git(work, "commit", "--quiet", "--message", "One")


@pytest.fixture(scope="module")
def env(place: Path) -> dict[str, str]:
    """Variables of whoever works alone there."""
    listen = f"127.0.0.1:{free_port()}"
    return {
        "BINDER_STATE_DIR": str(place / "state"),
        "BINDER_MODULES": str(place / "modules"),
        "BINDER_LISTEN": listen,
        "BINDER_URL": f"http://{listen}",
    }


@pytest.fixture(scope="module")
def built(place: Path, env: dict[str, str]) -> Mapping[str, object]:
    """What `binder build` said of the repository."""
    ended = asyncio.run(typed("build", str(place / "work"), "--json", env=env, seconds=290))
    assert ended.code == 0, ended.complaint
    found: Mapping[str, object] = json.loads(ended.output)
    return found


async def test_a_folder_is_built(built: Mapping[str, object], env: dict[str, str], place: Path) -> None:
    assert (built["state"], built["host"]) == ("succeeded", "local")
    assert built["modules"] == [{"name": "mailbox", "version": "1.0", "mode": "single-node"}]
    log = (await typed("logs", str(built["build"]), env=env)).output
    assert re.search(r"==> Image .* is ready", log)
    (proof,) = json.loads((await typed("list", "sessions", "--all", "--json", env=env)).output)
    assert proof["state"] == "ended"
    assert not list((place / "state").glob("folder-*"))


async def test_what_does_not_build_is_the_repository_s_fault(place: Path, env: dict[str, str]) -> None:
    broken = place / "broken"
    broken.mkdir()
    (broken / "binder.yml").write_text("modules:\n  mailbox:\n    parameters: {greting: x}\n", encoding="utf-8")
    await _commit(broken)
    ended = await typed("build", str(broken), env=env)
    assert ended.code == 3
    assert "binder.yml line 3: " in ended.complaint
    assert "has no parameter `greting` (is `greeting` meant?)" in ended.complaint


@pytest.mark.parametrize("engine", ["podman", "kubernetes"])
async def test_what_would_be_applied_is_shown(built: Mapping[str, object], env: dict[str, str], engine: str) -> None:
    asked = ["--mode", "multi-node", "--parameter", "mailbox.greeting=$(id) {{ 7 }}"]
    ended = await typed("render", str(built["build"]), "--engine", engine, *asked, env=env)
    assert ended.code == 0, ended.complaint
    items = json.loads(ended.output)["items"]
    kinds = {item["kind"] for item in items}
    assert kinds == ({"Pod"} if engine == "podman" else {"Secret", "NetworkPolicy", "Service", "Deployment", "Pod"})
    for item in items:
        if item["kind"] != "Secret":  # what stands in its place is no base64
            assert objections_to(item) == ""
        else:
            assert set(item["data"].values()) == {"***"}
    assert not re.search(r"[0-9a-f]{40}", json.dumps([item for item in items if item["kind"] != "Secret"]))
    if engine == "podman":
        variables = {one["name"]: one["value"] for one in items[0]["spec"]["containers"][1]["env"]}
        assert variables == {"GREETING": "$(id) {{ 7 }}", "PASSWORD": "***"}
    yaml = await typed("render", str(built["build"]), "--engine", engine, "--format", "yaml", env=env)
    assert yaml.output.startswith("---\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--parameter", "mailbox.memory=99 TiB"], "it must be a size from 32 MiB to 1 GiB"),
        (["--parameter", "mailbox.greting=x"], "has no parameter `greting` (is `greeting` meant?)"),
        (["--parameter", "redis.memory=1"], "'redis.memory' is no parameter: this binder has the modules mailbox."),
        (["--parameter", "memory"], "'memory' is no parameter: give it as MODULE.NAME=VALUE"),
        (["--ref", "nowhere"], "is not a git repository that has 'nowhere'"),
    ],
)
async def test_what_is_not_allowed_is_said(
    built: Mapping[str, object], place: Path, env: dict[str, str], arguments: list[str], says: str
) -> None:
    assert built
    ended = await typed("render", str(place / "work"), *arguments, env=env)
    assert (ended.code, ended.output) == (2, "")
    assert says in " ".join(ended.complaint.split())


@asynccontextmanager
async def _deployed(*arguments: str, env: Mapping[str, str]) -> AsyncIterator[str]:
    """Give the link that `binder deploy` prints, and interrupt it after the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "binder", "deploy", *arguments),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **env},
    )
    assert process.stdout
    try:
        async with asyncio.timeout(200):
            yield (await process.stdout.readline()).decode().strip()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            assert await process.wait() == 0


async def test_a_binder_is_deployed_with_parameters(
    built: Mapping[str, object], place: Path, env: dict[str, str]
) -> None:
    assert built
    code = "from binder_modules import mailbox; print(mailbox.get())"
    async with _deployed(str(place / "work"), "--parameter", "mailbox.greeting=Hello 'you'", env=env) as link:
        parts = urlsplit(link)
        session = parts.path.split("/")[2]
        assert is_session_id(session)
        token = parse_qs(parts.query)["token"][0]
        base = f"{parts.scheme}://{parts.netloc}/s/{session}/"
        assert (await run_cell(base, token, code)).strip() == "Hello 'you'"
        (row,) = json.loads((await typed("list", "sessions", "--json", env=env)).output)
        assert (row["session"], row["state"]) == (session, "open")
        assert "ServerApp" in (await typed("logs", session, env=env)).output
        again = await typed("serve", env=env)
        assert (again.code, "Another service already runs" in again.complaint) == (4, True)
    assert json.loads((await typed("list", "sessions", "--json", env=env)).output) == []


async def test_images_are_uploaded_once(built: Mapping[str, object], env: dict[str, str], place: Path) -> None:
    (place / "registry").mkdir()
    with running_registry(place / "registry") as registry:
        to, plain = f"{registry.host}/of/tests", {**env, "BINDER_REGISTRY_PLAIN_HTTP": "true"}
        pushed = json.loads((await typed("upload", str(built["build"]), to, "--json", env=plain)).output)
        assert pushed[0]["image"] == built["image"]
        assert len(pushed) == 2
        assert all(re.fullmatch(rf"{to}:(content|module)-\w+@sha256:\w+", item["reference"]) for item in pushed)
        sent = len(registry.methods("/blobs/uploads/"))
        again = json.loads((await typed("upload", str(built["build"]), to, "--json", env=plain)).output)
        assert (again, len(registry.methods("/blobs/uploads/"))) == (pushed, sent)


async def test_images_of_modules_are_made_by_name(built: Mapping[str, object], env: dict[str, str]) -> None:
    assert built
    ended = await typed("build", "--module", "mailbox", "--json", env=env)
    assert ended.code == 0, ended.complaint
    (made,) = json.loads(ended.output)
    assert (made["module"], made["version"], made["component"]) == ("mailbox", "1.0", "server")
    unknown = await typed("build", "--module", "mailbocks", env=env)
    assert unknown.code == 2
    assert "There is no module 'mailbocks'. There are:" in unknown.complaint
