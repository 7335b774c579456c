"""The stand-in as a process of its own."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import httpx
import pytest

_ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_where_it_is_and_stops_when_told(tmp_path: Path, how: signal.Signals) -> None:
    data = tmp_path / "new" / "data"
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
            ready = json.loads(await process.stdout.readline())
            async with httpx.AsyncClient(trust_env=False) as client:
                made = await client.post(f"{ready['control_url']}/users", json={"login": "ada"})
                assert made.status_code == 200
                assert (await client.get(f"{ready['api_url']}/rate_limit")).status_code == 200
            process.send_signal(how)
            _, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, complaint) == (0, b"")
    assert list(data.iterdir()) == [], "the git data goes with it"
