"""Where things lie below the state and the cache folder, and whom they belong to."""

import os
from dataclasses import dataclass
from pathlib import Path

from binder.names import digest_of
from binder.process import Account


@dataclass(frozen=True)
class Paths:
    """The folders of one service."""

    state: Path
    cache: Path

    @property
    def instance(self) -> str:
        """A short name for this service among those that share the cache folder."""
        return digest_of(str(self.state.resolve()))[:8]

    @property
    def again_log(self) -> Path:
        """What was said when an environment was last made again."""
        return self.state / "again.log"

    @property
    def github(self) -> Path:
        """Folder of the App that was set up here, with its keys; only the service's account can see into it."""
        return self.state / "github"

    @property
    def run(self) -> Path:
        """Folder of the sockets."""
        return self.state / "run"

    @property
    def engine(self) -> Path:
        """Folder of the images and containers; belongs to the build account."""
        return self.cache / "engine"

    @property
    def git(self) -> Path:
        """Folder of git objects, one bare repository for each that was fetched; belongs to the build account."""
        return self.cache / "git"

    @property
    def locks(self) -> Path:
        """Folder of small texts by a tag: resolved environments, and what is known of images that were made."""
        return self.cache / "locks"

    @property
    def making(self) -> Path:
        """Folder of locks on what is being made."""
        return self.cache / "making"

    @property
    def packages(self) -> Path:
        """Folder of packages that were downloaded and not built here; belongs to the build account."""
        return self.cache / "packages"

    def wheels(self, *, with_credentials: bool) -> Path:
        """Return the folder of Python's packages: of those that everybody may have, or only who has the credentials."""
        return self.packages / ("private" if with_credentials else "wheels")

    @property
    def libraries(self) -> Path:
        """Folder of Python libraries that builds import, below one folder for each version."""
        return self.cache / "libraries"

    @property
    def work(self) -> Path:
        """Folder of what one build needs while it runs; below it, one for each build."""
        return self.cache / "work"

    @property
    def tools(self) -> Path:
        """Folder of what every build is given: the host's settings, and our uv."""
        return self.state / "tools"

    @property
    def apt(self) -> Path:
        """Folder of what only the step that installs Debian's packages is given: apt's settings, sources and keys."""
        return self.state / "apt"

    @property
    def public_apt(self) -> Path:
        """Folder of what that step is given for builds without credentials."""
        return self.state / "public-apt"

    @property
    def credentials(self) -> Path:
        """Folder of what only those steps of a build are given that run nothing of a repository's."""
        return self.state / "credentials"

    def make(self, account: Account) -> None:
        """Make all folders. What belongs to the build account is private to it; the rest can only be read by it."""
        # HAProxy and the build account must get to what is theirs below these, and must not see what else there is.
        shared = (self.cache, self.locks, self.making, self.libraries, self.work)
        own = (self.state, self.run, self.tools, self.apt, self.public_apt, self.credentials)
        for folder in (*own, *shared):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)
        self.github.mkdir(exist_ok=True)
        self.github.chmod(0o700)
        for folder in (self.engine, self.git, self.packages):
            folder.mkdir(mode=0o700, exist_ok=True)
            if account.is_other:
                os.chown(folder, account.uid, account.gid)
