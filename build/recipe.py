"""Which configuration files of a repository apply, by repo2docker's rules: a pure function of its listing and contents.

What is found here is what the author asked for; how it is made is `build.plan`'s. A file that asks for something that
this version cannot make is refused by name: an environment that silently lacks it would be worse.

Source: https://repo2docker.readthedocs.io/en/latest/configuration/
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from binder.errors import RepositoryFault
from build.requirements import Requirements, read_requirements
from build.tree import Entry

_FOLDERS = ("binder", ".binder")

# In the order in which they would win. What is refused here is refused before anything is built.
_NOT_YET = (
    ("Dockerfile", "a Dockerfile of the repository's own"),
    ("Containerfile", "a Containerfile of the repository's own"),
    ("Project.toml", "Julia"),
    ("JuliaProject.toml", "Julia"),
    ("default.nix", "Nix"),
    ("DESCRIPTION", "R"),
    ("runtime.txt", "a Python or R version of the repository's own"),
    ("environment.yml", "Conda environments"),
    ("environment.yaml", "Conda environments"),
    ("Pipfile.lock", "Pipenv"),
    ("Pipfile", "Pipenv"),
    ("setup.py", "installing the repository itself"),
    ("apt.txt", "packages of the system"),
    ("install.R", "R"),
    ("start", "a start script of the repository's own"),
)
_PROJECT = "pyproject.toml"
# Two headers say all that is asked here, whatever else a hostile file would have a parser do.
_TABLES_OF_A_PACKAGE = [
    re.compile(rf"^[ \t]*\[[ \t]*{name}[ \t]*[].]", re.MULTILINE) for name in ("project", "build-system")
]
_LARGEST_FILE_BYTES = 2**20


@dataclass(frozen=True)
class Recipe:
    """What a repository asks for. Paths are relative to its root."""

    requirements: Requirements | None
    post_build: str | None


def paths_to_read(files: Mapping[str, Entry]) -> tuple[str, ...]:
    """Return the files whose text `recipe_for` needs; `files` maps each path of a commit to its entry.

    Raises: RepositoryFault, naming the file.
    """
    folder = _folder_of(files)
    wanted = (f"{folder}requirements.txt", *(() if folder else (_PROJECT,)))
    paths = tuple(path for path in wanted if path in files)
    for path in paths:
        if not files[path].mode.startswith("100"):
            raise RepositoryFault(f"{path} must be a file; it is a link or a submodule.", file=path)
        if files[path].size > _LARGEST_FILE_BYTES:
            raise RepositoryFault(f"{path} is larger than 1 MiB, which no list of packages is.", file=path)
    return paths


def recipe_for(files: Mapping[str, Entry], texts: Mapping[str, str]) -> Recipe:
    """Return what the files of a commit ask for; `texts` holds the text of each of `paths_to_read`.

    Raises: RepositoryFault, naming the file.
    """
    folder = _folder_of(files)
    for name, what in _NOT_YET:
        if f"{folder}{name}" in files:
            raise _not_yet(f"{folder}{name}", what)
    # What only sets up tools asks for nothing.
    if all(table.search(texts.get(_PROJECT, "")) for table in _TABLES_OF_A_PACKAGE):
        raise _not_yet(_PROJECT, "installing the repository itself")
    requirements, post_build = f"{folder}requirements.txt", f"{folder}postBuild"
    return Recipe(
        read_requirements(requirements, texts[requirements]) if requirements in texts else None,
        _executable(files, post_build) if post_build in files else None,
    )


def _folder_of(files: Mapping[str, Entry]) -> str:
    """Return the folder that is read instead of the root, with a slash at its end, or nothing for the root."""
    present = [folder for folder in _FOLDERS if any(path.startswith(f"{folder}/") for path in files)]
    if len(present) > 1:
        raise RepositoryFault(
            "The repository has both a binder/ and a .binder/ folder. Keep the configuration files in one of them.",
            file=".binder",
        )
    return f"{present[0]}/" if present else ""


def _not_yet(path: str, what: str) -> RepositoryFault:
    return RepositoryFault(
        f"{path} asks for {what}, which this version cannot build yet. It builds requirements.txt and postBuild.",
        file=path,
    )


def _executable(files: Mapping[str, Entry], path: str) -> str:
    if files[path].mode != "100755":
        raise RepositoryFault(
            f"{path} is not executable. Run `git update-index --chmod=+x {path}`, and commit.", file=path
        )
    return path
