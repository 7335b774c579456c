"""Logs as they grow, and without what only a terminal understands."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.build_logs import plain, read_lines, tail_offset


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m text", "red text"),
        ("\x1b]8;;https://example.org\x07link\x1b]8;;\x07", "link"),
        ("10%\r50%\r100%", "100%"),
        ("100%\r", "100%"),
        ("tab\tstays", "tab\tstays"),
        ("bell\x07 and \x00 null\x9b", "bell and  null"),
    ],
)
def test_terminals_words_are_taken_out(line: str, shown: str) -> None:
    assert plain(line) == shown


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "1.log", 0, most_bytes=100) == ([], 0)
    assert tail_offset(tmp_path / "1.log", 100) == 0


def test_a_line_is_given_once_it_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "1.log"
    log.write_bytes(b"one\ntw")
    assert read_lines(log, 0, most_bytes=100) == (["one"], 4)
    assert read_lines(log, 4, most_bytes=100) == ([], 4)
    log.write_bytes(b"one\ntwo\n\n")
    assert read_lines(log, 4, most_bytes=100) == (["two", ""], 9)


def test_a_line_without_an_end_comes_in_pieces(tmp_path: Path) -> None:
    log = tmp_path / "1.log"
    log.write_bytes(b"x" * 250)
    assert read_lines(log, 0, most_bytes=100) == (["x" * 100], 100)


def test_nothing_beyond_the_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "1.log"
    log.write_bytes(b"one\ntwo\nthree\n")
    assert read_lines(log, 0, most_bytes=100, end=8) == (["one", "two"], 8)


def test_a_tail_begins_with_a_whole_line(tmp_path: Path) -> None:
    log = tmp_path / "1.log"
    log.write_bytes(b"one\ntwo\nthree\n")
    assert tail_offset(log, 8) == 8
    assert tail_offset(log, 100) == 0


@given(lines=st.lists(st.text(st.characters(exclude_categories=["C"]), max_size=20)), piece=st.integers(200, 300))
def test_pieces_make_up_the_whole(tmp_path_factory: pytest.TempPathFactory, lines: list[str], piece: int) -> None:
    log = tmp_path_factory.mktemp("log") / "1.log"
    log.write_text("".join(f"{line}\n" for line in lines))
    read: list[str] = []
    offset = 0
    while True:
        more, offset = read_lines(log, offset, most_bytes=piece)
        if not more:
            break
        read += more
    assert read == lines
