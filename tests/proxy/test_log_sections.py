"""How a log is folded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.log_sections import sections_of

ONE, TWO = "==> One  [23:59:58]", "==> Two  [00:00:03]"
lines_of_logs = st.lists(st.sampled_from(["a", "", ONE, TWO, "==> no time", " " + ONE]), max_size=12)


def test_headings_begin_steps() -> None:
    one, two = sections_of([ONE, "a", "b", TWO, "c"], 11, None, is_growing=False)
    assert (one.title, one.heading_line, one.first_line, one.lines) == ("One", 11, 12, ("a", "b"))
    assert (two.title, two.heading_line, two.first_line, two.lines) == ("Two", 14, 15, ("c",))
    assert (one.time, two.time) == ("23:59:58", "00:00:03")
    assert (one.seconds, two.seconds) == (5, None)  # past midnight
    assert (one.is_open, two.is_open) == (False, True)


def test_what_stands_before_any_heading_has_no_title() -> None:
    (first, _) = sections_of(["a", ONE], 1, None, is_growing=False)
    assert (first.title, first.heading_line, first.lines, first.is_open) == (None, None, ("a",), True)


def test_a_step_goes_on_from_the_page_before() -> None:
    (first, second) = sections_of(["a", TWO, "b"], 5001, ONE, is_growing=False)
    assert (first.title, first.heading_line, first.first_line, first.seconds) == ("One", None, 5001, 5)
    assert (second.title, second.heading_line) == ("Two", 5002)


@pytest.mark.parametrize(("is_growing", "opened"), [(False, "One"), (True, "Two")])
def test_an_empty_step_is_open_only_while_it_may_grow(is_growing: bool, opened: str) -> None:
    found = sections_of([ONE, "a", TWO], 1, None, is_growing=is_growing)
    assert [section.title for section in found if section.is_open] == [opened]


def test_the_last_words_of_a_step_are_its_last_dozen_lines() -> None:
    (long, short) = sections_of([ONE, *"abcdefghijklmnop", TWO, "a", "b"], 1, None, is_growing=False)
    assert (long.last_words, short.last_words) == (6, 19)


@given(lines_of_logs, st.sampled_from([None, ONE, "==> no time"]), st.booleans())
def test_every_line_is_in_its_place(lines: list[str], under: str | None, is_growing: bool) -> None:
    found = sections_of(lines, 7, under, is_growing=is_growing)
    numbers: list[int] = []
    for section in found:
        numbers += [] if section.heading_line is None else [section.heading_line]
        numbers += range(section.first_line, section.first_line + len(section.lines))
        assert [lines[section.first_line - 7 + at] for at in range(len(section.lines))] == list(section.lines)
    assert numbers == [*range(7, 7 + len(lines))]
    assert sum(section.is_open for section in found) <= 1
