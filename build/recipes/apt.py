"""What apt.txt lists: names of Debian's packages, one a line.

Source: https://repo2docker.readthedocs.io/en/latest/configuration/system/#apt
"""

import re

from binder.errors import RepositoryFault

# As Debian's policy has it (5.6.1); to apt, a minus at the end takes a package away.
_NAME = re.compile(r"\A[a-z0-9][a-z0-9+.-]*[a-z0-9+.]\Z")
_WITH_MORE = re.compile(r"\A([a-z0-9][a-z0-9+.-]*)[=:/\s<>(]")


def packages_of(path: str, text: str) -> dict[str, int]:
    """Return the line of each package, in the order of their names.

    Raises: RepositoryFault, with the line.
    """
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        name = line.partition("#")[0].strip()
        if not name:
            continue
        if not _NAME.match(name):
            raise RepositoryFault(f"{path} line {number} {_problem(name)}", file=path, line=number)
        found.setdefault(name, number)
    return dict(sorted(found.items()))


def _problem(name: str) -> str:
    if name.startswith("-"):
        return "is an option of apt. List only names of packages, one a line."
    more = _WITH_MORE.match(name)
    if more and name[len(more[1])] in " \t":
        return "has several words. Put each package on a line of its own."
    if more:
        return f"asks for a version or an architecture. Only a name can be asked for: `{more[1]}`."
    return "is not the name of a Debian package: small letters, digits, `+`, `-` and `.`."
