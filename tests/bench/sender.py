"""Sends deliveries as GitHub would, in a process of its own: `python -m tests.bench.sender`.

Reads a `Round` as JSON from standard input, because it holds the secret, and prints what became of each delivery as
JSON: a list of [guid, HTTP status or null, seconds from when it was due to when it was answered].
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from time import monotonic
from urllib.parse import urlsplit

from tests.githubapp import payloads

_ANSWER_SECONDS = 10.0
_COMMITS = 20


@dataclass(frozen=True)
class Round:
    """Pushes of one branch's head, `rate` of them a second, each with a delivery id of its own."""

    url: str
    secret: str
    guids: list[str]
    rate: float
    repository_id: int
    sha: str


@dataclass(frozen=True)
class Answered:
    """What became of a delivery. `status` is None where nobody answered."""

    guid: str
    status: int | None
    seconds: float


async def send(wanted: Round) -> list[Answered]:
    """Send a round from a process of its own, whose pace nothing here disturbs.

    Raises: TimeoutError.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.sender"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(len(wanted.guids) / wanted.rate + 3 * _ANSWER_SECONDS):
            said, _ = await process.communicate(json.dumps(asdict(wanted)).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return [Answered(*one) for one in json.loads(said)]


async def _send_all(wanted: Round) -> list[Answered]:
    requests = [_request(wanted, guid) for guid in wanted.guids]
    began = monotonic() + 0.1
    sending = [
        asyncio.create_task(_send_one(wanted, guid, request, began + number / wanted.rate))
        for number, (guid, request) in enumerate(zip(wanted.guids, requests, strict=True))
    ]
    return await asyncio.gather(*sending)


def _request(wanted: Round, guid: str) -> bytes:
    """Return a delivery of about 10 kB, as a push of several commits is."""
    commit = {"id": wanted.sha, "message": "A change of several files. " * 10, "added": ["a.ipynb", "b.ipynb"] * 5}
    pushed = payloads.push(after=wanted.sha, commits=[commit] * _COMMITS, **payloads.by_ada())
    pushed["repository"]["id"] = wanted.repository_id
    del pushed["installation"]
    body, headers = payloads.signed("push", pushed, wanted.secret, guid)
    target = urlsplit(wanted.url)
    lines = {"host": target.netloc, "content-length": str(len(body)), "connection": "close", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST /webhooks/github HTTP/1.1\r\n{head}\r\n".encode() + body


async def _send_one(wanted: Round, guid: str, request: bytes, due: float) -> Answered:
    await asyncio.sleep(due - monotonic())
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            status = await _asked(wanted.url, request)
    except (OSError, TimeoutError):
        status = None
    return Answered(guid, status, monotonic() - due)


async def _asked(url: str, request: bytes) -> int | None:
    """Return the answer's status, or None where the connection ended without one."""
    target = urlsplit(url)
    reader, writer = await asyncio.open_connection(target.hostname, target.port)
    try:
        writer.write(request)
        answer = await reader.read()
    finally:
        writer.close()
    words = answer.split(b" ", 2)
    return int(words[1]) if len(words) == 3 else None


def _main() -> None:
    wanted = Round(**json.load(sys.stdin))
    answered = asyncio.run(_send_all(wanted))
    json.dump([[one.guid, one.status, one.seconds] for one in answered], sys.stdout)


if __name__ == "__main__":
    _main()
