"""What binder.yml says: the choices that no configuration file of the ecosystem has a place for.

as_of: commit-date            # or a day, as 2024-05-31: only packages that were there by then
post_build:
  inputs: [postBuild, data/]  # all that postBuild reads
resources:                    # what a session may use: `binder.session_resources`
  memory: 4 GiB
modules: [postgres]           # what runs beside the notebook: `modules.asked`
check:                        # notebooks that have to run: `binder.notebook_checks`
  notebooks: ["*.ipynb"]

What it says of previews is checked here, and used by those who decide what is built.
"""

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from binder.errors import RepositoryFault
from binder.notebook_checks import KEY as CHECK
from binder.notebook_checks import AskedCheck, read_check
from binder.plain_yaml import Node, Text, is_nothing, line_of, read_yaml
from binder.preview_policy import LARGEST_BYTES, TOP_KEYS, policy_of
from binder.session_resources import KEY, AskedResources, read_resources
from build.recipes.reading import path_within
from modules.asked import KEY as MODULES
from modules.asked import AskedModule, read_modules

_DAY = re.compile(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_KEYS = "It may say `as_of`, `check`, `modules`, `post_build`, `resources`, `previews`, `comment` and `deployments`."


@dataclass(frozen=True)
class Options:
    """What binder.yml asks for. `post_build_inputs` are the only files that postBuild reads; None: it may read any."""

    as_of: Literal["commit-date"] | date | None = None
    post_build_inputs: tuple[str, ...] | None = None
    resources: AskedResources | None = None
    modules: tuple[AskedModule, ...] = ()
    check: AskedCheck | None = None


def options_of(path: str, text: str) -> tuple[Options, dict[str, int]]:
    """Read a binder.yml: give what it asks for, and the line of each input, which may be a folder.

    Raises: RepositoryFault, with the line.
    """
    if len(text) > LARGEST_BYTES:
        raise RepositoryFault(f"{path} is larger than 64 KiB. {_KEYS}", file=path)
    root = read_yaml(path, text)
    if is_nothing(root):
        return Options(), {}
    if not isinstance(root, dict):
        raise _fault(path, root, f"{path} must be a table. {_KEYS}")
    found: dict[str, Any] = {}
    for key, value in root.items():
        if key in _READERS:
            found[_READERS[key][0]] = _READERS[key][1](path, key, value)
        elif key not in TOP_KEYS:
            raise _fault(path, key, f"{path} does not know `{key[:60]}`. {_KEYS}")
    policy_of(path, root)
    inputs: dict[str, int] | None = found.pop(_INPUTS, None)
    return Options(**found, post_build_inputs=None if inputs is None else tuple(inputs)), inputs or {}


def _as_of(path: str, key: Text, value: Node) -> Literal["commit-date"] | date:
    if value == "commit-date":
        return "commit-date"
    if isinstance(value, Text) and _DAY.match(value):
        with contextlib.suppress(ValueError):
            return date.fromisoformat(value)
    allowed = f"`as_of` in {path} must be `commit-date`, or a day such as `2024-05-31`."
    raise RepositoryFault(allowed, file=path, line=line_of(value) or key.line)


def _inputs(path: str, key: Text, value: Node) -> dict[str, int]:
    """Return the line of each path."""
    allowed = f"`post_build` in {path} must be a table with the list `inputs`: the files and folders postBuild reads."
    if not isinstance(value, dict) or not all(name == "inputs" for name in value):
        raise _fault(path, value or key, allowed)
    listed = value.get(Text("inputs"))
    if not isinstance(listed, list):
        raise _fault(path, listed or key, allowed)
    found: dict[str, int] = {}
    for item in listed:
        place = path_within("", item) if isinstance(item, Text) else None
        if not place or not isinstance(item, Text):
            raise _fault(path, item or key, f"{path} must list files and folders of the repository, as `data/x.csv`.")
        found.setdefault(place, item.line)
    return found


_INPUTS = "inputs"
_READERS: Mapping[str, tuple[str, Callable[[str, Text, Node], object]]] = {
    "as_of": ("as_of", _as_of),
    "post_build": (_INPUTS, _inputs),
    KEY: ("resources", read_resources),
    MODULES: ("modules", read_modules),
    CHECK: ("check", read_check),
}


def _fault(path: str, node: Node, message: str) -> RepositoryFault:
    return RepositoryFault(message, file=path, line=line_of(node))
