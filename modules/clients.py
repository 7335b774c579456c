"""Reads what a module lays into the notebook's image: packages, variables, a helper to connect with, and an example.

The helper is `client/binder_modules/NAME.py`, for `from binder_modules import NAME`; the example is
`client/example.ipynb`, which becomes `binder-modules/NAME.ipynb` in the notebook's home.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from binder.errors import RepositoryFault
from binder.plain_yaml import Node, Text
from modules.definition import Client
from modules.filling import hosts_in
from modules.tables import VARIABLE, File, is_short_template, text_of

EXAMPLE = "client/example.ipynb"
NOTEBOOKS = "binder-modules"
"""The folder of the examples in the notebook's home."""

_KEYS = ("python", "debian", "environment")
_DEBIAN = re.compile(r"\A[a-z0-9][a-z0-9+.-]{1,100}\Z")
_OURS = re.compile(r"\A(?:PATH|HOME|SHELL|USER|PYTHONPATH|PYTHONHOME|VIRTUAL_ENV|(?:BINDER|JUPYTER|NB|LD|CONDA)_\w*)\Z")


def helper_of(name: str) -> str:
    """Return the name of the Python module that helps with a module."""
    return name.replace("-", "_")


def read_client(
    file: File,
    node: Node,
    files: Mapping[str, bytes],
    name: str,
    names: Collection[str],
    everywhere: frozenset[str],
    where: str,
) -> Client:
    """Return what the module `name` lays into the notebook's image.

    `files` are those of the module's folder `where`, `names` those of the values that its templates are given, and
    `everywhere` the components that are there in every mode.

    Raises: RepositoryFault.
    """
    table = file.table("`client`", node, _KEYS)
    said = {str(key): value for key, value in table.items()}
    return Client(
        python=tuple(_python(file, item) for item in _listed(file, said, "python", table)),
        debian=tuple(_debian(file, item) for item in _listed(file, said, "debian", table)),
        environment=_environment(file, said, names, everywhere),
        files=_examples(files, name, where),
        helpers=_helpers(files, name, where),
    )


def _listed(file: File, said: Mapping[str, Node], key: str, table: Mapping[Text, Node]) -> list[Node]:
    if key not in said:
        return []
    return file.items(f"`{key}` of `client`", said[key], 50, near=next(iter(table)))


def _python(file: File, item: Node) -> str:
    text = file.text("A package of `client`", item, 300, near=None)
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise file.fault(f"{text[:80]!r} in {file.path} is no requirement as `psycopg[binary]>=3.2`.", item) from error
    if requirement.url:
        raise file.fault(
            f"{requirement.name} in {file.path} must come from the package index, not from an address.", item
        )
    return str(requirement)


def _debian(file: File, item: Node) -> str:
    text = file.text("A package of Debian", item, 100, near=None)
    if not _DEBIAN.match(text):
        raise file.fault(f"{text[:80]!r} in {file.path} is no package of Debian.", item)
    return str(text)


def _environment(
    file: File, said: Mapping[str, Node], names: Collection[str], everywhere: frozenset[str]
) -> dict[str, str]:
    if "environment" not in said:
        return {}
    found: dict[str, str] = {}
    near = said["environment"]
    for name, value in file.named("`environment` of `client`", near, VARIABLE, 50, near=near).items():
        if _OURS.match(name):
            raise file.fault(f"`{name}` in {file.path} is a variable that only Binder sets.", name)
        if not isinstance(value, Text) or not is_short_template(value):
            raise file.fault(f"`{name}` in {file.path} must be a text.", value, name)
        file.template(f"`{name}`", value, names, value, name)
        if missing := sorted(hosts_in(value) - everywhere):
            raise file.fault(f"`{name}` in {file.path} asks for `hosts.{missing[0]}`, which not every mode has.", value)
        found[str(name)] = str(value)
    return found


def _examples(files: Mapping[str, bytes], name: str, where: str) -> dict[str, bytes]:
    if EXAMPLE not in files:
        return {}
    place = f"{where}/{EXAMPLE}"
    try:
        notebook: Any = json.loads(files[EXAMPLE])
    except (ValueError, RecursionError) as error:
        raise RepositoryFault(f"{place} is no notebook: it is not JSON.", file=place) from error
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise RepositoryFault(f"{place} is no notebook: it has no cells.", file=place)
    return {f"{NOTEBOOKS}/{name}.ipynb": files[EXAMPLE]}


def _helpers(files: Mapping[str, bytes], name: str, where: str) -> dict[str, bytes]:
    helper = f"client/binder_modules/{helper_of(name)}.py"
    for path in sorted(files):
        if path.startswith("client/") and path not in {helper, EXAMPLE}:
            place = f"{where}/{path}"
            raise RepositoryFault(
                f"{place} is laid into no image: in client/ there may be {helper.removeprefix('client/')} and "
                "example.ipynb.",
                file=place,
            )
    if helper not in files:
        return {}
    text_of(File(f"{where}/{helper}"), files[helper])
    return {f"{helper_of(name)}.py": files[helper]}
