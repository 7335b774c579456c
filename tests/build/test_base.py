"""The host's apt sources, as far as they hold the release that is wanted."""

import pytest

from build.base import debian_sources

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
    assert debian_sources(texts, "bookworm") == ""


def test_another_release_has_others() -> None:
    assert debian_sources({"sources.list": ONE_LINE}, "trixie") == "deb http://one.example.org/debian trixie main\n"
