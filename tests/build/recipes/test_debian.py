"""The Debian releases: which one has the wanted versions, and the host's apt sources as far as they hold it."""

import pytest

from binder.errors import RepositoryFault
from build.recipes.debian import PYTHON_OF_SUITE, R_OF_SUITE, SUITE_OF_PYTHON, debian_sources, suite_for

DEB822 = """\
# The distribution
Types: deb deb-src
URIs: http://one.example.org/debian  https://two.example.org/debian
# a comment inside
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.example.org/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEZ

Types: deb
URIs: http://off.example.org/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example.org/debian
Suites: bookworm
Components: main

types: deb
uris: file:/srv/mirror
suites: bookworm
components: main
trusted: yes
"""

ONE_LINE = """\
# deb http://commented.example.org/debian bookworm main
deb http://one.example.org/debian bookworm main contrib # ours
deb [ arch=amd64 signed-by=/usr/share/keyrings/x.gpg ] https://two.example.org/debian bookworm-security main
deb-src http://one.example.org/debian bookworm main
deb http://one.example.org/debian trixie main
deb cdrom:[Debian GNU/Linux 12 _Bookworm_ - Official amd64]/ bookworm main
"""


def test_sources_are_read_in_their_new_form() -> None:
    keyring = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    assert debian_sources({"debian.sources": DEB822}, "bookworm").splitlines() == [
        f"deb {keyring} http://one.example.org/debian bookworm main contrib",
        f"deb {keyring} http://one.example.org/debian bookworm-updates main contrib",
        f"deb {keyring} https://two.example.org/debian bookworm main contrib",
        f"deb {keyring} https://two.example.org/debian bookworm-updates main contrib",
        "deb http://security.example.org/debian-security bookworm-security main",
        "deb [trusted=yes] file:/srv/mirror bookworm main",
    ]


def test_sources_are_read_in_their_old_form() -> None:
    assert debian_sources({"sources.list": ONE_LINE}, "bookworm").splitlines() == [
        "deb http://one.example.org/debian bookworm main contrib",
        "deb [ arch=amd64 signed-by=/usr/share/keyrings/x.gpg ] https://two.example.org/debian bookworm-security main",
    ]


def test_what_stands_twice_is_taken_once() -> None:
    line = "deb http://one.example.org/debian bookworm main\n"
    assert debian_sources({"a.list": line, "b.list": line}, "bookworm") == line


@pytest.mark.parametrize("texts", [{}, {"sources.list": ""}, {"debian.sources": ""}, {"x.sources": "\n\n# x\n\n"}])
def test_a_host_of_another_kind_has_none(texts: dict[str, str]) -> None:
    assert debian_sources(texts, "trixie") == ""


def test_another_release_has_others() -> None:
    assert debian_sources({"sources.list": ONE_LINE}, "trixie") == "deb http://one.example.org/debian trixie main\n"


def test_a_release_that_is_not_named_is_on_the_mirrors_of_one_that_is() -> None:
    text = """\
deb [signed-by=/usr/share/keyrings/debian.gpg] http://one.example.org/debian bookworm main
deb http://one.example.org/debian bookworm-updates main
deb http://security.example.org/debian-security bookworm-security main
deb http://other.example.org/linux bookworm stable
deb http://other.example.org/main bookworm-pgdg main
"""
    assert debian_sources({"sources.list": text}, "trixie").splitlines() == [
        "deb [signed-by=/usr/share/keyrings/debian.gpg] http://one.example.org/debian trixie main",
        "deb http://one.example.org/debian trixie-updates main",
        "deb http://security.example.org/debian-security trixie-security main",
    ]


@pytest.mark.parametrize(
    ("python", "r", "suite"),
    [
        (None, None, "bookworm"),
        ("3.11", None, "bookworm"),
        ("3.13", None, "trixie"),
        ("3.13.5", None, "trixie"),
        ("3", None, "bookworm"),
        (None, "4.2", "bookworm"),
        (None, "4.5", "trixie"),
        (None, "4.5.0", "trixie"),
        ("3.13", "4.5", "trixie"),
        ("3", "4", "bookworm"),
    ],
)
def test_the_release_is_the_one_that_has_what_is_wanted(python: str | None, r: str | None, suite: str) -> None:
    assert suite_for(python=python, python_from="x", r=r, r_from="y", default="bookworm") == suite


def test_the_default_is_taken_where_it_can_be() -> None:
    assert suite_for(python="3", python_from="x", r=None, r_from=None, default="trixie") == "trixie"
    assert suite_for(python=None, python_from=None, r=None, r_from=None, default="sid") == "sid"
    assert suite_for(python="3.11", python_from="x", r=None, r_from=None, default="sid") == "bookworm"


@pytest.mark.parametrize(
    ("python", "r", "file", "message"),
    [
        ("3.10", None, "runtime.txt", "runtime.txt asks for Python 3.10. There is Python 3.11 and 3.13 here."),
        ("3.1", None, "runtime.txt", "runtime.txt asks for Python 3.1. There is Python 3.11 and 3.13 here."),
        (None, "3.6", "binder/runtime.txt", "binder/runtime.txt asks for R 3.6. There is R 4.2 and 4.5 here."),
        (
            "3.11",
            "4.5",
            "binder/runtime.txt",
            "R 4.5 and Python 3.11 are not to be had together. "
            "There is R 4.2 with Python 3.11 or R 4.5 with Python 3.13.",
        ),
    ],
)
def test_what_no_release_has_is_refused_by_name(python: str | None, r: str | None, file: str, message: str) -> None:
    with pytest.raises(RepositoryFault) as caught:
        suite_for(python=python, python_from="runtime.txt", r=r, r_from="binder/runtime.txt", default="bookworm")
    assert (caught.value.message, caught.value.file) == (message, file)


def test_the_tables_are_of_the_same_releases() -> None:
    assert PYTHON_OF_SUITE.keys() == R_OF_SUITE.keys() == set(SUITE_OF_PYTHON.values())
