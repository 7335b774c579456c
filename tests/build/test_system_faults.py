"""Whose fault it is, and on which line: by what apt and R really printed (samples, as they were)."""

from pathlib import Path
from time import process_time

import pytest

from binder.errors import BinderError, OperatorFault, RepositoryFault, WorldFault
from build.recipes.cran import needs_of
from build.system_faults import explain_base, explain_r, explain_system

_SAMPLES = Path(__file__).parent / "samples"
_LINES = {"tree": 2, "no-such-package": 4, "mail-transport-agent": 5, "libcurl4-openssl-dev": 6, "git-all": 7}
_NEEDS = needs_of("DESCRIPTION", "Package: x\nImports: tinyy (>= 2.1),\n  digest\n")


def _of_apt(name: str) -> BinderError | None:
    return explain_system((_SAMPLES / "apt" / f"{name}.txt").read_text(), "binder/apt.txt", _LINES)


def _of_r(name: str) -> BinderError | None:
    return explain_r((_SAMPLES / "r" / f"{name}.txt").read_text(), "binder/install.R", _NEEDS)


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("unknown_package", 4, "Debian has no package no-such-package. Nor has it python3-."),
        ("no_candidate", 5, "Debian has no package mail-transport-agent, but several that provide it: ssmtp, sendmail"),
        ("conflict", 6, "libcurl4-openssl-dev cannot be installed: Conflicts: libcurl4-gnutls-dev but 7.88.1"),
        ("unmet", None, "git-cvs cannot be installed: Depends: cvsps but it is not installable."),
    ],
)
def test_the_line_of_apt_txt_is_named(name: str, line: int | None, message: str) -> None:
    fault = _of_apt(name)
    assert isinstance(fault, RepositoryFault)
    assert (fault.file, fault.line, fault.step) == ("binder/apt.txt", line, "system")
    assert fault.message.startswith(message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("refused", "Debian's mirror could not be reached: Could not connect to 127.0.0.1:9 (127.0.0.1)."),
        ("unknown_host", "Debian's mirror could not be reached: Could not resolve 'mirror.invalid'"),
    ],
)
def test_a_mirror_that_cannot_be_reached_is_the_worlds_fault(name: str, message: str) -> None:
    fault = _of_apt(name)
    assert isinstance(fault, WorldFault)
    assert fault.message.startswith(message)


@pytest.mark.parametrize("name", ["not_there", "unsigned"])
def test_a_source_that_apt_does_not_take_is_the_operators_fault(name: str) -> None:
    assert isinstance(_of_apt(name), OperatorFault)


def test_what_no_author_asked_for_is_the_operators_fault() -> None:
    said = "E: Unable to locate package r-base-core\n"
    assert isinstance(explain_system(said, "apt.txt", {}), OperatorFault)
    said = "E: This machine has no sources of apt for trixie\n"
    assert isinstance(explain_system(said, "apt.txt", _LINES), OperatorFault)


def test_other_words_of_apt_are_left_to_others() -> None:
    assert explain_system("", "apt.txt", {}) is None
    assert "E: x" in explain_base("I: a\nE: x\nI: b\n").message


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("not_available", 3, "Package ‘dplyr’ is not available for this version of R."),  # noqa: RUF001 - R's own
        ("no_package", 6, "There is no package called ‘foo’."),  # noqa: RUF001
        ("unparsable", 4, "Unexpected string constant."),
        ("unparsable_end", 3, "Unexpected end of input."),
        ("stop", 1, "It is not to be."),
        ("quit", None, "It ended with status 3."),
        ("dependency_not_available", 1, "Dependency ‘notonthemirror’ is not available."),  # noqa: RUF001
    ],
)
def test_the_line_of_install_r_is_named(name: str, line: int | None, message: str) -> None:
    fault = _of_r(name)
    assert isinstance(fault, RepositoryFault)
    assert (fault.file, fault.line, fault.message) == ("binder/install.R", line, message)


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("wantslib", "It wants Debian's libcurl4-openssl-dev: add it to apt.txt."),
        ("header", "It lacks libxml/tree.h: add the package of Debian that holds it to apt.txt."),
        ("broken", "unable to collate and parse R files for package"),
        ("two", "probably ‘broken’."),  # noqa: RUF001
    ],
)
def test_a_package_of_r_that_fails_says_what_it_lacks(name: str, needed: str) -> None:
    fault = _of_r(name)
    assert isinstance(fault, RepositoryFault)
    assert fault.line == 1
    assert needed in fault.message


@pytest.mark.parametrize(("name", "line"), [("needs_missing", 2), ("needs_version", 2)])
def test_the_line_of_a_description_is_named(name: str, line: int) -> None:
    fault = _of_r(name)
    assert isinstance(fault, RepositoryFault)
    assert (fault.file, fault.line) == ("DESCRIPTION", line)


def test_a_mirror_of_r_is_the_worlds_and_an_archive_the_operators() -> None:
    assert isinstance(_of_r("unreachable"), WorldFault)
    fault = _of_r("no_snapshots")
    assert isinstance(fault, OperatorFault)
    assert "R's packages of 2023-04-01" in fault.message
    assert _of_r("good") is None


@pytest.mark.parametrize("piece", ["--- R: install.R line 1: ", "E: ", " a : ", "  a 1\n", "x" * 50 + "\n"])
def test_output_of_any_length_is_explained_at_once(piece: str) -> None:
    output = piece * (2**21 // len(piece))
    began = process_time()
    explain_r(output, "install.R")
    explain_system(output, "apt.txt", {})
    assert process_time() - began < 2
