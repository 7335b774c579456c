"""Has the packages of an image listed, by `templates/build/inventory.py`, and takes the list from what is printed.

The list is made inside of the container of a step of ours, at its end, or from beside the image where nothing in it is
ours. Whatever a repository's code prints, it can make no list but its own image's untrue.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import astuple

from build.buildah import Buildah
from build.plan import template
from build.sbom import Package, package_of

INVENTORY = "inventory.py"

_FOLLOWS = "--- inventory ---"
_MOST_PACKAGES = 20_000


class Listing:
    """Takes the lines of a step: the packages behind the last line that announces them; all else is its log's."""

    def __init__(self, log: Callable[[str], Awaitable[None]]) -> None:
        self._log = log
        self._found: set[Package] | None = None

    async def take(self, line: str) -> None:
        """Take one line."""
        if line == _FOLLOWS:
            self._found = set()
        elif self._found is None or not (package := package_of(line)):
            await self._log(line)
        elif len(self._found) < _MOST_PACKAGES:
            self._found.add(package)

    @property
    def packages(self) -> Sequence[Sequence[str]] | None:
        """What was listed, as a `Record` keeps it; None where nothing was."""
        return None if self._found is None else [list(astuple(package)) for package in sorted(self._found)]


async def packages_in(
    buildah: Buildah, image: str, log: Callable[[str], Awaitable[None]]
) -> Sequence[Sequence[str]] | None:
    """Return what an image that Buildah has holds, as a `Record` keeps it, and run nothing of it.

    Raises: BinderError.
    """
    listing = Listing(log)
    await buildah.run_on_files(image, "python3", "-I", "-S", "-c", template(INVENTORY), step="list", take=listing.take)
    return listing.packages
