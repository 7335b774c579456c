"""The log of one build: grows in sight, ends in time, and keeps secrets."""

import re
from pathlib import Path

import pytest

from build.log import BuildLog


def new_log(tmp_path: Path, *secrets: str, most_bytes: int = 2**16) -> BuildLog:
    return BuildLog(tmp_path / "1.log", secrets=secrets, most_bytes=most_bytes)


def test_a_line_can_be_read_at_once(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.heading("Fetching")
    log.line("one")
    assert re.fullmatch(r"==> Fetching  \[\d\d:\d\d:\d\d\]\none\n", log.path.read_text())
    log.close()


def test_a_build_that_is_taken_up_goes_on_with_its_log(tmp_path: Path) -> None:
    for text in ("one", "two"):
        log = new_log(tmp_path)
        log.line(text)
        log.close()
    assert (tmp_path / "1.log").read_text() == "one\ntwo\n"


async def test_secrets_are_masked(tmp_path: Path) -> None:
    log = new_log(tmp_path, "hunter2", "hunter2-and-more", "")
    log.line("https://ada:hunter2@example.org and hunter2-and-more, hunter2hunter2")
    log.add_secret("token-of-the-repository")
    log.heading("fetched with token-of-the-repository")
    await log.take("token-of-the-repository")
    log.close()
    text = log.path.read_text()
    assert "hunter2" not in text
    assert "token-of" not in text
    assert "https://ada:***@example.org and ***, ******\n" in text
    assert log.masked("hunter2-and-more") == "***"


def test_ordinary_words_are_not_masked(tmp_path: Path) -> None:
    log = new_log(tmp_path, "a")
    log.add_secret("")
    log.add_secret("numpy")
    log.line("a numpy")
    log.close()
    assert log.path.read_text() == "a numpy\n"


@pytest.mark.parametrize("letter", ["x", "ü"])
def test_a_log_has_an_end_and_says_so(tmp_path: Path, letter: str) -> None:
    log = new_log(tmp_path, most_bytes=1000)
    for _ in range(100):
        log.line(letter * 50)
    log.close()
    content = log.path.read_bytes()
    assert len(content) < 1100
    lines = content.decode().splitlines()
    assert set(lines[:-1]) == {letter * 50}
    assert lines[-1] == "==> The log is full: what came after this is not kept."


def test_text_that_is_no_text_is_written_somehow(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.line("a\udcffb")
    log.close()
    assert log.path.read_text() == "a?b\n"
