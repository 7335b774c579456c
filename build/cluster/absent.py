"""What stands in for Buildah where builds run in pods: whoever asks it for anything learns that it is not there, before
anything of the build was made.
"""

from collections.abc import Sequence
from pathlib import Path

from binder.process import Command
from build.buildah import Buildah


class BuilderNeededError(Exception):
    """A build cannot be done without Buildah. Seen by nobody but who hands the build on."""


class AbsentBuildah(Buildah):
    """A Buildah that has no images, and runs no commands."""

    def command(self, argv: Sequence[str], *, cwd: Path | None = None) -> Command:
        """Tell that it is not there.

        Raises: BuilderNeededError.
        """
        raise BuilderNeededError(argv[0], cwd)

    async def images(self) -> dict[str, str]:
        """Return no images."""
        return {}
