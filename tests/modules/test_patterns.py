"""Patterns of texts: as Python's own, of what both read, and in a time that no pattern and no text makes long."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.patterns import LONGEST, PatternError, check_pattern, matches

_SOME = st.sampled_from(["a", "b", "[ab]", "[^a]", "[a-c_]", r"\.", "-", r"[\]\-]", "/"])
_MANY = st.sampled_from(["", "?", "*", "+", "{2}", "{1,3}", "{0,2}", "{1,}"])
_PATTERNS = st.lists(st.builds(str.__add__, _SOME, _MANY), min_size=1, max_size=8).map("".join)


@given(_PATTERNS, st.text("abc_.-]/", max_size=12))
def test_a_pattern_means_what_it_means_to_python(pattern: str, text: str) -> None:
    assert matches(pattern, text) is bool(re.fullmatch(pattern, text))


@given(st.text(max_size=40))
def test_whatever_is_read_is_read_as_python_reads_it(pattern: str) -> None:
    try:
        check_pattern(pattern)
    except PatternError:
        return
    for text in ("", "a", "b", "ab", "-", pattern):
        assert matches(pattern, text) is bool(re.fullmatch(pattern, text))


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "(a+)+",
        "a|b",
        "^a",
        "a$",
        "a**",
        "a+?",
        "[",
        "[]",
        "[^]",
        "a]",
        ".",
        r"\d",
        r"\1",
        "(?i)a",
        "{1}",
        "a{2,1}",
        "é",
    ],
)
def test_what_is_no_row_of_characters_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        check_pattern(pattern)


def test_a_pattern_is_short() -> None:
    with pytest.raises(PatternError):
        check_pattern("a" * (LONGEST + 1))


@pytest.mark.parametrize("pattern", ["a*" * 50, "[ab]*" * 20, "a{0,999}" * 12, "a?" * 50])
def test_no_pattern_takes_long(pattern: str) -> None:
    began = time.process_time()
    assert not matches(pattern, "a" * 199 + "!")
    assert time.process_time() - began < 1
