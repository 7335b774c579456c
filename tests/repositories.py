"""Real git repositories for tests, made of a dictionary of files."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from binder.process import Account
from build.commits.git import Source

_ALWAYS = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    # The same files make the same commit, on every machine and in every run.
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
}


class Script(str):
    """The text of a file that is executable."""

    __slots__ = ()


class Link(str):
    """Where a symbolic link leads."""

    __slots__ = ()


Files = Mapping[str, str | bytes | None]
"""Path → content; a `Script` is executable, a `Link` leads somewhere, and None deletes the file."""


@dataclass(frozen=True)
class LocalRepository:
    """A repository on this machine that belongs to the build account, so that git lets that account read it."""

    folder: Path
    account: Account

    @property
    def source(self) -> Source:
        """Where a build fetches it from."""
        return Source(f"file://{self.folder}", local=True)

    def commit(self, files: Files, *, time: int | None = None) -> str:
        """Change files, commit, and return the sha; `time` is the commit's, in seconds of the epoch."""
        for path, content in files.items():
            _write(self.folder / path, content)
        self.git("add", "--all", "--force")
        dates = {} if time is None else {"GIT_COMMITTER_DATE": f"{time} +0000"}
        self.git("commit", "--quiet", "--allow-empty", "--message", "A change", env=dates)
        return self.git("rev-parse", "HEAD")

    def commit_tree(self, listing: bytes) -> str:
        """Commit a tree that only git's plumbing can make, and return the sha.

        `listing` is what `git mktree -z` reads: `MODE TYPE ID⇥NAME␀…`.
        """
        tree = self.git("mktree", "-z", "--missing", stdin=listing)
        return self.git("commit-tree", "-m", "A tree", tree)

    def commit_object(self, content: bytes) -> str:
        """Store a commit, whatever is in it, and return the sha."""
        return self.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=content)

    def blob(self, content: bytes) -> str:
        """Store a file's content and return its id."""
        return self.git("hash-object", "-w", "--stdin", stdin=content)

    def git(self, *arguments: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> str:
        """Run git in the repository, as the account that it belongs to, and return what it printed."""
        other = self.account.is_other
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**_ALWAYS, **(env or {})},
            input=stdin,
            stdout=subprocess.PIPE,
            check=True,
            timeout=60,
            user=self.account.uid if other else None,
            group=self.account.gid if other else None,
            extra_groups=() if other else None,
        )
        return done.stdout.decode().strip()


def _write(path: Path, content: str | bytes | None) -> None:
    path.unlink(missing_ok=True)
    if content is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Link):
        path.symlink_to(content)
        return
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(0o755 if isinstance(content, Script) else 0o644)


def new_repository(folder: Path, account: Account) -> LocalRepository:
    """Make an empty repository in a new folder."""
    folder.mkdir()
    folder.chmod(0o755)
    if account.is_other:
        os.chown(folder, account.uid, account.gid)
    repository = LocalRepository(folder, account)
    repository.git("init", "--quiet", "--initial-branch", "main")
    return repository
