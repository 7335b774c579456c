"""Whose fault it is, and on which line: by what uv really printed.

Each sample holds a requirements.txt, and what uv 0.13.9 said of it, as it was.
"""

from pathlib import Path
from time import process_time

import pytest

from binder.errors import BinderError, RepositoryFault, WorldFault
from build.faults import (
    NotFetchedFault,
    NoWheelFault,
    explain_installation,
    explain_post_build,
    explain_project,
    explain_resolution,
)
from build.recipes.requirements import read_requirements

_SAMPLES = Path(__file__).parent / "samples" / "uv"


_FILE = "requirements.txt"


def _sample(name: str) -> tuple[str, str]:
    text, _, output = (_SAMPLES / f"{name}.txt").read_text().partition("--- uv said ---\n")
    return text, output


def _explained(output: str, text: str) -> BinderError | None:
    lines = {name: (_FILE, line) for name, line in read_requirements(_FILE, text).lines.items()}
    return explain_resolution(output, {_FILE: text}, lines)


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("unknown_package", 4, "no-such-package-of-anybody was not found in the package registry."),
        ("unknown_version", 1, "There is no version of numpy==999.1."),
        ("conflict", 1, "You require numpy==1.26.0 and numpy==1.20.0."),
        ("conflict_with_ours", 2, "You require jupyterlab==3.0.0 and jupyterlab>=4."),
        (
            "wrong_python",
            2,
            "tensorflow==1.15.0 has no wheels with a matching Python ABI tag (e.g., `cp311`).",
        ),
        (
            "unparsable_line",
            3,
            "Couldn't parse requirement: Expected one of `@`, `(`, `<`, `=`, `>`, `~`, `!`, `;`, found `i`.",
        ),
        (
            "unparsable_continued",
            2,
            "Couldn't parse requirement: Expected one of `@`, `(`, `<`, `=`, `>`, `~`, `!`, `;`, found `\\`.",
        ),
        (
            "unknown_option",
            2,
            "Unexpected '-', expected '-c', '-e', '-r' or the start of a requirement: requirements.txt:2:1.",
        ),
        ("source_that_fails", 2, "Failed to build `pysqlite==2.8.3`: The build backend returned an error."),
    ],
)
def test_the_line_at_fault_is_named(name: str, line: int, message: str) -> None:
    text, output = _sample(name)
    fault = _explained(output, text)
    assert isinstance(fault, RepositoryFault)
    assert (fault.message, fault.file, fault.line) == (message, _FILE, line)


@pytest.mark.parametrize(
    ("name", "line", "needed"),
    [
        ("conflict_of_dependencies", 2, ["pandas==2.2.0 depends on numpy", "you require numpy==1.20.0"]),
        ("many_reasons", 1, ["notebook==7.4.0 depends on jupyterlab", "you require jupyterlab==4.0.0"]),
    ],
)
def test_what_has_several_reasons_is_told_with_all_of_them(name: str, line: int, needed: list[str]) -> None:
    text, output = _sample(name)
    fault = _explained(output, text)
    assert isinstance(fault, RepositoryFault)
    assert fault.line == line
    assert all(part in fault.message for part in needed)
    assert len(fault.message) <= 300


def test_an_index_that_cannot_be_reached_is_not_the_authors_fault() -> None:
    text, output = _sample("unreachable_index")
    for fault in (_explained(output, text), explain_resolution(output, {}, {})):
        assert isinstance(fault, WorldFault)
        assert fault.message.startswith("The package index could not be reached: Request failed after 3 retries")
    assert isinstance(explain_installation(output), WorldFault)


def test_without_requirements_a_resolution_that_fails_is_not_the_authors_fault() -> None:
    assert explain_resolution(_sample("unknown_package")[1], {}, {}) is None


def test_a_package_without_a_wheel_is_told_from_one_that_fails() -> None:
    fault = explain_installation(_sample("no_wheel")[1])
    assert isinstance(fault, NoWheelFault)
    assert fault.message == "docopt==0.6.2 has no usable wheels."
    fault = explain_installation(_sample("changed_package")[1])
    assert not isinstance(fault, NoWheelFault)
    assert isinstance(fault, RepositoryFault)
    assert fault.message == "Failed to download and build `docopt==0.6.2`: Hash mismatch for `docopt==0.6.2`."
    assert explain_installation("Error: while running runtime: exit status 1") is None


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("fails", None, "with status 2: ls: cannot access '/nothere': No such file or directory."),
        ("command_absent", 3, "with status 127: ./binder/postBuild: line 3: foo: command not found."),
        ("python", 2, "with status 1: ModuleNotFoundError: No module named 'nothere'."),
        ("quiet", None, "with status 3."),
        ("killed", None, "with status 137: Killed. It was killed, perhaps for its want of memory."),
        ("crlf", None, "or ends as Windows ends lines: save it with LF alone."),
        ("no_interpreter", None, "names an interpreter that is not there"),
        ("crlf_env", None, "It has Windows line ends: save it with LF alone, and commit."),
        ("crlf_inside", 4, "It has Windows line ends: save it with LF alone, and commit."),
        ("root", None, "It does not run as root: list packages of the system in apt.txt."),
        ("denied", None, "It runs as an ordinary user, who can write to the repository's folder."),
    ],
)
def test_a_post_build_that_fails_says_why(name: str, line: int | None, message: str) -> None:
    fault = explain_post_build("binder/postBuild", (_SAMPLES.parent / "post_build" / f"{name}.txt").read_text())
    assert isinstance(fault, RepositoryFault)
    assert (fault.file, fault.line, fault.step) == ("binder/postBuild", line, "postBuild")
    assert message in fault.message


def test_a_post_build_that_said_nothing_is_named() -> None:
    assert explain_post_build("postBuild", "").message == "postBuild ended."


@pytest.mark.parametrize("output", ["", "\n\n", "error: \n", "  cause: Because\n", "cause: Because x", "you require"])
def test_whatever_was_printed_has_an_explanation(output: str) -> None:
    fault = _explained(output, "numpy\n")
    assert isinstance(fault, RepositoryFault)
    assert fault.message.endswith(".")


@pytest.mark.parametrize("piece", ["you require ", "Because ", " and you require ", "a, ", "x" * 50 + "\n"])
def test_output_of_any_length_is_explained_at_once(piece: str) -> None:
    output = "error: x\n  cause: Because " + piece * (2**22 // len(piece))
    began = process_time()
    _explained(output, "numpy\n")
    _explained(output[:20_000], "numpy\n")
    explain_installation(output)
    assert process_time() - began < 5


def test_a_project_that_could_not_be_installed_is_named() -> None:
    said = "error: Failed to build `tides`\n  cause: The backend returned an error\n--- not installed: sub/setup.py\n"
    fault = explain_project(said, has_network=True)
    assert isinstance(fault, RepositoryFault)
    assert (fault.place, fault.message) == (
        "sub/setup.py",
        "Failed to build `tides`: The backend returned an error.",
    )
    assert explain_project("error: not the end of it\n", has_network=True) is None
    gone = "error: Failed to fetch: x\n  cause: dns error\n--- not installed: setup.py\n"
    assert isinstance(explain_project(gone, has_network=True), WorldFault)
    assert isinstance(explain_project(gone, has_network=False), NotFetchedFault)


@pytest.mark.parametrize(
    "said",
    [
        "hint: Packages were unavailable because the network was disabled.",
        "cause: Network connectivity is disabled but the requested data wasn't found in the cache for: `x`",
    ],
)
def test_what_was_not_fetched_before_is_the_operators_fault_where_there_is_no_network(said: str) -> None:
    output = f"error: Failed to build `tides`\n{said}\n--- not installed: setup.py\n"
    assert isinstance(explain_project(output, has_network=False), NotFetchedFault)
    assert isinstance(explain_project(output, has_network=True), RepositoryFault)
