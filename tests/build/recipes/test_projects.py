"""What a pyproject.toml tells of a project without a build."""

import pytest

from binder.errors import RepositoryFault
from build.commits.tree import Entry
from build.recipes.asked import Asked, Project
from build.recipes.projects import Manifest, group_of, installed, manifest_of, needs_of
from build.recipes.reading import Reading
from build.recipes.runtime import Requires

PROJECT = """\
[project]
name = "My.Waves"
requires-python = ">=3.9"
dependencies = [
    "numpy>=1",
]

[project.optional-dependencies]
all = ["my-waves[Plot_it, fast]", "tqdm"]
plot-it = ["matplotlib", "numpy>=1"]
fast = ["my_waves[all]", "numba ; python_version < '3.13'"]
"""


def reading(contents: dict[str, str]) -> Reading:
    return Reading({path: Entry("100644", len(text)) for path, text in contents.items()}, contents)


def manifest(text: str) -> Manifest:
    return manifest_of(reading({"pyproject.toml": text}), "pyproject.toml")


def asked(text: str, place: Project | None = None) -> Asked:
    return installed(reading({"x/pyproject.toml": text}), [place or Project("x")])


@pytest.mark.parametrize(
    ("extras", "needs"),
    [
        ((), ("numpy>=1",)),
        (("plot-it",), ("numpy>=1", "matplotlib")),
        (("all",), ("numpy>=1", "tqdm", 'numba; python_version < "3.13"', "matplotlib")),
        (("unknown",), ("numpy>=1",)),
    ],
)
def test_extras_may_name_others_of_their_own(extras: tuple[str, ...], needs: tuple[str, ...]) -> None:
    found = manifest(PROJECT)
    assert set(needs_of(found, found.dependencies or (), extras)) == set(needs)


def test_where_a_manifest_tells_only_that_is_asked() -> None:
    found = asked(PROJECT, Project("x", editable=True, extras=("plot-it",)))
    assert found.texts == {".binder-projects.txt": "numpy>=1\nmatplotlib\n"}
    assert not found.reads_tree
    assert found.lines == {"numpy": ("x/pyproject.toml", 5), "matplotlib": ("x/pyproject.toml", 10)}
    assert found.requires == (Requires(">=3.9", "x/pyproject.toml", 3),)
    assert found.places == (Project("x", editable=True, extras=("plot-it",)),)


@pytest.mark.parametrize(
    "text",
    [
        '[project]\nname = "x"\ndynamic = ["dependencies"]\n',
        '[project]\nname = "x"\ndynamic = ["optional-dependencies"]\n',
        '[build-system]\nrequires = []\n',
        '[tool.poetry]\nname = "x"\n',
    ],
)  # fmt: skip
def test_where_only_a_build_can_tell_the_files_are_read(text: str) -> None:
    found = asked(text, Project("x", extras=("a", "b")))
    assert found.texts == {".binder-projects.txt": "./x[a,b]\n"}
    assert found.reads_tree


@pytest.mark.parametrize("text", ['[project]\ndynamic = ["version"]\n', "[project]\ndynamic = []\n"])
def test_what_else_is_dynamic_is_no_matter(text: str) -> None:
    assert not asked(text).reads_tree


def test_setup_py_alone_tells_nothing() -> None:
    found = installed(reading({"setup.py": ""}), [Project("")])
    assert (found.texts, found.reads_tree) == ({".binder-projects.txt": "./\n"}, True)


def test_nothing_is_asked_where_nothing_is_needed() -> None:
    assert asked('[project]\nname = "x"\n').texts == {}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ('[project]\ndependencies = "numpy"\n', None, "something else where a list of names should be"),
        ("[project]\ndependencies = [5]\n", None, "something else where a list of names should be"),
        ("[project]\ndynamic = 5\n", None, "something else where a list of names should be"),
        ('[project]\ndependencies = [\n  "numpy",\n  "scipy >> 1"\n]\n', 4, "what is not a package: 'scipy >> 1'"),
        ('[project]\ndependencies = [\n  "x @ file:///srv"\n]\n', 3, "refers to a file of its own"),
        ('[project]\ndependencies = [\n  "./y"\n]\n', None, "what is not a package"),
    ],
)
def test_what_no_project_can_need_is_refused(text: str, line: int | None, problem: str) -> None:
    with pytest.raises(RepositoryFault, match=problem) as caught:
        asked(text)
    assert (caught.value.file, caught.value.line) == ("x/pyproject.toml", line)


def test_groups_include_each_other_even_in_a_circle() -> None:
    text = (
        '[dependency-groups]\nDev = ["pytest", {include-group = "lint"}]\nlint = ["ruff", {include-group = "dev"}, 5]\n'
    )
    assert group_of(manifest(text), "dev") == ("pytest", "ruff")
    assert group_of(manifest(text), "docs") == ()


@pytest.mark.parametrize(
    ("text", "is_package"),
    [("[project]\n[build-system]\n", True), ("[project.scripts]\n[build-system]\n", True), ("[project]\n", False),
     ("[build-system]\n", False), ("# [project]\n# [build-system]\n", False)],
)  # fmt: skip
def test_a_package_has_a_name_and_a_way_to_build_it(text: str, is_package: bool) -> None:
    assert manifest(text).is_package == is_package
