"""Which configuration files of a repository apply, by repo2docker's rules: a pure function of its listing and contents.

What is found here is what the author asked for; how it is made is `build.plan`'s, and what each kind of file says is
read by modules of their own. What cannot be had is refused by name: an environment that silently lacks it would be
worse.

Source: https://repo2docker.readthedocs.io/en/latest/configuration/
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from binder.errors import RepositoryFault
from build.commits.tree import Entry
from build.recipes.apt import packages_of
from build.recipes.asked import Asked, BuildSystem, Project
from build.recipes.conda import CondaRequest, conda_request
from build.recipes.options import Options, options_of
from build.recipes.packages import of_conda, of_pipenv, of_python
from build.recipes.pipenv import pipenv_python
from build.recipes.projects import MANIFEST
from build.recipes.reading import LARGEST_LOCK_BYTES, NotReadYet, Reading
from build.recipes.runtime import R, Runtime, python_version, runtime_of
from modules.binding import Chosen

__all__ = ["BuildSystem", "Options", "Project", "Python", "R", "Recipe", "paths_to_read", "recipe_for"]

_FOLDERS = ("binder", ".binder")
_OWN_MODULES = "modules"
"""The folder, in one of these, of the modules that a repository brings; it is no configuration of its environment."""

_ABSENT = (("Project.toml", "Julia"), ("JuliaProject.toml", "Julia"), ("default.nix", "Nix"))
_CONDA = ("environment.yml", "environment.yaml")
_PIXI = ("pixi.lock", "pixi.toml")
_SMALL = ("binder.yml", "runtime.txt", "apt.txt", "requirements.txt", "Pipfile", *_CONDA, MANIFEST)

PythonAsked = tuple[str, str, int | None]
"""A version of Python, with the file and line that ask for it."""


@dataclass(frozen=True)
class Python:
    """What is asked of Python: `version` (x.y) by the file `version_from`, None for the default, and packages.

    `asked` maps the paths of requirement files to their texts: `roots` are what is asked for, `constraints` bound it,
    others are included by them. `lines` maps a package's normalised name to the file and line that ask for it.
    `projects` are the parts of the repository that are themselves installed; where only a build can tell what they
    need, `reads_tree` says that resolving needs the repository's files, and sees places from their root.
    `build_systems` maps the paths of these parts to what they are built with.
    """

    version: str | None
    version_from: str | None
    asked: Mapping[str, str]
    roots: tuple[str, ...]
    constraints: tuple[str, ...]
    lines: Mapping[str, tuple[str, int]]
    index_options: tuple[str, ...]
    projects: tuple[Project, ...]
    reads_tree: bool
    build_systems: Mapping[str, BuildSystem]


@dataclass(frozen=True)
class Recipe:
    """What a repository asks for. Paths are relative to its root.

    `folder` is "", "binder/" or ".binder/". With a `containerfile`, there are only `ignore`, `options` and `modules`
    besides. `system` holds names of Debian's packages, in order; `system_lines` maps the author's own to their lines in
    apt.txt. `modules` are those that `options` ask for, once it is known what they are (`build.recipes.modules`).
    """

    folder: str
    containerfile: str | None
    python: Python
    conda: CondaRequest | None
    r: R | None
    system: tuple[str, ...]
    system_lines: Mapping[str, int]
    post_build: str | None
    start: str | None
    ignore: str | None
    options: Options
    modules: tuple[Chosen, ...] = ()


def paths_to_read(files: Mapping[str, Entry], texts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the files to read next, for `recipe_for`; nothing more once `texts` has them all.

    `files` maps each path of a commit to its entry; of a link, the text is where it leads. To be called again with what
    was read, for one file leads to others.

    Raises: RepositoryFault.
    """
    try:
        _sketch(Reading(files, texts))
    except NotReadYet as more:
        return more.paths
    return ()


def recipe_for(files: Mapping[str, Entry], texts: Mapping[str, str], available: tuple[str, ...]) -> Recipe:
    """Return what the files of a commit ask for; `texts` holds the text of each of `paths_to_read`.

    `available` are the versions of Python that there are (x.y), the default first.

    Raises: RepositoryFault.
    """
    recipe, asked, python = _sketch(Reading(files, texts))
    is_conda = recipe.conda is not None
    version, version_from = (None, None) if is_conda else python_version(python, asked.requires, available)
    return replace(recipe, python=_python_of(asked, version, version_from))


def _sketch(reading: Reading) -> tuple[Recipe, Asked, PythonAsked | None]:
    """Return the recipe but for its Python, what is asked of that, and its version."""
    folder = _folder_of(reading.files)
    reading.require("binder.yml", *(f"{folder}{name}" for name in _SMALL))
    options = _options(reading, folder)
    ignore = _first_file(reading, folder, (".containerignore", ".dockerignore"))
    nothing = Recipe(folder, None, _python_of(Asked(), None, None), None, None, (), {}, None, None, ignore, options)
    if containerfile := _first_file(reading, folder, ("Dockerfile", "Containerfile")):
        return replace(nothing, containerfile=containerfile), Asked(), None
    for name, language in _ABSENT:
        if f"{folder}{name}" in reading.files:
            raise _not_here(f"{folder}{name}", language)
    system = packages_of(path, reading.text(path)) if (path := f"{folder}apt.txt") in reading.files else {}
    conda, r, asked, python = _languages(reading, folder)
    scripts = [_executable(reading, f"{folder}{name}") for name in ("postBuild", "start")]
    recipe = replace(
        nothing, conda=conda, r=r, system=tuple(system), system_lines=system, post_build=scripts[0], start=scripts[1]
    )
    return recipe, asked, python


def _languages(reading: Reading, folder: str) -> tuple[CondaRequest | None, R | None, Asked, PythonAsked | None]:
    path = f"{folder}runtime.txt"
    runtime = runtime_of(path, reading.text(path)) if path in reading.files else None
    is_python = runtime is not None and runtime.language == "python"
    asked_python = (runtime.version, path, runtime.line) if runtime and is_python and runtime.version else None
    r, environment = _r_of(reading, folder, runtime), _first(reading, folder, _CONDA)
    if r:
        conda = _conda(reading, environment) if environment else None
        own = of_conda(reading, conda) if conda else Asked()
        return conda, r, of_python(reading, folder, own), asked_python
    if environment is None and _first(reading, folder, ("Pipfile.lock", "Pipfile")):
        return None, None, of_pipenv(reading, folder), pipenv_python(reading, folder) or asked_python
    if environment is None:
        asked = of_python(reading, folder)
        pixi = _first(reading, folder, _PIXI)
        if asked.texts or asked.places or is_python or pixi is None:
            return None, None, asked, asked_python
        environment = pixi
    conda = _conda(reading, environment)
    return conda, None, of_conda(reading, conda), None


def _conda(reading: Reading, path: str) -> CondaRequest:
    return conda_request(path, reading.text(path, LARGEST_LOCK_BYTES))


def _r_of(reading: Reading, folder: str, runtime: Runtime | None) -> R | None:
    """Return R, where runtime.txt asks for it as of a day, or the root describes a package of R."""
    is_package = not folder and "DESCRIPTION" in reading.files
    dated = runtime if runtime and runtime.language == "r" and runtime.snapshot else None
    install = _first_file(reading, folder, ("install.R",)) if dated or is_package else None
    if dated:
        return R(dated.version, dated.snapshot, install, is_package, f"{folder}runtime.txt")
    if is_package:
        return R(None, None, install, True, "DESCRIPTION")
    if runtime and runtime.language == "r":
        raise RepositoryFault(
            f"{folder}runtime.txt asks for R without a day. Write the day of its packages too: `r-4.2-2024-05-31`.",
            file=f"{folder}runtime.txt",
            line=runtime.line,
        )
    return None


def _python_of(asked: Asked, version: str | None, version_from: str | None) -> Python:
    return Python(
        version,
        version_from,
        asked.texts,
        asked.roots,
        asked.constraints,
        asked.lines,
        asked.index_options,
        asked.places,
        asked.reads_tree,
        asked.build_systems,
    )


def _folder_of(files: Mapping[str, Entry]) -> str:
    """Return the folder that is read instead of the root, with a slash at its end, or nothing for the root."""
    present = [folder for folder in _FOLDERS if any(_configures(path, folder) for path in files)]
    if len(present) > 1:
        raise RepositoryFault(
            "The repository has both a binder/ and a .binder/ folder. Keep the configuration files in one of them.",
            file=".binder",
        )
    return f"{present[0]}/" if present else ""


def _configures(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/") and not path.startswith(f"{folder}/{_OWN_MODULES}/")


def _options(reading: Reading, folder: str) -> Options:
    """Return what binder.yml says, with the files that are in the folders that it names."""
    paths = [path for path in dict.fromkeys(("binder.yml", f"{folder}binder.yml")) if path in reading.files]
    if len(paths) > 1:
        raise RepositoryFault(f"There is a binder.yml, and a {paths[1]} too. Keep one of them.", file=paths[1])
    if not paths:
        return Options()
    options, lines = options_of(paths[0], reading.text(paths[0]))
    if options.post_build_inputs is None:
        return options
    inputs: set[str] = set()
    for path, line in lines.items():
        found = reading.below(path)
        if not found:
            message = f"{paths[0]} names {path}, which the repository does not have."
            raise RepositoryFault(message, file=paths[0], line=line)
        inputs.update(found)
    return replace(options, post_build_inputs=tuple(sorted(inputs)))


def _first(reading: Reading, folder: str, names: tuple[str, ...]) -> str | None:
    return next((f"{folder}{name}" for name in names if f"{folder}{name}" in reading.files), None)


def _first_file(reading: Reading, folder: str, names: tuple[str, ...]) -> str | None:
    """Return the first of these that there is, which must be a file: where it is read, a link would be followed."""
    path = _first(reading, folder, names)
    return path and _regular(reading, path)


def _not_here(path: str, language: str) -> RepositoryFault:
    return RepositoryFault(
        f"{path} asks for {language}, which is not available. There are Python, Conda and R; "
        f"a Dockerfile can bring everything else.",
        file=path,
    )


def _regular(reading: Reading, path: str) -> str:
    if not reading.files[path].mode.startswith("100"):
        raise RepositoryFault(f"{path} must be a file; it is a link or a submodule.", file=path)
    return path


def _executable(reading: Reading, path: str) -> str | None:
    if path not in reading.files:
        return None
    if reading.files[_regular(reading, path)].mode != "100755":
        raise RepositoryFault(
            f"{path} is not executable. Run `git update-index --chmod=+x {path}`, and commit.", file=path
        )
    return path
