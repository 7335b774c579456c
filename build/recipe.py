"""Which configuration files of a repository apply, by repo2docker's rules: a pure function of its listing and contents.

What is found here is what the author asked for; how it is made is `build.plan`'s. A file that asks for something that
this version cannot make is refused by name: an environment that silently lacks it would be worse.

Source: https://repo2docker.readthedocs.io/en/latest/configuration/
"""

from collections.abc import Mapping
from dataclasses import dataclass

from binder.errors import RepositoryFault
from build.requirements import Requirements, read_requirements

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
_LARGEST_FILE_BYTES = 2**20


@dataclass(frozen=True)
class Entry:
    """A file of a commit: git's mode (`100755` is executable, `120000` a symbolic link) and its size in bytes."""

    mode: str
    size: int


@dataclass(frozen=True)
class Recipe:
    """What a repository asks for. Paths are relative to its root."""

    requirements: Requirements | None
    post_build: str | None


def paths_to_read(files: Mapping[str, Entry]) -> tuple[str, ...]:
    """Return the files whose text `recipe_for` needs; `files` maps each path of a commit to its entry.

    Raises: RepositoryFault, naming the file.
    """
    path = f"{_folder_of(files)}requirements.txt"
    if path not in files:
        return ()
    if not files[path].mode.startswith("100"):
        raise RepositoryFault(f"{path} must be a file; it is a link or a submodule.", file=path)
    if files[path].size > _LARGEST_FILE_BYTES:
        raise RepositoryFault(f"{path} is larger than 1 MiB, which no list of packages is.", file=path)
    return (path,)


def recipe_for(files: Mapping[str, Entry], texts: Mapping[str, str]) -> Recipe:
    """Return what the files of a commit ask for; `texts` holds the text of each of `paths_to_read`.

    Raises: RepositoryFault, naming the file.
    """
    folder = _folder_of(files)
    _refuse_what_is_missing(files, folder)
    post_build = f"{folder}postBuild"
    return Recipe(
        next((read_requirements(path, text) for path, text in texts.items()), None),
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


def _refuse_what_is_missing(files: Mapping[str, Entry], folder: str) -> None:
    for name, what in _NOT_YET:
        if f"{folder}{name}" in files:
            raise RepositoryFault(
                f"{folder}{name} asks for {what}, which this version cannot build yet. "
                "It builds requirements.txt and postBuild.",
                file=f"{folder}{name}",
            )


def _executable(files: Mapping[str, Entry], path: str) -> str:
    if files[path].mode != "100755":
        raise RepositoryFault(
            f"{path} is not executable. Run `git update-index --chmod=+x {path}`, and commit.", file=path
        )
    return path
