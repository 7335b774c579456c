"""What modules add to a repository's recipe, and to its image: packages of their clients, helpers, and examples; pure.

Which modules those are is chosen by `modules.binding`. A repository's own are in `binder/modules/NAME/VERSION/`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from binder.errors import BinderError, RepositoryFault
from build.commits.tree import Entry
from build.recipes.asked import OWN_PREFIX
from build.recipes.recipe import Recipe
from modules.binding import Chosen
from modules.clients import NOTEBOOKS
from modules.folders import OF_ALL_VERSIONS
from modules.reading import LARGEST_FILE_BYTES, MOST_BYTES, MOST_FILES

PACKAGE = "opt/binder/modules"
"""The folder of an image that holds the Python package of the helpers, `binder_modules`."""

_FOLDERS = ("binder/modules", ".binder/modules")
_MOST_VERSIONS = 10
_LIST = f"{OWN_PREFIX}modules.txt"
_INIT = '"""Helpers to connect with the modules of this binder: `from binder_modules import NAME`."""\n'


def with_modules(recipe: Recipe, modules: Sequence[Chosen]) -> Recipe:
    """Return a recipe with modules, and with the packages of their clients, but where a Dockerfile says what there is.

    What the author asks for himself is named as his.
    """
    if not modules or recipe.containerfile:
        return replace(recipe, modules=tuple(modules))
    lines: dict[str, tuple[str, int]] = {}
    wanted: set[str] = set()
    for one in modules:
        for requirement in one.module.client.python:
            wanted.add(requirement)
            lines.setdefault(canonicalize_name(Requirement(requirement).name), (one.file, one.line or 1))
    python = recipe.python
    if wanted:
        text = "".join(f"{requirement}\n" for requirement in sorted(wanted))
        asked, roots = {**python.asked, _LIST: text}, (*python.roots, _LIST)
        python = replace(python, asked=asked, roots=roots, lines={**lines, **python.lines})
    system = sorted({*recipe.system, *debian_places(modules)})
    return replace(recipe, modules=tuple(modules), python=python, system=tuple(system))


def debian_places(modules: Iterable[Chosen]) -> dict[str, tuple[str, int]]:
    """Return where the modules are asked for whose clients want packages of Debian: package → file and line."""
    return {package: (one.file, one.line or 1) for one in modules for package in one.module.client.debian}


def named(fault: BinderError | None, modules: Sequence[Chosen]) -> BinderError | None:
    """Return a fault of an environment that names the module whose client has a part in it, if one has."""
    if not isinstance(fault, RepositoryFault) or not modules:
        return fault
    place = (fault.file, fault.line)
    if fault.file == _LIST:
        place = (modules[0].file, modules[0].line)
    asking = next((one for one in modules if (one.file, one.line) == place), None)
    if asking is None:
        return fault
    message = f"{fault.message} The module {asking.module.name} needs {', '.join(asking.module.client.python)}."
    return RepositoryFault(message, file=asking.file, line=asking.line, step=fault.step)


def client_files(modules: Iterable[Chosen], files: Collection[str]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return what modules lay beside a repository's own `files`: below its folder, and below the root of the image.

    An author's own file stays, and so does whatever he has in the place of the folder of examples.
    """
    below: dict[str, bytes] = {}
    beside: dict[str, bytes] = {}
    for one in modules:
        client = one.module.client
        below |= {path: content for path, content in client.files.items() if path not in files}
        beside |= {f"{PACKAGE}/binder_modules/{name}": content for name, content in client.helpers.items()}
    if beside:
        beside[f"{PACKAGE}/binder_modules/__init__.py"] = _INIT.encode()
    return ({} if NOTEBOOKS in files else below), beside


def own_modules(files: Mapping[str, Entry], name: str) -> dict[str, dict[str, str]]:
    """Return the files of the versions of a module that a repository brings.

    The folder of each version is mapped to what the module has: path in it → path in the repository, which may be in
    the folder of what all versions have.

    Raises: RepositoryFault, where they are more than a module may have, or no files.
    """
    found: dict[str, dict[str, str]] = {}
    for folder in _FOLDERS:
        start = f"{folder}/{name}/"
        versions: dict[str, dict[str, str]] = {}
        for path in files:
            version, _, inner = path.removeprefix(start).partition("/")
            if path.startswith(start) and inner:
                versions.setdefault(version, {})[inner] = path
        shared = versions.pop(OF_ALL_VERSIONS, {})
        found |= {f"{start}{version}": shared | own for version, own in versions.items()}
    if len(found) > _MOST_VERSIONS:
        place = next(iter(found)).rpartition("/")[0]
        raise RepositoryFault(f"{place} holds more than {_MOST_VERSIONS} versions of a module.", file=place)
    for place, paths in found.items():
        _check(place, [(path, files[path]) for path in paths.values()])
    return found


def _check(place: str, entries: Sequence[tuple[str, Entry]]) -> None:
    if len(entries) > MOST_FILES or sum(entry.size for _, entry in entries) > MOST_BYTES:
        most = f"{MOST_FILES} files and {MOST_BYTES // 2**20} MiB"
        raise RepositoryFault(f"{place} holds more than {most}, which is more than a module may.", file=place)
    for path, entry in entries:
        if not entry.mode.startswith("100"):
            raise RepositoryFault(f"{path} must be a file: a module has no links and no submodules.", file=path)
        if entry.size > LARGEST_FILE_BYTES:
            raise RepositoryFault(f"{path} is larger than 1 MiB.", file=path)
