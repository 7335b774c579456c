"""The stand-in as a process of its own."""

import asyncio
import base64
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

_ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def _standing_in(data: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, str]]]:
    """Give the process, and what it says of where it is."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "githubapp.sandbox", "--listen", "127.0.0.1:0", "--data", str(data)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=_ROOT,
    )
    try:
        async with asyncio.timeout(30):
            assert process.stdout is not None
            yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_where_it_is_and_stops_when_told(tmp_path: Path, how: signal.Signals) -> None:
    data = tmp_path / "new" / "data"
    async with _standing_in(data) as (process, ready):
        async with httpx.AsyncClient(trust_env=False) as client:
            made = await client.post(f"{ready['control_url']}/users", json={"login": "ada"})
            assert made.status_code == 200
            assert (await client.get(f"{ready['api_url']}/rate_limit")).status_code == 200
        process.send_signal(how)
        _, complaint = await process.communicate()
    assert (process.returncode, complaint) == (0, b"")
    assert list(data.iterdir()) == [], "the git data goes with it"


async def test_no_git_outlives_it_when_it_is_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with _standing_in(data) as (process, ready):
        async with httpx.AsyncClient(trust_env=False) as client:
            user = await client.post(f"{ready['control_url']}/users", json={"login": "ada"})
            made = await client.post(f"{ready['control_url']}/repositories", json={"full_name": "ada/demo"})
            assert made.status_code == 200, made.text
        address = urlsplit(ready["url"])
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        credentials = base64.b64encode(f"ada:{user.json()['token']}".encode())
        writer.write(
            b"POST /ada/demo.git/git-receive-pack HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n"
            b"Content-Type: application/x-git-receive-pack-request\r\n"
            b"Authorization: Basic %s\r\n\r\n" % credentials
        )
        await _until(lambda: any(line.endswith("/git-http-backend") for line in _working_on(data)))
        process.kill()
        await process.wait()
        await _until(lambda: not _working_on(data))
        writer.close()


async def _until(is_so: Callable[[], bool]) -> None:
    while not await asyncio.to_thread(is_so):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.02)


def _working_on(data: Path) -> list[str]:
    """Return the commands of the gits that work on the data of a stand-in."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"HOME={data}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().decode().replace("\0", " ").strip())
    return found
