"""A runner of GitHub Actions, as far as one step meets it: its files, its commands, its identity, and its signals.

The step is the one of `action.yml`, run as its `shell` says. The identity is signed by the stand-in for GitHub.
"""

import asyncio
import json
import os
import re
import secrets
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from githubapp.sandbox.sandbox import Sandbox
from tests.action.checkers import MANIFEST
from tests.proxy.rows import SHA
from tests.proxy.upstreams import running

CANCEL_SECONDS = 7.5
"""What a runner leaves a step between the first signal and the next. Source: `ProcessInvoker.cs` of actions/runner."""
GITHUB_TOKEN = "ghs_of_the_workflow"
_SECONDS = 120
_COMMAND = re.compile(r"::([\w-]+)(?: ([^:]*))?::(.*)")
_LEGACY = re.compile(r"##\[([\w-]+)[^\]]*\](.*)")


@dataclass(frozen=True)
class Command:
    """A command that the runner obeyed."""

    name: str
    message: str
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ran:
    """What became of a step."""

    code: int
    printed: str
    summary: str
    outputs: Mapping[str, str]
    seconds: float

    @property
    def commands(self) -> list[Command]:
        """What the runner obeyed, in order."""
        return list(_obeyed(self.printed))

    def told(self, *names: str) -> list[Command]:
        """Return the commands of these names."""
        return [one for one in self.commands if one.name in names]

    @property
    def shown(self) -> str:
        """What a person sees of it."""
        return "\n".join(line for line in self.printed.splitlines() if not _COMMAND.fullmatch(line))


def _obeyed(printed: str) -> Any:
    """Give what a runner would obey: source `ActionCommandManager.cs` and `ActionCommand.cs` of actions/runner."""
    resumes_at: str | None = None
    for line in printed.splitlines():
        found = _COMMAND.fullmatch(line.lstrip()) if line.lstrip().startswith("::") else None
        if resumes_at is not None:
            resumes_at = None if found and found[1] == resumes_at else resumes_at
        elif found and found[1] == "stop-commands":
            resumes_at = found[3]
        elif found:
            pairs = (pair.partition("=") for pair in (found[2] or "").split(",") if pair)
            yield Command(found[1], _unescaped(found[3]), {key: _unescaped(value) for key, _, value in pairs})
        elif legacy := _LEGACY.search(line):
            yield Command(legacy[1], legacy[2])


def _unescaped(text: str) -> str:
    for escaped, plain in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(escaped, plain)
    return text


def read_outputs(text: str) -> dict[str, str]:
    """Return what a file of outputs sets, by the runner's rules. Raises: ValueError, where the runner would."""
    lines, found = text.split("\n"), dict[str, str]()
    at = 0
    while at < len(lines):
        if not lines[at]:
            at += 1
            continue
        name, mark, end = lines[at].partition("<<")
        if not mark or end not in lines[at + 1 :]:
            raise ValueError(lines[at])
        last = lines.index(end, at + 1)
        found[name] = "\n".join(lines[at + 1 : last])
        at = last + 1
    return found


@dataclass
class Runner:
    """Runs the action's step for jobs of one repository. `job` is what GitHub would sign of them."""

    sandbox: Sandbox
    folder: Path
    service: str
    issuer: str = ""
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    job: dict[str, Any] = field(default_factory=dict)
    event: dict[str, Any] = field(default_factory=dict)
    failures: int = 0
    """How often GitHub gives no token before it does."""
    repository: str = "ada/notes"
    _count: int = 0

    async def identity(self, request: Request) -> Response:
        """Give the job's token, as GitHub's service for runners does."""
        if request.headers.get("authorization") != f"Bearer {self.secret}":
            return Response(status_code=401)
        if self.failures:
            self.failures -= 1
            return Response("<html>", status_code=503)
        job = {"sha": SHA, **self.job}
        token = await self.sandbox.actions_token(self.repository, audience=request.query_params["audience"], **job)
        return JSONResponse({"value": token, "count": len(token)})

    def environment(self, home: Path, inputs: Mapping[str, str], *, has_identity: bool = True) -> dict[str, str]:
        """Return the variables of a step; `inputs` are those of the action."""
        manifest = yaml.safe_load(MANIFEST.read_text())
        values = {name: str(one.get("default", "")) for name, one in manifest["inputs"].items()}
        values |= {"github-token": GITHUB_TOKEN, "service": self.service} | dict(inputs)
        (step,) = manifest["runs"]["steps"]
        written = {
            name: values[text.removeprefix("${{ inputs.").removesuffix(" }}")] for name, text in step["env"].items()
        }
        files = {"GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary", "GITHUB_EVENT_PATH": "event.json"}
        (home / "event.json").write_text(json.dumps(self.event))
        identity = {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.issuer}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self.secret,
        }
        return {
            "PATH": os.environ["PATH"],
            "CI": "true",
            "GITHUB_ACTION_PATH": str(MANIFEST.parent),
            "GITHUB_API_URL": self.sandbox.api_url,
            "GITHUB_REPOSITORY": self.repository,
            "GITHUB_SERVER_URL": self.sandbox.url,
            "GITHUB_SHA": SHA,
            **{name: str(home / file) for name, file in files.items()},
            **written,
            **(identity if has_identity else {}),
        }

    @asynccontextmanager
    async def started(self, *, has_identity: bool = True, **inputs: str) -> AsyncIterator["Step"]:
        """Give a step that runs; underscores in names stand for dashes."""
        self._count += 1
        home = self.folder / f"step-{self._count}"
        home.mkdir()
        named = {name.replace("_", "-"): value for name, value in inputs.items()}
        (step,) = yaml.safe_load(MANIFEST.read_text())["runs"]["steps"]
        script = home / "script.sh"
        script.write_text(step["run"])
        process = await asyncio.create_subprocess_exec(
            *("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)),
            cwd=home,
            env=self.environment(home, named, has_identity=has_identity),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield Step(process, home)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def run(self, *, has_identity: bool = True, **inputs: str) -> Ran:
        """Run a step to its end."""
        async with self.started(has_identity=has_identity, **inputs) as step:
            return await step.ended()


@dataclass
class Step:
    """A step that runs."""

    process: asyncio.subprocess.Process
    home: Path
    printed: str = ""
    began: float = field(default_factory=time.monotonic)

    async def prints(self, text: str) -> None:
        """Wait until it has printed a text."""
        assert self.process.stdout
        async with asyncio.timeout(_SECONDS):
            while text not in self.printed:
                line = await self.process.stdout.readline()
                assert line, f"it ended without {text!r}: {self.printed}"
                self.printed += line.decode()

    async def cancelled(self, by: signal.Signals) -> Ran:
        """Cancel it as a runner does, and return what became of it."""
        self.began = time.monotonic()
        self.process.send_signal(by)
        return await self.ended()

    async def ended(self) -> Ran:
        """Wait for its end."""
        assert self.process.stdout
        async with asyncio.timeout(_SECONDS):
            self.printed += (await self.process.stdout.read()).decode()
            code = await self.process.wait()
        files = {name: self.home / name for name in ("output", "summary")}
        texts = {name: path.read_text(encoding="utf-8") if path.exists() else "" for name, path in files.items()}
        seconds = time.monotonic() - self.began
        return Ran(code, self.printed, texts["summary"], read_outputs(texts["output"]), seconds)


@asynccontextmanager
async def running_runner(sandbox: Sandbox, folder: Path, service: str) -> AsyncIterator[Runner]:
    """Give a runner of the stand-in's jobs, with a folder of its own."""
    runner = Runner(sandbox, folder, service)
    application = Starlette(routes=[Route("/token", runner.identity)])
    config = uvicorn.Config(application, port=0, log_level="warning", timeout_graceful_shutdown=1)
    async with running(uvicorn.Server(config)) as server:
        runner.issuer = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield runner
