"""What strangers' programs print reaches a terminal as text."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from binder.cli.steps import Steps
from binder.plain_text import plain, plain_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one\n\ttwo\n", "one\n\ttwo\n"),
        ("\x1b[1;31mred\x1b[0m\n", "red\n"),
        ("é 🎉 東京", "é 🎉 東京"),
        ("\x1b]52;c;cm0gLXJmIH4=\x07clipboard", "clipboard"),
        ("\x1b]0;bash\x1b\\title\n\x1b[2J\x1b[Hclear", "title\nclear"),
        ("10 %\r20 %\x08\x00\x9b2J\nnext", "20 %2J\nnext"),
    ],
)
def test_lines_stay_and_commands_go(text: str, shown: str) -> None:
    assert plain_lines(text) == shown


@given(st.text(st.sampled_from("\x1b[]0;m2JH\x07\\\r\n\x9ba")))
def test_no_text_holds_a_command(text: str) -> None:
    assert not {"\x1b", "\x9b", "\x07", "\r"} & set(plain_lines(text))
    assert plain(text) == plain(plain(text))


def test_what_a_command_tells_of_a_build_is_text() -> None:
    printed = io.StringIO()
    Steps(Console(file=printed, force_terminal=True, color_system=None, width=80)).note("a\n\x1b]52;c;eA==\x07b[bold]c")
    assert printed.getvalue() == "a\nb[bold]c\n"
