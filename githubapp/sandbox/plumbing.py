"""Runs git on the bare repositories: reading commits and refs, making and copying repositories.

Owns the directory `root`, where each repository lies under its number, and the environment that every git gets. At most
eight run at a time, each within a time limit, and none outlives its caller. Smart HTTP is left to `git_http`.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from githubapp.sandbox.values import FileChange, GitCommit, GitPerson, TreeEntry

# What the first commit is compared with; git knows it without having it.
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

_TIMEOUT_SECONDS = 30.0
_CONCURRENT = 8
_CHUNK_BYTES = 64 * 1024
_FIELDS = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B"
_FIELD_COUNT = 10
_STATUS_WORDS = {"A": "added", "D": "removed", "M": "modified", "T": "modified", "R": "renamed", "C": "added"}

# What GitHub's servers do, and that no git leaves a child behind (gc, maintenance).
# Source: https://git-scm.com/docs/git-config
_CONFIGURATION = {
    "uploadpack.allowAnySHA1InWant": "true",
    "uploadpack.allowFilter": "true",
    "http.receivepack": "true",
    "http.getanyfile": "false",
    "receive.hideRefs": "refs/pull",
    "receive.denyDeleteCurrent": "refuse",
    "receive.fsckObjects": "true",
    "receive.maxInputSize": str(256 * 1024 * 1024),
    "receive.autogc": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
}


class GitError(Exception):
    """A git that failed, with what it said."""


def git_environment(root: Path) -> dict[str, str]:
    """The whole environment of every git here: nothing of this machine's configuration reaches it."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(root),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_CONFIG_COUNT": str(len(_CONFIGURATION)),
        **{f"GIT_CONFIG_KEY_{place}": name for place, name in enumerate(_CONFIGURATION)},
        **{f"GIT_CONFIG_VALUE_{place}": value for place, value in enumerate(_CONFIGURATION.values())},
    }


async def start_process(
    root: Path, *argv: str, stderr: int = asyncio.subprocess.PIPE, environment: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    """Start what leads a session of its own, and what the kernel kills when this process dies, however it dies."""
    return await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "KILL", "--", *argv),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env={**git_environment(root), **(environment or {})},
        cwd=root,
        start_new_session=True,
    )


async def end_process(process: asyncio.subprocess.Process) -> None:
    """Kill `process` and its children, if any of them still run, and let go of its pipes.

    It must lead a session of its own: a git has gits below it, which hold the same pipes.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.stdin:
        process.stdin.close()
    for stream in (process.stdout, process.stderr):
        # A pipe is closed when it has been read to its end, and not before.
        while stream and await stream.read(_CHUNK_BYTES):
            pass
    await process.wait()


class Plumbing:
    """Every call names a repository by its number; revisions are full shas or refs that were checked before."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._slots = asyncio.Semaphore(_CONCURRENT)

    def path(self, repository_id: int) -> Path:
        return self.root / f"{repository_id}.git"

    async def run(self, repository_id: int, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run git in a repository and return what it printed.

        Raises: GitError, TimeoutError.
        """
        async with self._slots, asyncio.timeout(_TIMEOUT_SECONDS):
            process = await start_process(self.root, "git", f"--git-dir={self.path(repository_id)}", *arguments)
            try:
                output, complaint = await process.communicate(stdin)
            finally:
                await end_process(process)
        if process.returncode:
            raise GitError(complaint.decode(errors="replace").strip())
        return output

    async def create(self, repository_id: int, default_branch: str) -> None:
        await self.run(repository_id, "init", "--quiet", "--bare", f"--initial-branch={default_branch}")

    async def remove(self, repository_id: int) -> None:
        await asyncio.to_thread(shutil.rmtree, self.path(repository_id), ignore_errors=True)

    async def copy_branches(self, source_id: int, target_id: int) -> None:
        """Bring all branches and tags of one repository into another: what a fork begins with."""
        source = str(self.path(source_id))
        await self.run(
            target_id,
            "fetch",
            "--quiet",
            "--no-auto-gc",
            source,
            "+refs/heads/*:refs/heads/*",
            "+refs/tags/*:refs/tags/*",
        )

    async def bring_commit(self, source_id: int, target_id: int, sha: str, ref: str) -> None:
        """Point `ref` of one repository at a commit of another, which may be the same one."""
        if source_id != target_id:
            await self.run(target_id, "fetch", "--quiet", "--no-auto-gc", str(self.path(source_id)), sha)
        await self.run(target_id, "update-ref", ref, sha)

    async def refs(self, repository_id: int, *prefixes: str) -> dict[str, str]:
        """Full ref name → sha of the commit or tag object, sorted by name."""
        output = await self.run(repository_id, "for-each-ref", "--format=%(objectname) %(refname)", *prefixes)
        pairs = (line.split(" ", 1) for line in output.decode(errors="replace").splitlines())
        return {ref: sha for sha, ref in pairs}

    async def commit_sha(self, repository_id: int, revision: str) -> str | None:
        """The commit that `revision` names, or None where it names none."""
        try:
            spec = f"{revision}^{{commit}}"
            output = await self.run(repository_id, "rev-parse", "--verify", "--quiet", "--end-of-options", spec)
        except GitError:
            return None
        return output.decode().strip()

    async def commits(self, repository_id: int, *revisions: str, limit: int) -> list[GitCommit]:
        """The newest `limit` commits of `git log` over `revisions` (shas, `^sha` to leave out), newest first."""
        output = await self.run(
            repository_id, "log", "-z", f"--format={_FIELDS}", f"--max-count={limit}", *revisions, "--"
        )
        fields = output.decode(errors="replace").split("\0")
        starts = range(0, len(fields) - _FIELD_COUNT + 1, _FIELD_COUNT)
        return [_commit(fields[start : start + _FIELD_COUNT]) for start in starts]

    async def commit(self, repository_id: int, sha: str) -> GitCommit:
        return (await self.commits(repository_id, sha, limit=1))[0]

    async def is_ancestor(self, repository_id: int, ancestor: str, descendant: str) -> bool:
        try:
            await self.run(repository_id, "merge-base", "--is-ancestor", ancestor, descendant)
        except GitError:
            return False
        return True

    async def merge_base(self, repository_id: int, one: str, other: str) -> str | None:
        try:
            return (await self.run(repository_id, "merge-base", one, other)).decode().strip()
        except GitError:
            return None

    async def count(self, repository_id: int, *revisions: str) -> int:
        return int(await self.run(repository_id, "rev-list", "--count", *revisions, "--"))

    async def changed_files(self, repository_id: int, before: str, after: str) -> list[FileChange]:
        """How the tree of `after` differs from that of `before`, by path."""
        diff = ("diff-tree", "-r", "-M", "-z")
        raw = await self.run(repository_id, *diff, "--raw", "--no-abbrev", before, after)
        numbers = await self.run(repository_id, *diff, "--numstat", before, after)
        return _file_changes(raw.decode(errors="replace"), _line_counts(numbers.decode(errors="replace")))

    async def touched_paths(self, repository_id: int, shas: Sequence[str]) -> dict[str, dict[str, list[str]]]:
        """Commit → `added`, `removed` and `modified` → paths; a merge touches nothing of its own."""
        diff = ("diff-tree", "--stdin", "-r", "--root", "--no-renames", "--name-status", "-z")
        output = await self.run(repository_id, *diff, stdin="".join(f"{sha}\n" for sha in shas).encode())
        return _touched(output.decode(errors="replace"), shas)

    async def file(self, repository_id: int, sha: str, path: str, *, largest_bytes: int) -> bytes | None:
        """A file's bytes in a commit, or None where there is no such file, or a larger one."""
        try:
            size = int(await self.run(repository_id, "cat-file", "-s", f"{sha}:{path}"))
            return await self.run(repository_id, "cat-file", "blob", f"{sha}:{path}") if size <= largest_bytes else None
        except GitError:
            return None

    async def file_names(self, repository_id: int, sha: str) -> list[str]:
        """The names in a commit's top folder."""
        output = await self.run(repository_id, "ls-tree", "-z", "--name-only", sha)
        return [name for name in output.decode(errors="replace").split("\0") if name]

    async def tree(self, repository_id: int, sha: str, path: str | None) -> list[TreeEntry]:
        """What lies at `path` of a commit: the one entry, or with a slash at its end what is in that folder."""
        where = () if path is None else ("--", path)
        output = await self.run(repository_id, "--literal-pathspecs", "ls-tree", "-z", "-l", sha, *where)
        return [_tree_entry(line) for line in output.decode(errors="replace").split("\0") if line]


def _tree_entry(line: str) -> TreeEntry:
    meta, path = line.split("\t", 1)
    _, kind, sha, size = meta.split()
    return TreeEntry(path, kind, sha, int(size) if size != "-" else 0)  # type: ignore[arg-type]


def _commit(fields: Sequence[str]) -> GitCommit:
    sha, tree, parents, author, author_email, authored, committer, committer_email, committed, message = fields
    return GitCommit(
        sha=sha,
        tree=tree,
        parents=tuple(parents.split()),
        author=GitPerson(author, author_email, authored),
        committer=GitPerson(committer, committer_email, committed),
        message=message.rstrip("\n"),
    )


def _line_counts(numstat: str) -> dict[str, tuple[int, int]]:
    """Path → lines added and deleted; a renamed file's two paths follow in fields of their own (`-z`)."""
    counts: dict[str, tuple[int, int]] = {}
    fields = iter(numstat.split("\0"))
    for field in fields:
        if not field:
            continue
        added, deleted, path = field.split("\t", 2)
        if not path:
            next(fields)
            path = next(fields)
        counts[path] = (int(added) if added != "-" else 0, int(deleted) if deleted != "-" else 0)
    return counts


def _file_changes(raw: str, counts: dict[str, tuple[int, int]]) -> list[FileChange]:
    changes = []
    fields = iter(raw.split("\0"))
    for field in fields:
        if not field:
            continue
        _, _, _, blob, letter = field.split(" ")
        path = next(fields)
        previous = None
        if letter[0] in "RC":
            previous, path = path, next(fields)
        added, deleted = counts.get(path, (0, 0))
        changes.append(
            FileChange(
                path=path,
                previous_path=previous,
                status=_STATUS_WORDS[letter[0]],  # type: ignore[arg-type]
                additions=added,
                deletions=deleted,
                blob=None if letter == "D" else blob,
            )
        )
    return sorted(changes, key=lambda change: change.path)


def _touched(output: str, shas: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    touched: dict[str, dict[str, list[str]]] = {sha: {"added": [], "removed": [], "modified": []} for sha in shas}
    current: dict[str, list[str]] = {}
    fields = iter(output.split("\0"))
    for field in fields:
        if field in touched:
            current = touched[field]
        elif field:
            current[_STATUS_WORDS[field[0]]].append(next(fields))
    return touched
