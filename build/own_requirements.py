"""Which of the locked packages our own images get: what the service needs, and no developer's tools. Pure."""

import re
from collections.abc import Callable, Iterable

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from binder.errors import OperatorFault

_OF_IMAGES = {"python_version": "3.11", "python_full_version": "3.11.2", "sys_platform": "linux", "os_name": "posix"}
_BLOCK = re.compile(r"^([A-Za-z0-9][\w.-]*)==.*(?:\n[ \t].*)*", re.MULTILINE)


def needed_packages(roots: Iterable[str], requires_of: Callable[[str], Iterable[str]]) -> frozenset[str]:
    """Return the names of all packages that `roots` need in our images, themselves included.

    `requires_of` returns what a package says that it requires, as its metadata does (`extra == "…"` and all).
    """
    needed: set[tuple[str, str]] = set()
    waiting = [Requirement(root) for root in roots]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in {"", *wanted.extras} - {extra for known, extra in needed if known == name}:
            needed.add((name, extra))
            asked = (Requirement(text) for text in requires_of(name))
            waiting += [
                one for one in asked if one.marker is None or one.marker.evaluate(_OF_IMAGES | {"extra": extra})
            ]
    return frozenset(name for name, _ in needed)


def locked_lines(lock: str, names: Iterable[str]) -> str:
    """Return the lines of a `requirements.lock` that are about some packages, with their hashes.

    Raises: OperatorFault, where one of them is not locked.
    """
    blocks: dict[str, str] = {canonicalize_name(match[1]): match[0] for match in _BLOCK.finditer(lock)}
    if missing := sorted(set(names) - set(blocks)):
        raise OperatorFault(f"requirements.lock does not hold {', '.join(missing)}. Run `make set-up`.")
    return "".join(f"{blocks[name]}\n" for name in sorted(set(names)))
