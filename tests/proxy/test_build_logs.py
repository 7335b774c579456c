"""Logs as they grow, and without what only a terminal understands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.plain_text import plain
from proxy.build_logs import Found, Page, pages_of, read_lines, search, tail_offset, whole_size_of
from tests.proxy.fakes import FakeLog


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


async def test_a_log_that_is_not_there_has_no_lines() -> None:
    assert await read_lines(FakeLog(), 0, most_bytes=100) == ([], 0)
    assert await tail_offset(FakeLog(), 100) == 0


async def test_a_line_is_given_once_it_is_whole() -> None:
    log = FakeLog(b"one\ntw")
    assert await read_lines(log, 0, most_bytes=100) == (["one"], 4)
    assert await read_lines(log, 4, most_bytes=100) == ([], 4)
    log = FakeLog(b"one\ntwo\n\n")
    assert await read_lines(log, 4, most_bytes=100) == (["two", ""], 9)


async def test_a_line_without_an_end_comes_in_pieces() -> None:
    log = FakeLog(b"x" * 250)
    assert await read_lines(log, 0, most_bytes=100) == (["x" * 100], 100)


async def test_nothing_beyond_the_end_is_read() -> None:
    log = FakeLog(b"one\ntwo\nthree\n")
    assert await read_lines(log, 0, most_bytes=100, end=8) == (["one", "two"], 8)


async def test_a_tail_begins_with_a_whole_line() -> None:
    log = FakeLog(b"one\ntwo\nthree\n")
    assert await tail_offset(log, 8) == 8
    assert await tail_offset(log, 100) == 0


@given(lines=st.lists(st.text(st.characters(exclude_categories=["C"]), max_size=20)), piece=st.integers(200, 300))
async def test_pieces_make_up_the_whole(lines: list[str], piece: int) -> None:
    log = FakeLog(("".join(f"{line}\n" for line in lines)).encode())
    read: list[str] = []
    offset = 0
    while True:
        more, offset = await read_lines(log, offset, most_bytes=piece)
        if not more:
            break
        read += more
    assert read == lines


async def test_a_log_that_is_not_there_has_one_empty_page() -> None:
    assert await pages_of(FakeLog(), 0) == [Page(0, 0, 1, None)]
    assert await search(FakeLog(), "x", 0) == Found((), is_all=True)
    assert await whole_size_of(FakeLog(), 100) == 0


async def test_a_page_knows_the_heading_that_it_is_under() -> None:
    log = FakeLog(("==> One  [10:00:00]\n" + "a\n" * 4998 + "==> Two  [10:00:01]\n" + "b\n" * 10_000).encode())
    pages = await pages_of(log, await log.size())
    assert [(page.first_line, page.under) for page in pages] == [
        (1, None),
        (5001, "==> Two  [10:00:01]"),
        (10_001, "==> Two  [10:00:01]"),
    ]


async def test_half_a_line_is_on_no_page() -> None:
    log = FakeLog(b"one\nha")
    assert [page.end for page in await pages_of(log, 6)] == [4]
    assert await whole_size_of(log, 100) == 4
    assert await whole_size_of(log, 3) == 0


@given(lengths=st.lists(st.integers(0, 40_000), max_size=60), empty=st.integers(0, 12_000))
async def test_pages_are_bounded_and_make_up_the_whole(lengths: list[int], empty: int) -> None:
    text = "".join("x" * length + "\n" for length in lengths) + "\n" * empty
    log = FakeLog((text).encode())
    pages = await pages_of(log, len(text))
    assert [page.start for page in pages] == [0, *(page.end for page in pages[:-1])]
    assert pages[-1].end == len(text)
    for page in pages:
        part = text[page.start : page.end]
        assert page.first_line == text[: page.start].count("\n") + 1
        assert len(part) <= 2**19
        assert part.count("\n") <= 5000


@given(
    lines=st.lists(st.text("aAßéÉ\x1b[3m1\x9b\r ", max_size=8), max_size=20),
    wanted=st.text("aAßéÉs1", min_size=1, max_size=3),
)
async def test_a_search_finds_what_is_shown(lines: list[str], wanted: str) -> None:
    log = FakeLog("".join(f"{line}\n" for line in lines).encode())
    shown = [(number, plain(line)) for number, line in enumerate(lines, 1)]
    expected = tuple(one for one in shown if wanted.casefold() in one[1].casefold())
    assert await search(log, wanted, await log.size()) == Found(expected, is_all=True)


async def test_a_search_goes_through_all_pieces_and_stops_at_enough() -> None:
    log = FakeLog(("".join(f"{number:09}\n" for number in range(1, 200_001))).encode())
    assert (await search(log, "199999", 2_000_000)).lines == ((199_999, "000199999"),)
    found = await search(log, "7", 2_000_000)
    assert (len(found.lines), found.is_all) == (200, False)


async def test_a_search_looks_at_so_many_lines_only() -> None:
    log = FakeLog(("\n" * 1_200_000 + "needle\n").encode())
    assert await search(log, "needle", await log.size()) == Found((), is_all=False)
