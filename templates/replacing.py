"""Checks a folder of an operator's whose files take the place of our templates: strictly, before any of them is used.

A file must have the path of one of ours, or lie below `own/`, where a template finds what it takes in. It may ask for
the values that ours of the same path is given, and for no others; those are the *parameters* of a template.
"""

import difflib
import json
import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Final

import jinja2
from jinja2 import meta, nodes

import templates
from templates.faults import TemplateFault

OWN: Final = "own/"
"""The folder of an operator's further templates."""

_MOST_FILES = 500
_MOST_BYTES = 2**20
_NO_TEMPLATES: Final = ("*.pyc", "__init__.py", "faults.py", "peers.py", "places.py", "replacing.py", "tolerations.py")
_AS_THEY_ARE: Final = ("build/*.py", "build/*.txt", "*.sh")
"""What is used without values, but for the next ones: its text means itself, whatever stands in it."""

_RENDERED: Final = ("build/content.sh", "build/environment.sh", "build/r.sh", "build/system.sh")
_FOR_ANY: Final = frozenset(jinja2.defaults.DEFAULT_NAMESPACE)
_FOR_EVERY_PAGE: Final = frozenset({"nonce", "asset", "version_of"})


def template_names() -> tuple[str, ...]:
    """Return the paths of all of our templates."""
    root = Path(templates.__file__).parent
    paths = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return tuple(sorted(path for path in paths if not any(fnmatch(path, one) for one in _NO_TEMPLATES)))


def is_rendered(name: str) -> bool:
    """Whether a template is given values; others are used as they are."""
    if name in _RENDERED or name.endswith(".json"):
        return True
    return not any(fnmatch(name, one) for one in _AS_THEY_ARE)


@cache
def parameters_of(name: str) -> tuple[str, ...]:
    """Return the names of the values that one of our templates asks for, those that it takes in included."""
    if not is_rendered(name):
        return ()
    environment = _ours()
    text = _source(environment, name)
    if name.endswith(".json"):
        asked: set[str] = set()
        for place in _texts_in(json.loads(text)):
            asked |= meta.find_undeclared_variables(environment.parse(place))
        return tuple(sorted(asked))
    tree = environment.parse(text)
    asked = _asked_in(tree)
    for other in meta.find_referenced_templates(tree):
        if other:
            asked |= set(parameters_of(other))
    return tuple(sorted(asked))


def _asked_in(tree: nodes.Template) -> set[str]:
    """Return the names that a template does not give itself: by a macro, an import or an assignment, in any block."""
    own = {macro.name for macro in tree.find_all(nodes.Macro)}
    own |= {name.name for name in tree.find_all(nodes.Name) if name.ctx in {"store", "param"}}
    for taken in tree.find_all(nodes.FromImport):
        own |= {name if isinstance(name, str) else name[1] for name in taken.names}
    own |= {taken.target for taken in tree.find_all(nodes.Import)}
    return meta.find_undeclared_variables(tree) - own - _FOR_ANY


def replace_from(folder: Path | None) -> None:
    """Have the files of an operator's folder win over our templates, once they are checked; None: there is none.

    Raises: TemplateFault, naming template and line; OperatorFault.
    """
    if folder is None:
        templates.use_folder(None)
        return
    if not folder.is_dir():
        raise TemplateFault(str(folder), None, "it is no folder (BINDER_TEMPLATES).")
    names = [name for name, _ in _files_in(folder)]
    for name, path in _files_in(folder):
        _check_file(name, path)
    templates.use_folder(folder)
    try:
        for name in names:
            if name.startswith(OWN) or is_rendered(name):
                _check_template(name, folder)
    except BaseException:
        templates.use_folder(None)
        raise


def _files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Give the files of a folder: path in it → file.

    Of a ConfigMap that is mounted, all is links to what begins with two dots: links are followed, and what begins
    with a dot is left out.
    """
    found = 0
    for top, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(top, name) for name in sorted(names) if not name.startswith(".")):
            found += 1
            if found > _MOST_FILES:
                raise TemplateFault(str(folder), None, f"it has more than {_MOST_FILES} files.")
            yield path.relative_to(folder).as_posix(), path


def _check_file(name: str, path: Path) -> None:
    known = template_names()
    if name not in known and not name.startswith(OWN):
        near = difflib.get_close_matches(name, known, n=1)
        meant = f"Is {near[0]} meant? " if near else ""
        raise TemplateFault(
            name,
            None,
            f"it takes the place of none of ours. {meant}What templates take in themselves lies below {OWN}.",
        )
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise TemplateFault(name, None, "it is larger than a MiB.")
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise TemplateFault(name, line, "it is not written in UTF-8.") from error
    except OSError as error:
        raise TemplateFault(name, None, f"it cannot be read: {error.strerror}.") from error
    if "\r" in text:
        raise TemplateFault(name, text.count("\n", 0, text.index("\r")) + 1, "its lines end with carriage returns.")


def _check_template(name: str, folder: Path) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    environment = templates._environment()  # noqa: SLF001 - one package
    if name.endswith(".json"):
        _check_json(name, text, environment)
        return
    try:
        tree = environment.parse(text, name)
        environment.compile(tree, name)
        for other in meta.find_referenced_templates(tree):
            if other:
                environment.get_template(other)
    except jinja2.TemplateError as error:
        raise templates.fault_of(name, error) from error
    if not name.startswith(OWN):
        _check_names(name, tree)


def _check_names(name: str, tree: nodes.Template) -> None:
    allowed = {*parameters_of(name), *(_FOR_EVERY_PAGE if name.startswith("pages/") else ())}
    for unknown in sorted(_asked_in(tree) - allowed):
        lines = [one.lineno for one in tree.find_all(nodes.Name) if one.name == unknown and one.ctx == "load"]
        known = ", ".join(sorted(allowed)) or "none"
        raise TemplateFault(
            name, min(lines, default=None), f"it asks for `{unknown}`, which it is not given. It gets: {known}."
        )


def _check_json(name: str, text: str, environment: jinja2.Environment) -> None:
    try:
        tree = json.loads(text)
    except ValueError as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise TemplateFault(name, line, "it is no JSON.") from error
    allowed = set(parameters_of(name))
    for place in _texts_in(tree):
        line = templates.line_of(place, text)
        try:
            asked = meta.find_undeclared_variables(environment.parse(place))
        except jinja2.TemplateSyntaxError as error:
            raise TemplateFault(name, line, f"it is no template: {error.message}.") from error
        for unknown in sorted(asked - allowed):
            known = ", ".join(sorted(allowed)) or "none"
            raise TemplateFault(name, line, f"it asks for `{unknown}`, which it is not given. It gets: {known}.")


def _texts_in(tree: object) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield str(key)
            yield from _texts_in(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _texts_in(value)


@cache
def _ours() -> jinja2.Environment:
    return templates._environment().overlay(  # noqa: SLF001 - one package
        loader=jinja2.FileSystemLoader(Path(templates.__file__).parent)
    )


def _source(environment: jinja2.Environment, name: str) -> str:
    assert environment.loader is not None  # noqa: S101 - `_ours` has one
    return environment.loader.get_source(environment, name)[0]
