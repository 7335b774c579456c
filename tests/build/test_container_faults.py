"""Which line of a Dockerfile is at fault: by what Buildah 1.28 really printed (samples, as they were)."""

from pathlib import Path

import pytest

from binder.errors import BinderError, RepositoryFault, WorldFault
from build.container_faults import explain_containerfile, explain_pull
from build.recipes.containerfile import Containerfile, read_containerfile

_SAMPLES = Path(__file__).parent / "samples" / "containerfile"


def _sample(name: str) -> tuple[Containerfile, str]:
    text, _, output = (_SAMPLES / f"{name}.txt").read_text().partition("--- Buildah said ---\n")
    return read_containerfile("Dockerfile", text, own="", links=()), output


def _explained(name: str) -> BinderError | None:
    file, output = _sample(name)
    return explain_containerfile(output, file)


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("failing_run", 7, "ended with status 2: ls: cannot access '/nothere': No such file or directory."),
        ("stages", 5, "ended with status 1."),
        ("json_form", 3, "ended with status 4."),
        ("quotes", 2, 'ended with status 1: a: b "c".'),
        ("missing_file", 3, "copies 'nothere.txt', which is not in the repository or is left out of it."),
        ("user_absent", 3, 'failed: determining run uid: user: unknown user error looking up user "nobodyhere".'),
        ("registry_open", 2, "asks for 127.0.0.1:5000/team/absent:1, which its registry does not have."),
        ("registry_closed", 2, "asks for 127.0.0.1:5000/team/absent:1, which is not there or not public."),
    ],
)
def test_the_line_is_named(name: str, line: int, message: str) -> None:
    fault = _explained(name)
    assert isinstance(fault, RepositoryFault)
    assert (fault.file, fault.line, fault.step) == ("Dockerfile", line, "image")
    assert fault.message == f"Dockerfile line {line} {message}"


@pytest.mark.parametrize("name", ["unreachable", "unknown_host", "add_http", "copy_from_absent"])
def test_what_cannot_be_reached_is_the_worlds_fault(name: str) -> None:
    assert isinstance(_explained(name), WorldFault)


def test_a_step_whose_number_has_scrolled_away_is_known_by_its_text() -> None:
    file, output = _sample("failing_run")
    fault = explain_containerfile("x\n" * 300 + output[output.index("ls: ") :], file)
    assert isinstance(fault, RepositoryFault)
    assert fault.line == 7


def test_an_image_that_was_not_loaded_is_explained() -> None:
    file, output = _sample("pull_absent")
    fault = explain_pull(output, file, "127.0.0.1:5000/team/there:2")
    assert isinstance(fault, RepositoryFault)
    assert fault.line == 1
    assert isinstance(explain_pull("", file, "127.0.0.1:5000/team/there:2"), WorldFault)


def test_other_words_are_left_to_others() -> None:
    assert explain_containerfile("", _sample("stages")[0]) is None
