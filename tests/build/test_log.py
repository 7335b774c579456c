"""The log of one build: grows in sight, ends in time, and keeps secrets."""

import asyncio
import re
from pathlib import Path

import pytest

from binder.errors import StoreUnavailableError
from build.log import BuildLog, FileLog


class FakeKept:
    """Keeps a log in memory, or does not while `is_away`."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.is_away = False
        self.grown = asyncio.Event()

    async def append(self, data: bytes) -> None:
        """Add to its end."""
        if self.is_away:
            raise StoreUnavailableError("The service's database does not answer.")
        self.parts.append(data)
        self.grown.set()

    @property
    def text(self) -> str:
        """All of it."""
        return b"".join(self.parts).decode()


@pytest.fixture
def kept() -> FakeKept:
    """Where the log is kept."""
    return FakeKept()


def new_log(kept: FakeKept, *secrets: str, most_bytes: int = 2**16) -> BuildLog:
    return BuildLog(kept, secrets=secrets, most_bytes=most_bytes)


async def test_a_step_can_be_read_at_once_and_its_lines_soon(kept: FakeKept) -> None:
    log = new_log(kept)
    log.heading("Fetching")
    async with asyncio.timeout(5):
        await kept.grown.wait()
        kept.grown.clear()
        assert re.fullmatch(r"==> Fetching  \[\d\d:\d\d:\d\d\]\n", kept.text)
        log.line("one")
        log.line("two")
        await kept.grown.wait()
    assert kept.parts[1:] == [b"one\ntwo\n"]
    await log.close()


async def test_many_lines_are_kept_in_few_parts_in_their_order(kept: FakeKept) -> None:
    log = new_log(kept, most_bytes=2**24)
    for number in range(100_000):
        await log.take(f"line {number}")
    await log.close()
    assert kept.text == "".join(f"line {number}\n" for number in range(100_000))
    assert len(kept.parts) < 100


async def test_what_could_not_be_kept_is_kept_later(kept: FakeKept) -> None:
    log = new_log(kept)
    kept.is_away = True
    log.line("one")
    await log.flush()
    kept.is_away = False
    log.line("two")
    await log.close()
    assert kept.text == "one\ntwo\n"


async def test_a_file_goes_on_and_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "1.log"
    for text in ("one", "two"):
        log = BuildLog(FileLog(path), secrets=(), most_bytes=2**16)
        log.line(text)
        await log.close()
    assert path.read_text() == "one\ntwo\n"
    assert path.stat().st_mode & 0o077 == 0


async def test_secrets_are_masked(kept: FakeKept) -> None:
    log = new_log(kept, "hunter2", "hunter2-and-more", "")
    log.line("https://ada:hunter2@example.org and hunter2-and-more, hunter2hunter2")
    log.add_secret("token-of-the-repository")
    log.heading("fetched with token-of-the-repository")
    await log.take("token-of-the-repository")
    await log.close()
    assert "hunter2" not in kept.text
    assert "token-of" not in kept.text
    assert "https://ada:***@example.org and ***, ******\n" in kept.text
    assert log.masked("hunter2-and-more") == "***"


async def test_ordinary_words_are_not_masked(kept: FakeKept) -> None:
    log = new_log(kept, "a")
    log.add_secret("")
    log.add_secret("numpy")
    log.line("a numpy")
    await log.close()
    assert kept.text == "a numpy\n"


@pytest.mark.parametrize("letter", ["x", "ü"])
async def test_a_log_has_an_end_and_says_so(kept: FakeKept, letter: str) -> None:
    log = new_log(kept, most_bytes=1000)
    for _ in range(100):
        log.line(letter * 50)
    await log.close()
    assert len(kept.text.encode()) < 1100
    lines = kept.text.splitlines()
    assert set(lines[:-1]) == {letter * 50}
    assert lines[-1] == "==> The log is full: what came after this is not kept."


async def test_text_that_is_no_text_is_written_somehow(kept: FakeKept) -> None:
    log = new_log(kept)
    log.line("a\udcffb")
    await log.close()
    assert kept.text == "a?b\n"
