"""What apt.txt lists, and what it may not."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.errors import RepositoryFault
from build.recipes.apt import packages_of


def test_names_are_sorted_and_know_their_first_line() -> None:
    text = "# for plots\r\ngraphviz\r\n\r\n  g++ # a compiler\r\nlibgl1-mesa-dri\r\ngraphviz\r\nr-base-core"
    found = packages_of("binder/apt.txt", text)
    assert list(found.items()) == [("g++", 4), ("graphviz", 2), ("libgl1-mesa-dri", 5), ("r-base-core", 7)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("ffmpeg=7:5.1", "asks for a version or an architecture. Only a name can be asked for: `ffmpeg`"),
        ("ffmpeg:i386", "asks for a version or an architecture"),
        ("ffmpeg/stable", "asks for a version or an architecture"),
        ("ffmpeg graphviz", "has several words"),
        ("--no-install-recommends", "is an option of apt"),
        ("-y ffmpeg", "is an option of apt"),
        ("ffmpeg-", "is not the name of a Debian package"),
        ("FFmpeg", "is not the name of a Debian package"),
        ("x", "is not the name of a Debian package"),
        ("./x.deb", "is not the name of a Debian package"),
        ("$(reboot)", "is not the name of a Debian package"),
        ("caf\u00e9", "is not the name of a Debian package"),
    ],
)
def test_anything_else_is_refused_with_its_line(line: str, problem: str) -> None:
    with pytest.raises(RepositoryFault) as caught:
        packages_of("apt.txt", f"graphviz\n{line}\n")
    assert problem in caught.value.message
    assert (caught.value.file, caught.value.line) == ("apt.txt", 2)


@given(st.text() | st.text("ab+-.=: #\n"))
def test_what_is_found_are_names(text: str) -> None:
    with contextlib.suppress(RepositoryFault):
        assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name) for name in packages_of("apt.txt", text))
