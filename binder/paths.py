"""Where things lie below the state and the cache folder, and whom they belong to."""

import os
from dataclasses import dataclass
from pathlib import Path

from binder.process import Account


@dataclass(frozen=True)
class Paths:
    """The folders of one service."""

    state: Path
    cache: Path

    @property
    def build_logs(self) -> Path:
        """Folder of the builds' logs, one file a build."""
        return self.state / "builds"

    def build_log(self, build_id: int) -> Path:
        """Return the log of a build: UTF-8 text, secrets masked."""
        return self.build_logs / f"{build_id}.log"

    @property
    def run(self) -> Path:
        """Folder of the sockets."""
        return self.state / "run"

    @property
    def engine(self) -> Path:
        """Folder of the images and containers; belongs to the build account, as do the following ones."""
        return self.cache / "engine"

    @property
    def git(self) -> Path:
        """Folder of git objects, one bare repository for each that was fetched."""
        return self.cache / "git"

    @property
    def locks(self) -> Path:
        """Folder of resolved environments, by the key of what was asked for."""
        return self.cache / "locks"

    @property
    def packages(self) -> Path:
        """Folder of packages that were downloaded and not built here."""
        return self.cache / "packages"

    @property
    def work(self) -> Path:
        """Folder of what one build needs while it runs; below it, one for each build."""
        return self.cache / "work"

    def make(self, account: Account) -> None:
        """Make all folders, private to those who need them."""
        for folder in (self.state, self.build_logs, self.run):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # HAProxy, under an account of its own, must get to the sockets, and to nothing else.
        self.state.chmod(0o711)
        self.run.chmod(0o711)
        self.cache.mkdir(mode=0o711, parents=True, exist_ok=True)
        for folder in (self.engine, self.git, self.locks, self.packages, self.work):
            folder.mkdir(mode=0o700, exist_ok=True)
            if account.is_other:
                os.chown(folder, account.uid, account.gid)
