"""Text from repositories stays text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from githubapp.markdown import code_span, one_line, unmarked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\ntwo\tthree  four", "one two three four"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("evil\u202etxt.exe", "eviltxt.exe"),
        ("zero\u200bwidth", "zerowidth"),
        ("", ""),
        ("x" * 20, "x" * 20),
        ("x" * 21, "x" * 19 + "…"),
        ("a word and another word", "a word and another…"),
    ],
)
def test_one_line(text: str, expected: str) -> None:
    assert one_line(text, 20) == expected


HOSTILE = [
    "</code><script>alert(1)</script>",
    "`` ` ```",
    "`",
    "@ada see #1 and https://evil.example.org",
    "[click](javascript:alert(1))",
    "![](https://evil.example.org/x.png)",
    "line\n\n# heading",
    "<!-- binder-preview -->",
    "$`\\href{javascript:x}{y}`$",
    "",
    " ",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_code_span_shows_characters_and_nothing_else(text: str) -> None:
    _assert_only_code(text)


@given(st.text(max_size=60))
def test_any_text_is_only_code(text: str) -> None:
    _assert_only_code(text)


def _assert_only_code(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(f"{code_span(text, 500)}\n")
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    (inline,) = tokens[1].children or []
    assert inline.type == "code_inline"
    assert inline.content.strip() == one_line(text, 500)


@pytest.mark.parametrize("text", ["It differs only in numpy and pandas-2.1: (those) were exchanged.", "a+b, c's"])
def test_plain_words_stay_plain(text: str) -> None:
    assert unmarked(text, 500) == text


@pytest.mark.parametrize(
    "text", [*HOSTILE, "www.evil.example.org", "see gh-12", "0123abc is a commit", "- a list", "1. a list", "*", "a|b"]
)
def test_whatever_could_be_markup_is_code(text: str) -> None:
    assert unmarked(text, 500) == code_span(text, 500)
