"""Whose fault it is, and on which line: by what uv really printed.

Each sample holds a requirements.txt, and what uv 0.13.9 said of it, as it was.
"""

from pathlib import Path
from time import process_time

import pytest

from binder.errors import RepositoryFault, WorldFault
from build.faults import NoWheelFault, explain_installation, explain_post_build, explain_resolution
from build.requirements import Requirements, read_requirements

_SAMPLES = Path(__file__).parent / "samples" / "uv"


def _sample(name: str) -> tuple[Requirements, str]:
    text, _, output = (_SAMPLES / f"{name}.txt").read_text().partition("--- uv said ---\n")
    return read_requirements("binder/requirements.txt", text), output


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
    requirements, output = _sample(name)
    fault = explain_resolution(output, requirements)
    assert isinstance(fault, RepositoryFault)
    assert (fault.message, fault.file, fault.line) == (message, "binder/requirements.txt", line)


@pytest.mark.parametrize(
    ("name", "line", "needed"),
    [
        ("conflict_of_dependencies", 2, ["pandas==2.2.0 depends on numpy", "you require numpy==1.20.0"]),
        ("many_reasons", 1, ["notebook==7.4.0 depends on jupyterlab", "you require jupyterlab==4.0.0"]),
    ],
)
def test_what_has_several_reasons_is_told_with_all_of_them(name: str, line: int, needed: list[str]) -> None:
    requirements, output = _sample(name)
    fault = explain_resolution(output, requirements)
    assert isinstance(fault, RepositoryFault)
    assert fault.line == line
    assert all(part in fault.message for part in needed)
    assert len(fault.message) <= 300


def test_an_index_that_cannot_be_reached_is_not_the_authors_fault() -> None:
    requirements, output = _sample("unreachable_index")
    for asked in (requirements, None):
        fault = explain_resolution(output, asked)
        assert isinstance(fault, WorldFault)
        assert fault.message.startswith("The package index could not be reached: Request failed after 3 retries")
    assert isinstance(explain_installation(output), WorldFault)


def test_without_requirements_a_resolution_that_fails_is_not_the_authors_fault() -> None:
    assert explain_resolution(_sample("unknown_package")[1], None) is None


def test_a_package_without_a_wheel_is_told_from_one_that_fails() -> None:
    fault = explain_installation(_sample("no_wheel")[1])
    assert isinstance(fault, NoWheelFault)
    assert fault.message == "docopt==0.6.2 has no usable wheels."
    fault = explain_installation(_sample("changed_package")[1])
    assert not isinstance(fault, NoWheelFault)
    assert isinstance(fault, RepositoryFault)
    assert fault.message == "Failed to download and build `docopt==0.6.2`: Hash mismatch for `docopt==0.6.2`."
    assert explain_installation("Error: while running runtime: exit status 1") is None


def test_a_post_build_that_fails_is_named_with_its_status() -> None:
    fault = explain_post_build(".binder/postBuild", "exit status 9\nError: while running runtime: exit status 3\n")
    assert isinstance(fault, RepositoryFault)
    assert (fault.place, fault.step) == (".binder/postBuild", "postBuild")
    assert fault.message == ".binder/postBuild ended with status 3. Its last lines are in the log."
    assert explain_post_build("postBuild", "").message == "postBuild ended. Its last lines are in the log."


@pytest.mark.parametrize("output", ["", "\n\n", "error: \n", "  cause: Because\n", "cause: Because x", "you require"])
def test_whatever_was_printed_has_an_explanation(output: str) -> None:
    fault = explain_resolution(output, read_requirements("requirements.txt", "numpy\n"))
    assert isinstance(fault, RepositoryFault)
    assert fault.message.endswith(".")


@pytest.mark.parametrize("piece", ["you require ", "Because ", " and you require ", "a, ", "x" * 50 + "\n"])
def test_output_of_any_length_is_explained_at_once(piece: str) -> None:
    output = "error: x\n  cause: Because " + piece * (2**22 // len(piece))
    began = process_time()
    explain_resolution(output, read_requirements("requirements.txt", "numpy\n"))
    explain_resolution(output[:20_000], read_requirements("requirements.txt", "numpy\n"))
    explain_installation(output)
    assert process_time() - began < 5
