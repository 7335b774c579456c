"""What runtime.txt asks for, and which Python there is for it."""

import contextlib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.errors import RepositoryFault
from build.recipes.runtime import Requires, Runtime, python_version, runtime_of

AVAILABLE = ("3.11", "3.13", "3.9")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python-3.11", Runtime("python", "3.11", None, 1)),
        ("\n python-3.11.4 \r\n", Runtime("python", "3.11", None, 2)),
        ("python-3", Runtime("python", None, None, 1)),
        ("r-2024-05-31", Runtime("r", None, date(2024, 5, 31), 1)),
        ("r-4.2-2024-05-31", Runtime("r", "4.2", date(2024, 5, 31), 1)),
        ("r-4.2.1-2024-05-31\n", Runtime("r", "4.2.1", date(2024, 5, 31), 1)),
        ("r-4.2", Runtime("r", None, None, 1)),
        ("r", Runtime("r", None, None, 1)),
        ("", None),
        (" \n", None),
    ],
)
def test_what_may_be_asked_for(text: str, expected: Runtime | None) -> None:
    assert runtime_of("runtime.txt", text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("julia-1.9", "asks for `julia-1.9`, which is not available. There are Python and R"),
        ("3.11", "not available"),
        ("python-3.x", "not available"),
        ("python-3.11\nnumpy", "not available"),
        ("python-\u0663.11", "not available"),
        ("r-2024-02-30", "2024-02-30 is no day"),
        ("r-4-2024-05-31", "not available"),
    ],
)
def test_anything_else_is_refused(text: str, problem: str) -> None:
    with pytest.raises(RepositoryFault) as caught:
        runtime_of("runtime.txt", f"\n{text}")
    assert problem in caught.value.message
    assert (caught.value.file, caught.value.line) == ("runtime.txt", 2)


@given(st.text() | st.from_regex(r"(python|r)-[0-9.]*-?[0-9]{4}-[0-9]{2}-[0-9]{2}"))
def test_whatever_is_said_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(RepositoryFault):
        runtime_of("runtime.txt", text)


@pytest.mark.parametrize(
    ("specifiers", "expected"),
    [
        ([], None),
        ([">=3.9"], None),
        ([">=3.9", "<3.12"], None),
        (["==3.11"], None),
        (["==3.11.*"], None),
        ([">=3.11.2,<3.11.9"], None),
        ([">3.11"], None),
        (["~=3.11"], None),
        ([">=3.12"], "3.13"),
        (["<3.11"], "3.9"),
        (["!=3.11.*"], "3.9"),
        (["!=3.11.*", ">=3.10"], "3.13"),
    ],
)
def test_the_lowest_python_that_all_take_is_taken_and_the_default_before_it(
    specifiers: list[str], expected: str | None
) -> None:
    requires = [Requires(specifier, "pyproject.toml", None) for specifier in specifiers]
    version, source = python_version(None, requires, AVAILABLE)
    assert (version, source) == (expected, "pyproject.toml" if expected else None)


def test_what_is_asked_for_is_taken() -> None:
    requires = [Requires(">=3.9", "pyproject.toml", 2)]
    assert python_version(("3.13", "runtime.txt", 1), requires, AVAILABLE) == ("3.13", "runtime.txt")
    assert python_version(("3.11", "runtime.txt", 1), [], AVAILABLE) == ("3.11", "runtime.txt")


@pytest.mark.parametrize(
    ("asked", "specifier", "file", "problem"),
    [
        ("3.7", ">=3", "runtime.txt", "There is Python 3.11 and 3.13 and 3.9 here. An environment.yml can ask Conda"),
        ("3.11", ">=3.12", "runtime.txt", "but pyproject.toml requires >=3.12. Change one of them"),
        (None, ">=3.14", "pyproject.toml", "requires Python >=3.14. There is Python 3.11 and 3.13"),
        (None, "three", "pyproject.toml", "`three`, which is no range of versions"),
        (None, ">=3" + ",>=3" * 100, "pyproject.toml", "no range of versions"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(asked: str | None, specifier: str, file: str, problem: str) -> None:
    with pytest.raises(RepositoryFault) as caught:
        python_version(
            (asked, "runtime.txt", 1) if asked else None, [Requires(specifier, "pyproject.toml", 4)], AVAILABLE
        )
    assert problem in caught.value.message
    assert (caught.value.file, caught.value.line) == (file, 1 if file == "runtime.txt" else 4)


@given(st.text(max_size=30) | st.text("<>=!~3.1,*", max_size=20))
def test_whatever_a_project_requires_is_read_or_refused(specifier: str) -> None:
    with contextlib.suppress(RepositoryFault):
        assert python_version(None, [Requires(specifier, "pyproject.toml", None)], AVAILABLE)[0] in {*AVAILABLE, None}
