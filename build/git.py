"""The adapter to git: finds, fetches and lays out commits of repositories that nobody vouches for.

git runs as the build account, in namespaces of its own, without hooks, filters or anybody's configuration. A token
reaches it through its environment, which nobody else can read: not through an argument, an address or a file.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from binder.errors import BinderError, OperatorFault, RepositoryFault, VisitorFault, WorldFault
from binder.names import digest_of, is_ref
from binder.paths import Paths
from binder.process import Account, Command, OutputTooLongError, TimedOutError, capture
from build.tree import Entry
from templates import source_path

_SETTINGS = {
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "core.hooksPath": "/dev/null",
    "core.symlinks": "true",
    "core.autocrlf": "false",
    "core.attributesFile": "/dev/null",
    "credential.helper": "",
    "fetch.fsckObjects": "true",
    # What old versions of git and of its imitators wrote; it harms nobody.
    "fetch.fsck.badTimezone": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    "gc.auto": "0",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "advice.detachedHead": "false",
}
_REFUSED = re.compile(r"^error: object [0-9a-f]+: (.*)\n(?:.*\n)*fatal: fsck error", re.MULTILINE)
_COMMIT_GONE = ("not our ref", "unadvertised object", "couldn't find remote ref", "is no commit")
_MOST_FILES = 100_000
_MOST_OUTPUT_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Source:
    """Where a repository is fetched from. `token` is None for a public one; `local` allows a folder of this machine."""

    url: str
    token: str | None = None
    local: bool = False


@dataclass(frozen=True)
class Commit:
    """A commit that was fetched: its tree, its time (seconds of the epoch) and its files."""

    sha: str
    tree: str
    time: int
    files: Mapping[str, Entry]


class Git:
    """git, run as the build account below `Paths.git`."""

    def __init__(self, paths: Paths, account: Account, certificates: Path | None, *, timeout_seconds: float) -> None:
        self._paths = paths
        self._account = account
        self._certificates = certificates
        self._timeout = timeout_seconds

    async def resolve(self, source: Source, ref: str) -> str | None:
        """Return the sha of a branch, a tag or `HEAD`, or None where the repository does not have it.

        Raises: VisitorFault, where there is no such repository; WorldFault.
        """
        if not is_ref(ref):
            return None
        names = ["HEAD"] if ref == "HEAD" else [f"refs/tags/{ref}^{{}}", f"refs/heads/{ref}", f"refs/tags/{ref}"]
        listing = await self._git(source, "ls-remote", "--quiet", "--", source.url, *names)
        found = {name: sha for sha, _, name in (line.partition("\t") for line in _text(listing).splitlines())}
        branch, tag, target = f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/tags/{ref}^{{}}"
        return next((found[name] for name in ("HEAD", branch, target, tag) if name in found), None)

    async def fetch(self, source: Source, sha: str) -> Commit:
        """Fetch a commit by its sha, without its history.

        Raises: RepositoryFault, VisitorFault, WorldFault.
        """
        folder = self._folder(source)
        script = source_path("build/fetch.sh").read_text(encoding="utf-8")
        output = await self._run(source, ["sh", "-c", script, "fetch", str(folder), source.url, sha], folder)
        tree, time, listing = output.split(b"\n", 2)
        return Commit(sha, tree.decode(), int(time), files_of(listing))

    async def read(self, source: Source, commit: Commit, path: str) -> bytes:
        """Return what is in a file of a commit that was fetched."""
        return await self._git(source, "cat-file", "blob", f"{commit.sha}:{path}")

    async def lay_out(self, source: Source, commit: Commit, into: Path) -> None:
        """Write the files of a commit that was fetched into an empty folder.

        Raises: RepositoryFault.
        """
        index = {"GIT_INDEX_FILE": f"{self._folder(source)}/index-{digest_of(str(into))}"}
        # A build that was killed may have left an index, or its lock, for the one that takes up its work.
        script = 'trap \'rm -f "$GIT_INDEX_FILE"\' EXIT; rm -f "$GIT_INDEX_FILE" "$GIT_INDEX_FILE.lock"; '
        script += 'git --work-tree="$1" read-tree --reset -u "$2"'
        argv = ["sh", "-c", script, "lay-out", str(into), commit.sha]
        await self._run(source, argv, self._folder(source), index)

    def _folder(self, source: Source) -> Path:
        return self._paths.git / digest_of(source.url)

    async def _git(self, source: Source, *argv: str) -> bytes:
        return await self._run(source, ["git", *argv], self._folder(source))

    async def _run(
        self, source: Source, argv: Sequence[str], folder: Path, env: Mapping[str, str] | None = None
    ) -> bytes:
        variables = {"GIT_DIR": str(folder), **environment_for(source, self._certificates), **(env or {})}
        command = Command(argv, variables, self._paths.git, self._account, sandboxed=True)
        try:
            code, output = await capture(command, timeout_seconds=self._timeout, most_bytes=_MOST_OUTPUT_BYTES)
        except TimedOutError as error:
            raise WorldFault(f"Fetching from {source.url} took longer than {error.seconds:g} s.") from error
        except OutputTooLongError as error:
            raise RepositoryFault("The repository has too many files to be built.", step="fetch") from error
        if code:
            raise fault_of(source, _text(output))
        return output


def environment_for(source: Source, certificates: Path | None) -> dict[str, str]:
    """Return what git's environment must hold: our settings, nobody else's, and the token where there is one."""
    settings = dict(_SETTINGS)
    if source.local:
        settings["protocol.file.allow"] = "always"
    if source.token:
        credentials = base64.b64encode(f"x-access-token:{source.token}".encode()).decode()
        origin = "/".join(source.url.split("/")[:3])
        settings[f"http.{origin}/.extraHeader"] = f"Authorization: Basic {credentials}"
    pairs = list(enumerate(settings.items()))
    return {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": str(len(pairs)),
        **{f"GIT_CONFIG_KEY_{number}": key for number, (key, _) in pairs},
        **{f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in pairs},
        **({"GIT_SSL_CAINFO": str(certificates)} if certificates else {}),
    }


def files_of(listing: bytes) -> dict[str, Entry]:
    """Return the files in the output of `git ls-tree -r -l -z`: path → entry.

    Raises: RepositoryFault, where there are too many, or a name is not UTF-8.
    """
    files: dict[str, Entry] = {}
    for line in listing.split(b"\0"):
        if not line:
            continue
        fields, _, path = line.partition(b"\t")
        mode, _, _, size = fields.split()
        try:
            files[path.decode()] = Entry(mode.decode(), int(size) if size.isdigit() else 0)
        except UnicodeDecodeError as error:
            shown = path.decode(errors="backslashreplace")
            raise RepositoryFault(f"The name of {shown} is not UTF-8. Rename it.", file=shown) from error
    if len(files) > _MOST_FILES:
        raise RepositoryFault(f"The repository has more than {_MOST_FILES:,} files.", step="fetch")
    return files


def fault_of(source: Source, output: str) -> BinderError:
    """Return whose fault it is that git failed, by what it said."""
    said = output.lower()
    if "no space left" in said:
        return OperatorFault("The disk of this service is full. Free some space, then try again.")
    if refused := _REFUSED.search(output):
        return RepositoryFault(f"git refuses the commit, which is broken or a trap: {refused[1]}.", step="fetch")
    if any(
        words in said for words in ("not our ref", "unadvertised object", "couldn't find remote ref", "is no commit")
    ):
        return RepositoryFault("The commit is no longer in the repository.", step="fetch")
    if any(words in said for words in ("not found", "could not read username", "does not appear to be a git")):
        return VisitorFault(f"There is no repository at {source.url}, or it is private.")
    last = output.strip().splitlines()[-1:] or ["it said nothing"]
    return WorldFault(f"git could not fetch from {source.url}: {last[0][:300]}")


def _text(output: bytes) -> str:
    return output.decode(errors="replace")
