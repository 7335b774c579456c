"""The adapter to git: fetches commits of repositories that nobody vouches for, and reads what is in them.

git runs as the build account, in namespaces of its own, without hooks, filters or anybody's configuration. What comes
from it is bytes to this process: no name of the repository's becomes a path of this machine.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from binder.errors import BinderError, OperatorFault, WorldFault
from binder.names import digest_of, is_ref
from binder.paths import Paths
from binder.process import Account, Command, OutputTooLongError, TimedOutError, capture, spawn
from build.commits.addresses import public_addresses
from build.commits.commit import Commit, Part, Run, runs_of
from build.commits.content import Beside, ContentSink, Ownership, Tar, TarWriter
from build.commits.downloads import Downloads
from build.commits.lfs import (
    Pointer,
    attributes_in,
    fault_of_lfs,
    fault_of_unknown_host,
    listing_of,
    may_be_pointer,
    place_of,
    pointer_of,
    uses_lfs,
)
from build.commits.objects import Collected, ObjectReader, Sink
from build.commits.records import Archives, Record, Records, fault_of_record, is_record
from build.commits.sources import Source, environment_for, fault_of
from build.commits.submodules import (
    GITMODULES,
    Submodule,
    check_nesting,
    fault_of_gitmodules,
    fault_of_submodule,
    submodules_of,
)
from build.commits.tree import SUBMODULE, Entry, check_paths, check_sizes, files_of, too_many_files
from templates import source_path

__all__ = ["Commit", "Git", "Part", "Source"]

_MOST_OUTPUT_BYTES = 64 * 2**20
_MOST_READ_BYTES = 64 * 2**20
_PIECE_BYTES = 2**16
# What git says of an object that is broken must not get in between those that are not.
_CAT_OBJECTS = ("sh", "-c", "exec git cat-file --batch --buffer 2>/dev/null")
# What record.sh says where a version is not there yet.
_NOT_THERE = 9


class Git:
    """git, run as the build account below `Paths.git`. `most_bytes` is what a repository's files may have together.

    It is in namespaces of its own, as far as those of its account can be. Records of archives become commits here;
    `records` asks for them.
    """

    def __init__(
        self,
        paths: Paths,
        account: Account,
        certificates: Path | None,
        records: Records | None = None,
        *,
        timeout_seconds: float,
        most_bytes: int = 4 * 2**30,
    ) -> None:
        self._paths = paths
        self._account = account
        self._certificates = certificates
        self._records = records or Records(Downloads(certificates, ()), Archives())
        self._timeout = timeout_seconds
        self._most_bytes = most_bytes

    async def resolve(self, source: Source, ref: str) -> str | None:
        """Return the sha of a branch, a tag or `HEAD`, or None where the repository does not have it.

        Raises: VisitorFault, where there is no such repository; WorldFault.
        """
        if not is_ref(ref):
            return None
        if is_record(source.url):
            return await self._records.newest(source.url) if ref == "HEAD" else None
        names = ["HEAD"] if ref == "HEAD" else [f"refs/tags/{ref}^{{}}", f"refs/heads/{ref}", f"refs/tags/{ref}"]
        command = self._command(source, source, ["git", "ls-remote", "--quiet", "--", source.url, *names])
        listing = _text(await self._run(source, command))
        found = {name: sha for sha, _, name in (line.partition("\t") for line in listing.splitlines())}
        branch, tag, target = f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/tags/{ref}^{{}}"
        return next((found[name] for name in ("HEAD", branch, target, tag) if name in found), None)

    async def fetch(self, source: Source, sha: str) -> Commit:
        """Fetch a commit by its sha, without its history, with its submodules and what Git LFS keeps of it.

        Raises: BinderError.
        """
        try:
            async with asyncio.timeout(self._timeout):
                if is_record(source.url):
                    return await self._fetch_record(source, sha)
                commit = await self._fetch_one(source, source, sha)
                check_sizes(commit.files, self._most_bytes)
                commit = await self._with_submodules(source, commit)
                return await self._with_large_files(source, commit)
        except TimeoutError as error:
            raise _too_slow(source, self._timeout) from error

    async def read(self, source: Source, commit: Commit, path: str) -> bytes:
        """Return what is in a file of a commit that was fetched."""
        return (await self.read_many(source, commit, [path]))[path]

    async def read_many(self, source: Source, commit: Commit, paths: Iterable[str]) -> dict[str, bytes]:
        """Return what is in files of a commit that was fetched; of a link, where it leads.

        Raises: RepositoryFault, where they are too large to be read at once; WorldFault.
        """
        wanted = {path: commit.files[path] for path in paths}
        check_sizes(wanted, _MOST_READ_BYTES)
        contents: dict[str, bytes] = {}
        for run in runs_of(source, commit, tuple(wanted)):
            sink = Collected()
            await self._objects(source, commit, run, sink)
            contents |= zip(run.paths, sink.contents, strict=True)
        return contents

    async def write_tar(
        self,
        source: Source,
        commit: Commit,
        files: Iterable[str],
        path: Path,
        *,
        prefix: str = "home/jovyan",
        uid: int = 1000,
        gid: int = 1000,
        mtime: int | None = None,
        more: Beside | None = None,
    ) -> Tar:
        """Write files of a commit that was fetched into a tar at `path`; the same files give the same bytes everywhere.

        `mtime` is the commit's time where it is None; `more` is written behind them.
        Raises: RepositoryFault, OperatorFault, WorldFault.
        """
        owned = Ownership(uid, gid, commit.time if mtime is None else mtime)
        try:
            with path.open("wb", buffering=2**20) as file:
                writer = TarWriter(file, prefix, owned)
                for run in runs_of(source, commit, tuple(files)):
                    its = ((name, commit.files[name], commit.large.get(name)) for name in run.paths)
                    await self._objects(source, commit, run, ContentSink(writer, its))
                if more:
                    writer.add(more)
                return writer.close(path)
        except OSError as error:
            raise OperatorFault(f"The files of the commit cannot be written: {error.strerror}.") from error

    async def _fetch_one(self, root: Source, source: Source, sha: str) -> Commit:
        """Fetch a commit, and nothing that lies elsewhere; `root` is the repository that it is fetched for."""
        folder = str(self._folder(root, source))
        command = self._command(root, source, _script("fetch.sh", folder, source.url, sha, str(self._most_bytes)))
        return _commit_in(await self._run(source, command), sha)

    async def _fetch_record(self, source: Source, sha: str) -> Commit:
        """Fetch a version of a record, unless it was fetched before."""
        arguments = (str(self._folder(source, source)), sha, str(self._most_bytes))
        seen = self._command(source, source, _script("record.sh", *arguments, ""))
        code, output = await self._capture(source, seen)
        if code == _NOT_THERE:
            record = await self._records.version(source.url, sha)
            program = source_path("build/record.py").read_text(encoding="utf-8")
            taken = self._command(source, source, _script("record.sh", *arguments, program))
            listing = bytearray()
            code = await self._stream(taken, self._content_of(record), listing.extend)
            output = bytes(listing)
        if code:
            raise fault_of_record(_text(output)) or fault_of(source, _text(output))
        commit = _commit_in(output, sha)
        check_sizes(commit.files, self._most_bytes)
        return commit

    async def _content_of(self, record: Record) -> AsyncGenerator[bytes]:
        """Give what record.py reads."""
        paths = [file.path for file in record.files]
        asked = {"time": record.time, "files": paths, "unpack": len(paths) == 1 and paths[0].lower().endswith(".zip")}
        yield json.dumps(asked).encode() + b"\n"
        async with aclosing(self._records.content(record, self._most_bytes)) as pieces:
            async for piece in pieces:
                yield piece

    async def _with_submodules(self, root: Source, commit: Commit) -> Commit:
        """Return the commit with the files of its submodules, and of theirs, in place of the entries for them."""
        files, parts = dict(commit.files), {"": Part("", root, commit.sha)}
        waiting = deque([(parts[""], commit.files, 1)])
        while waiting:
            part, its, depth = waiting.popleft()
            for submodule in await self._submodules_in(root, part, its):
                path = part.below + submodule.path
                check_nesting(path, depth, len(parts))
                inner = await self._fetch_submodule(root, part, submodule)
                parts[path] = Part(path, submodule.source, submodule.sha)
                del files[path]
                files |= {parts[path].below + name: entry for name, entry in inner.items()}
                check_sizes(files, self._most_bytes)
                waiting.append((parts[path], inner, depth + 1))
        if len(parts) > 1:
            check_paths(files)
        return replace(commit, files=files, submodules={path: part for path, part in parts.items() if path})

    async def _submodules_in(self, root: Source, part: Part, files: Mapping[str, Entry]) -> list[Submodule]:
        if all(entry.mode != SUBMODULE for entry in files.values()):
            return []
        configuration = b""
        if GITMODULES in files:
            argv = ["git", "config", "--list", "-z", "--blob", files[GITMODULES].object_id]
            code, configuration = await self._capture(part.source, self._command(root, part.source, argv))
            if code:
                raise fault_of_gitmodules(part.below, _text(configuration))
        return submodules_of(part.source, files, configuration, below=part.below)

    async def _fetch_submodule(self, root: Source, part: Part, submodule: Submodule) -> Mapping[str, Entry]:
        try:
            if root.addresses:  # else a stranger's submodules could lead where the stranger may not
                submodule = replace(submodule, source=await _at_public_host(submodule.source))
            return (await self._fetch_one(root, submodule.source, submodule.sha)).files
        except BinderError as error:
            raise fault_of_submodule(submodule, part.below, error) from error

    async def _with_large_files(self, source: Source, commit: Commit) -> Commit:
        """Return the commit with what Git LFS keeps of it in place of its pointers."""
        attributes = attributes_in(commit.files)
        if not attributes or not uses_lfs((await self.read_many(source, commit, attributes)).values()):
            return commit
        candidates = [path for path, entry in commit.files.items() if may_be_pointer(entry)]
        contents = await self.read_many(source, commit, candidates)
        found = {path: pointer_of(content) for path, content in contents.items()}
        large = {path: pointer for path, pointer in found.items() if pointer}
        sizes = {path: commit.files[path]._replace(size=pointer.size) for path, pointer in large.items()}
        files = {**commit.files, **sizes}
        check_sizes(files, self._most_bytes)
        for run in runs_of(source, commit, tuple(large)):
            await self._fetch_large(source, run, {path: large[path] for path in run.paths}, files)
        return replace(commit, files=files, large=large)

    async def _fetch_large(
        self, root: Source, run: Run, large: Mapping[str, Pointer], files: Mapping[str, Entry]
    ) -> None:
        if run.part.source.addresses:  # Git LFS goes wherever the server says
            raise fault_of_unknown_host(large)
        script = _script("fetch-large.sh", str(max(pointer.size for pointer in large.values()) + 2**20))
        listing = listing_of(files[path].object_id for path in large)
        output = bytearray()
        code = await self._stream(self._command(root, run.part.source, script), _whole(listing), output.extend)
        if code:
            raise fault_of_lfs(large, _text(bytes(output)))

    async def _objects(self, root: Source, commit: Commit, run: Run, sink: Sink) -> None:
        """Have a sink take the files of a run."""
        argv: Sequence[str] = _CAT_OBJECTS
        names = [commit.files[path].object_id for path in run.paths]
        if run.is_large:
            argv, names = _script("read-large.sh"), [place_of(commit.large[path]) for path in run.paths]
        reader = ObjectReader(sink)
        command = self._command(root, run.part.source, argv)
        await self._stream(command, _whole("".join(f"{name}\n" for name in names).encode()), reader.feed)
        reader.close(len(names))

    def _folder(self, root: Source, source: Source) -> Path:
        """Return the bare repository of a source, or of one that is fetched as a submodule of `root`.

        What was fetched with a token is not found by those who have none, nor by another repository's submodules, nor
        by a fork's commits.
        """
        of_forks = () if root.trusted else ("fork",)
        return self._paths.git / digest_of(root.url, bool(root.token), source.url, *of_forks)

    def _command(self, root: Source, source: Source, argv: Sequence[str]) -> Command:
        variables = {"GIT_DIR": str(self._folder(root, source)), **environment_for(source, self._certificates)}
        return Command(argv, variables, self._paths.git, self._account, sandboxed=True)

    async def _run(self, source: Source, command: Command) -> bytes:
        code, output = await self._capture(source, command)
        if code:
            raise fault_of(source, _text(output))
        return output

    async def _capture(self, source: Source, command: Command) -> tuple[int, bytes]:
        try:
            return await capture(command, timeout_seconds=self._timeout, most_bytes=_MOST_OUTPUT_BYTES)
        except TimedOutError as error:
            raise _too_slow(source, error.seconds) from error
        except OutputTooLongError as error:
            raise too_many_files() from error

    async def _stream(self, command: Command, given: AsyncGenerator[bytes], take: Callable[[bytes], None]) -> int:
        """Run a child that is given some bytes, and have each piece of its output taken; return its return code.

        Raises: WorldFault; and what `given` raises, after which the child is given nothing more.
        """
        try:
            async with asyncio.timeout(self._timeout), spawn(command, stdin=asyncio.subprocess.PIPE) as process:
                # It reads and writes at once: what it prints must be taken while it is still being given.
                feeding = asyncio.create_task(_feed(process, given))
                try:
                    assert process.stdout  # noqa: S101 - spawn made it a pipe
                    while piece := await process.stdout.read(_PIECE_BYTES):
                        take(piece)
                    if feeding.done():
                        await feeding
                    return await process.wait()
                finally:
                    feeding.cancel()
                    await asyncio.wait({feeding})
        except TimeoutError as error:
            raise WorldFault(f"Reading the files of the commit took longer than {self._timeout:g} s.") from error


async def _at_public_host(source: Source) -> Source:
    return replace(source, addresses=await public_addresses(source.url))


async def _feed(process: asyncio.subprocess.Process, given: AsyncGenerator[bytes]) -> None:
    assert process.stdin  # noqa: S101 - we asked for a pipe
    try:
        async with aclosing(given):
            async for piece in given:
                process.stdin.write(piece)
                await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it ended, and says why
    finally:
        process.stdin.close()


async def _whole(given: bytes) -> AsyncGenerator[bytes]:
    yield given


def _commit_in(output: bytes, sha: str) -> Commit:
    """Return the commit that fetch.sh or record.sh printed."""
    tree, time, listing = output.split(b"\n", 2)
    return Commit(sha, tree.decode(), int(time), files_of(listing))


def _script(name: str, *arguments: str) -> list[str]:
    return ["sh", "-c", source_path(f"build/{name}").read_text(encoding="utf-8"), name, *arguments]


def _too_slow(source: Source, seconds: float) -> WorldFault:
    return WorldFault(f"Fetching from {source.url} took longer than {seconds:g} s.")


def _text(output: bytes) -> str:
    return output.decode(errors="replace")
