"""How a pod tells of its build."""

import asyncio
import io

import pytest

from build.cluster import telling
from build.cluster.lines import Lines, Lives, Said
from build.cluster.telling import Teller, ToldLog
from build.log import BuildLog
from tests.build.cluster.test_lines import MARK


def _heard(output: io.BytesIO) -> list[object]:
    return list(Lines(MARK).take(output.getvalue()))


async def test_a_log_is_told_line_by_line_and_without_secrets() -> None:
    output = io.BytesIO()
    notes = BuildLog(ToldLog(Teller(output, MARK)), secrets={"hunter22"}, most_bytes=2**20)
    notes.line("one hunter22")
    await notes.take("two \u00e9 \x00 \x1b")
    notes.line("x" * 200_000)
    await notes.close()
    assert _heard(output) == [Said("one ***"), Said("two \u00e9 \x00 \x1b"), Said("x" * 200_000)]


async def test_a_pod_says_that_it_is_there_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "HEARTBEAT_SECONDS", 0.01)
    output = io.BytesIO()
    teller = Teller(output, MARK)
    async with teller.living():
        while output.getvalue().count(b"\n") < 3:  # noqa: ASYNC110 - what is written gives no sign
            await asyncio.sleep(0.01)
    told = output.getvalue()
    await asyncio.sleep(0.05)
    assert output.getvalue() == told
    assert set(_heard(output)) == {Lives()}
