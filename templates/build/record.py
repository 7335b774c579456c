"""Makes a commit of a record's files, which come on standard input; run by `record.sh`, in a bare repository.

Arguments: the repository, the ref to make, the most bytes that the files may have. The input is a line of JSON, {time
(seconds of the epoch), files (their paths), unpack (whether the one file is a zip archive, whose files are wanted)},
then each file in pieces, as `build.commits.records` says. No name of the record's becomes a path of this machine: the
files go to git as objects, so that a path that leads elsewhere is a path that git or its reader refuses.
What is wrong with the record is said in a line that begins with `fault: `.
"""

import contextlib
import json
import resource
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from typing import IO

MOST_FILES = 100_000
MOST_MEMORY = 2**30
LINK, EXECUTABLE, PLAIN = "120000", "100755", "100644"
# What programs leave in archives that nobody put into the record.
LEFT_OUT = {"__MACOSX", ".git"}


class Fault(Exception):
    """What is wrong with the record, in a sentence."""


def received(spool: IO[bytes]) -> None:
    """Write the next file of the input to `spool`, from its beginning."""
    spool.seek(0)
    spool.truncate()
    while True:
        head = sys.stdin.buffer.read(4)
        if len(head) < 4:
            raise Fault("The files of the record did not arrive whole.")
        size = int.from_bytes(head, "big")
        if not size:
            return
        piece = sys.stdin.buffer.read(size)
        if len(piece) < size:
            raise Fault("The files of the record did not arrive whole.")
        spool.write(piece)


class Commit:
    """The commit that is made: files first, then what it is called."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._files: dict[str, str] = {}

    def add(self, path: str, size: int, file: IO[bytes], mode: str | None = None) -> None:
        """Take a file; without a mode, it is executable where it begins as a script does."""
        if path in self._files:
            raise Fault(f"The record has two files called {path!r}.")
        if "\0" in path or any(part in {"", ".", ".."} for part in path.split("/")):
            raise Fault(f"The path {path!r} in the record leads elsewhere.")
        if len(self._files) >= MOST_FILES:
            raise Fault(f"The record has more than {MOST_FILES:,} files, which is too many to be built.")
        number = len(self._files) + 1
        self._out.write(b"blob\nmark :%d\ndata %d\n" % (number, size))
        head = file.read(min(size, 2))
        self._out.write(head)
        left = size - len(head)
        while left:
            piece = file.read(min(left, 2**16))
            if not piece:
                raise Fault(f"{path!r} in the record ends early.")
            left -= len(piece)
            self._out.write(piece)
        self._out.write(b"\n")
        self._files[path] = mode or (EXECUTABLE if head == b"#!" else PLAIN)

    def end(self, ref: str, time: int) -> None:
        """Make the commit."""
        self._check_folders()
        lines = [f"commit {ref}", f"committer Binder <binder@localhost> {time} +0000", "data 0"]
        marks = enumerate(self._files.items(), 1)
        lines += [f"M {mode} :{number} {quoted(path)}" for number, (path, mode) in marks]
        self._out.write("\n".join([*lines, "done", ""]).encode())
        self._out.close()

    def _check_folders(self) -> None:
        for path in self._files:
            folder = path.rpartition("/")[0]
            while folder:
                if folder in self._files:
                    raise Fault(f"{folder!r} is both a file and a folder in the record.")
                folder = folder.rpartition("/")[0]


def quoted(path: str) -> str:
    """Return a path as git fast-import reads it, whatever is in it."""
    plain = set(range(0x20, 0x7F)) - {0x22, 0x5C}
    return (
        '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in path.encode(errors="replace")) + '"'
    )


def unpack(spool: IO[bytes], commit: Commit, most_bytes: int) -> None:
    """Take the files of a zip archive; one folder that all of them lie in is left out of their paths."""
    try:
        with zipfile.ZipFile(spool) as archive:
            wanted = [one for one in archive.infolist() if not one.is_dir() and not parts_of(one) & LEFT_OUT]
            size = sum(one.file_size for one in wanted)
            if size > most_bytes:
                raise Fault(f"The archive of the record unpacks to {size:,} bytes; it may have {most_bytes:,}.")
            tops = {one.filename.partition("/")[0] for one in wanted}
            is_in_one = len(tops) == 1 and all("/" in one.filename for one in wanted)
            skipped = len(tops.pop()) + 1 if is_in_one else 0
            for one in wanted:
                with archive.open(one) as file:
                    commit.add(one.filename[skipped:], one.file_size, file, mode_of(one))
    except NotImplementedError as error:
        raise Fault(f"The archive of the record is packed in a way that is not read here: {error}.") from error
    except RuntimeError as error:
        raise Fault("The archive of the record is encrypted.") from error
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, zlib.error) as error:
        raise Fault(f"The archive of the record cannot be unpacked: {error}.") from error


def parts_of(one: zipfile.ZipInfo) -> set[str]:
    """Return the names that a path is made of."""
    return set(one.filename.split("/"))


def mode_of(one: zipfile.ZipInfo) -> str | None:
    """Return git's mode of a file in an archive, None where its content says it; what is no file is refused.

    That a script is not executable says little: many programs that make archives leave such bits out.
    """
    mode = one.external_attr >> 16
    if stat.S_ISLNK(mode):
        return LINK
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        raise Fault(f"{one.filename!r} in the archive of the record is neither a file nor a link.")
    return EXECUTABLE if mode & 0o100 else None


def main(folder: str, ref: str, most_bytes: int) -> int:
    """Make the commit of the files on standard input."""
    asked = json.loads(sys.stdin.buffer.readline())
    argv = ["git", "-c", "core.compression=1", "fast-import", "--quiet", "--done", "--depth=0"]
    # A killed import leaves no ref: the commit comes last, and `done` after it.
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as git, tempfile.TemporaryFile(dir=folder) as spool:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        assert git.stdin  # noqa: S101 - a pipe was asked for
        try:
            commit = Commit(git.stdin)
            for path in asked["files"]:
                received(spool)
                size = spool.tell()
                spool.seek(0)
                if asked["unpack"]:
                    unpack(spool, commit, most_bytes)
                else:
                    commit.add(path, size, spool)
            commit.end(ref, asked["time"])
        except BaseException:
            git.kill()
            with contextlib.suppress(OSError):
                git.stdin.close()  # it would still be given what was not sent yet
            raise
    return git.returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    except Fault as fault:
        sys.exit(f"fault: {fault}")
    except MemoryError:
        sys.exit("fault: The archive of the record has too many entries.")
