"""A resolved environment: exactly which packages, by name, version and hash, from PyPI and from Conda channels.

A lock is what makes an environment the same years later. It is kept by the key of what was asked for, and it is what
`binder lock` writes into a repository.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from packaging.utils import canonicalize_name

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?\s*(?:==|@)\s*([^\s;\\]+)", re.MULTILINE)
_VERSION = 1
_OWN_INDEX = ("-i", "--index-url")
_OF_A_RECORD = ("url", "sha256", "name", "version", "build")


@dataclass(frozen=True)
class Lock:
    """A requirements.txt with hashes, and Conda's records ({url, sha256, name, version, build, …}), in their order.

    All lines end. `made_of` stands for what was asked for.
    """

    pypi: str
    conda: Sequence[Mapping[str, Any]] = field(default=())
    made_of: str = ""

    @property
    def pins(self) -> dict[str, str]:
        """The versions of PyPI's packages, by normalised name; of one that comes from an address, the address."""
        return {canonicalize_name(name): version for name, version in _PIN.findall(self.pypi)}


def uv_options(index_options: Iterable[str]) -> tuple[str, ...]:
    """Return the options by which uv gets its settings: ours, which would win over an index of the repository's."""
    has_own = any(option.startswith(_OWN_INDEX) for option in index_options)
    return ("--no-config",) if has_own else ("--config-file", "/run/binder/uv.toml")


def lock_text(lock: Lock) -> str:
    """Return a lock as it is kept: the same lock is the same text, and a changed package is a changed line."""
    value = {
        "version": _VERSION,
        "made_of": lock.made_of,
        "pypi": lock.pypi.split("\n")[:-1],
        "conda": list(lock.conda),
    }
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def lock_from(text: str) -> Lock | None:
    """Return the lock of a text that `lock_text` made, or None where it is something else."""
    try:
        value = json.loads(text)
        pypi, conda, made_of = list(value["pypi"]), tuple(dict(record) for record in value["conda"]), value["made_of"]
        texts = [*pypi, made_of, *(record[name] for record in conda for name in _OF_A_RECORD)]
        if value["version"] != _VERSION or not all(isinstance(text, str) for text in texts):
            return None
        lock = Lock("".join(f"{line}\n" for line in pypi), conda, made_of)
        # Anybody may have written it: what JSON can hold, but no file, is found out here.
        lock_text(lock).encode()
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return lock
