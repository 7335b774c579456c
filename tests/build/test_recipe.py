"""Which configuration files apply: repo2docker's rules, and by name what is not built yet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.errors import RepositoryFault
from build.recipe import Recipe, paths_to_read, recipe_for
from build.tree import Entry

FILE, SCRIPT, LINK, SUBMODULE = "100644", "100755", "120000", "160000"


def files(*paths: str, **modes: str) -> dict[str, Entry]:
    return {path: Entry(FILE, 100) for path in paths} | {path: Entry(mode, 100) for path, mode in modes.items()}


def recipe(listing: dict[str, Entry], text: str = "numpy\n") -> Recipe:
    return recipe_for(listing, dict.fromkeys(paths_to_read(listing), text))


def test_a_repository_without_configuration_asks_for_nothing() -> None:
    assert paths_to_read(files("notebook.ipynb")) == ()
    assert recipe(files("notebook.ipynb")) == recipe({}) == Recipe(None, None)


@pytest.mark.parametrize("folder", ["", "binder/", ".binder/"])
def test_files_are_read_from_the_root_or_a_folder(folder: str) -> None:
    listing = files("notebook.ipynb", f"{folder}requirements.txt", **{f"{folder}postBuild": SCRIPT})
    assert paths_to_read(listing) == (f"{folder}requirements.txt",)
    found = recipe(listing)
    assert found.requirements
    assert (found.requirements.path, found.requirements.lines) == (f"{folder}requirements.txt", {"numpy": 1})
    assert found.post_build == f"{folder}postBuild"


def test_where_there_is_a_folder_the_root_is_not_read() -> None:
    listing = files("requirements.txt", "setup.py", "pyproject.toml", "Dockerfile", "binder/README", postBuild="100644")
    assert paths_to_read(listing) == ()
    assert recipe(listing) == Recipe(None, None)


def test_a_file_is_no_folder() -> None:
    assert paths_to_read(files("binder", ".binder", "requirements.txt")) == ("requirements.txt",)
    assert paths_to_read(files("binders/requirements.txt", "x/binder/requirements.txt")) == ()


def test_two_folders_are_one_too_many() -> None:
    for look in (paths_to_read, recipe):
        with pytest.raises(RepositoryFault, match=r"both a binder/ and a \.binder/ folder"):
            look(files("binder/requirements.txt", ".binder/postBuild"))


@pytest.mark.parametrize("folder", ["", "binder/"])
@pytest.mark.parametrize(
    "name",
    [
        "Dockerfile",
        "Containerfile",
        "environment.yml",
        "environment.yaml",
        "Pipfile",
        "Pipfile.lock",
        "setup.py",
        "apt.txt",
        "start",
        "runtime.txt",
        "install.R",
        "DESCRIPTION",
        "Project.toml",
        "JuliaProject.toml",
        "default.nix",
    ],
)
def test_what_is_not_built_yet_is_refused_by_name(folder: str, name: str) -> None:
    with pytest.raises(RepositoryFault, match="cannot build yet") as caught:
        recipe(files(f"{folder}{name}", f"{folder}requirements.txt"))
    assert caught.value.file == f"{folder}{name}"
    assert caught.value.message.startswith(f"{folder}{name} asks for ")


_PACKAGE = '[build-system]\nrequires = ["hatchling"]\n\n[project]\nname = "x"\n'


@pytest.mark.parametrize("text", [_PACKAGE, "[project.scripts]\n [ build-system ]\n"])
def test_a_repository_that_is_a_package_is_refused_by_name(text: str) -> None:
    with pytest.raises(RepositoryFault, match=r"^pyproject\.toml asks for installing the repository itself"):
        recipe(files("pyproject.toml"), text)


@pytest.mark.parametrize("text", ["", "[tool.ruff]\n", '[project]\nname = "x"\n', "# [project]\n# [build-system]\n"])
def test_settings_of_tools_ask_for_nothing(text: str) -> None:
    assert recipe(files("pyproject.toml"), text) == Recipe(None, None)


@pytest.mark.parametrize("mode", [LINK, SUBMODULE])
def test_requirements_must_be_a_file(mode: str) -> None:
    with pytest.raises(RepositoryFault, match="must be a file"):
        paths_to_read({"requirements.txt": Entry(mode, 0)})


def test_requirements_have_a_size() -> None:
    paths_to_read({"requirements.txt": Entry(FILE, 2**20)})
    with pytest.raises(RepositoryFault, match="larger than 1 MiB"):
        paths_to_read({"requirements.txt": Entry(FILE, 2**20 + 1)})


@pytest.mark.parametrize("mode", [FILE, LINK])
def test_a_post_build_must_be_executable_and_the_author_is_told_how(mode: str) -> None:
    with pytest.raises(RepositoryFault, match=r"git update-index --chmod=\+x binder/postBuild"):
        recipe({"binder/postBuild": Entry(mode, 10)})


@given(
    st.dictionaries(
        st.text(min_size=1) | st.sampled_from(["binder/x", ".binder/x", "postBuild", "binder/postBuild", "setup.py"]),
        st.builds(Entry, st.sampled_from([FILE, SCRIPT, LINK, SUBMODULE]), st.integers(0, 2**21)),
    )
)
def test_every_listing_is_a_recipe_or_the_authors_fault(listing: dict[str, Entry]) -> None:
    try:
        found = recipe(listing)
    except RepositoryFault:
        return
    assert found.post_build is None or listing[found.post_build].mode == SCRIPT
