"""What the repository's own projects are built with."""

import pytest

from binder.errors import RepositoryFault
from build.commits.tree import Entry
from build.recipes.asked import BuildSystem, Project
from build.recipes.build_systems import build_systems
from build.recipes.reading import NotReadYet, Reading


def reading(contents: dict[str, str]) -> Reading:
    return Reading({path: Entry("100644", len(text)) for path, text in contents.items()}, contents)


def built_with(text: str) -> BuildSystem:
    return build_systems(reading({"x/pyproject.toml": text}), [Project("x")])["x"]


@pytest.mark.parametrize(
    ("text", "requires"),
    [
        ("[project]\nname = 'x'\n", ("setuptools>=40.8.0", "wheel")),
        ("[build-system]\nrequires = []\n", ()),
        ("[build-system]\nrequires = ['flit_core >= 3.2,<4']\n", ("flit_core<4,>=3.2",)),
        ("[build-system]\nrequires = ['hatchling', 'hatch-vcs']\n", ("hatchling", "hatch-vcs", "editables")),
        ("[build-system]\nrequires = ['Setuptools', 'wheel>0.30']\n", ("Setuptools", "wheel>0.30")),
        (
            "[build-system]\nrequires = ['poetry-core', 'Own_Backend']\n"
            "[tool.uv.sources]\nown-backend = {workspace = true}\n",
            ("poetry-core",),
        ),
    ],
)
def test_a_build_system_says_what_it_requires(text: str, requires: tuple[str, ...]) -> None:
    assert built_with(text).requires == requires


def test_where_nothing_is_said_it_is_what_was_always_meant() -> None:
    files = {"a/setup.py": "", "w/x-1.0-py3-none-any.whl": "", "w/x-1.0.tar.gz": ""}
    found = build_systems(reading(files), [Project("a"), *map(Project, list(files)[1:])])
    always = ("setuptools>=40.8.0", "wheel")
    assert found == {
        "a": BuildSystem("a/setup.py", always),
        "w/x-1.0-py3-none-any.whl": BuildSystem("w/x-1.0-py3-none-any.whl"),
        "w/x-1.0.tar.gz": BuildSystem("w/x-1.0.tar.gz", always),
    }


def test_its_lines_are_those_that_name_what_it_requires() -> None:
    found = built_with("[project]\nname = 'x'\n[build-system]\nrequires = [\n  'numpy',\n  'Hatchling',\n]\n")
    assert (found.file, found.lines) == ("x/pyproject.toml", {"numpy": 5, "hatchling": 6})


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("[build-system]\nrequires = [\n  'hatchling',\n  'numpy >> 1'\n]\n", 4, "not a package: 'numpy >> 1'"),
        ("[build-system]\nrequires = ['x @ file:///srv']\n", 2, "refers to a file of its own"),
        ("[build-system]\nrequires = ['--index-url=http://x']\n", None, "not a package"),
        ("[build-system]\nrequires = ['x\\n-e .']\n", None, "not a package"),
        ("[build-system]\nrequires = 'hatchling'\n", None, "something else where a list of names should be"),
        ("[build-system]\nrequires = [1]\n", None, "something else where a list of names should be"),
        ("[build-system]\n", None, "does not say what it requires"),
        ("build-system = 5\n", None, "does not say what it requires"),
    ],
)
def test_what_no_build_system_can_require_is_refused(text: str, line: int | None, problem: str) -> None:
    with pytest.raises(RepositoryFault, match=problem) as caught:
        built_with(text)
    assert (caught.value.file, caught.value.line) == ("x/pyproject.toml", line)


def test_all_manifests_are_asked_for_at_once() -> None:
    files = {path: Entry("100644", 1) for path in ("a/pyproject.toml", "b/pyproject.toml")}
    with pytest.raises(NotReadYet) as caught:
        build_systems(Reading(files, {}), [Project("a"), Project("b")])
    assert caught.value.paths == tuple(files)
