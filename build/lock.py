"""A resolved environment: exactly which packages, by name, version and hash, from PyPI and from Conda channels.

A lock is what makes an environment the same years later. It is kept by the key of what was asked for, and it is what
`binder lock` writes into a repository.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from packaging.utils import canonicalize_name

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?\s*(?:==|@)\s*([^\s;\\]+)", re.MULTILINE)
_VERSION = 1
_OWN_INDEX = ("-i", "--index-url")
_OF_A_RECORD = ("url", "sha256", "name", "version", "build")


@dataclass(frozen=True)
class Lock:
    """A requirements.txt with hashes, and Conda's records ({url, sha256, name, version, build, …}), in their order.

    All lines end. `made_of` stands for what was asked for. `build` maps the paths of the repository's own projects to
    the locks, of PyPI's packages alone, of what they are built with; None where nobody asked for that.
    """

    pypi: str
    conda: Sequence[Mapping[str, Any]] = field(default=())
    made_of: str = ""
    build: Mapping[str, "Lock"] | None = None

    @property
    def pins(self) -> dict[str, str]:
        """The versions of PyPI's packages, by normalised name; of one that comes from an address, the address."""
        return {canonicalize_name(name): version for name, version in _PIN.findall(self.pypi)}

    @property
    def python(self) -> str | None:
        """The version of Python that is one of Conda's packages; None where it is Debian's."""
        return next((record["version"] for record in self.conda if record["name"] == "python"), None)


def uv_options(index_options: Iterable[str]) -> tuple[str, ...]:
    """Return the options by which uv gets its settings: ours, which would win over an index of the repository's."""
    has_own = any(option.startswith(_OWN_INDEX) for option in index_options)
    return ("--no-config",) if has_own else ("--config-file", "/run/binder/uv.toml")


def lock_text(lock: Lock) -> str:
    """Return a lock as it is kept: the same lock is the same text, and a changed package is a changed line."""
    value = {"version": _VERSION, "conda": list(lock.conda), **_value_of(lock)}
    if lock.build is not None:
        value["build"] = {path: _value_of(one) for path, one in lock.build.items()}
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def lock_from(text: str) -> Lock | None:
    """Return the lock of a text that `lock_text` made, or None where it is something else."""
    try:
        value = json.loads(text)
        conda = tuple(dict(record) for record in value["conda"])
        texts = (record[name] for record in conda for name in _OF_A_RECORD)
        if value["version"] != _VERSION or not all(isinstance(text, str) for text in texts):
            return None
        build = {path: _of_value(one) for path, one in value["build"].items()} if "build" in value else None
        lock = replace(_of_value(value), conda=conda, build=build)
        # Anybody may have written it: what JSON can hold, but no file, is found out here.
        lock_text(lock).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return lock


def _value_of(lock: Lock) -> dict[str, Any]:
    return {"made_of": lock.made_of, "pypi": lock.pypi.split("\n")[:-1]}


def _of_value(value: Mapping[str, Any]) -> Lock:
    """Return the lock of PyPI's packages that JSON holds.

    Raises: KeyError, TypeError.
    """
    pypi, made_of = list(value["pypi"]), value["made_of"]
    if not all(isinstance(text, str) for text in (*pypi, made_of)):
        raise TypeError(value)
    return Lock("".join(f"{line}\n" for line in pypi), made_of=made_of)
