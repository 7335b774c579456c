"""A real PostgreSQL of the tests' own: started as the account of Debian's package, and gone with the run.

Its files are in memory where they can be, and it is not durable: what is tested is what we ask of it, not its disk.
"""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ONLY_SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
"""For a test of what only SQLite does, or of a file that it can get at."""

_ACCOUNT = "postgres"
_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_NOT_DURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


EACH_STORE = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
"""For tests of a package that otherwise goes with SQLite only."""


def store_address(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """Return SQLAlchemy's address of a new database of a kind: `sqlite`, in `folder`, or `postgresql`."""
    if kind == "sqlite":
        return f"sqlite+aiosqlite:///{folder / 'binder.db'}"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.new_database()


@dataclass
class PostgreSQL:
    """A server that runs; it listens on a socket in `folder` and nowhere else."""

    folder: Path
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def new_database(self) -> str:
        """Make an empty database, and return SQLAlchemy's address of it."""
        name = f"binder_{os.getpid()}_{next(self.numbers)}"
        self.ask(f"create database {name}")
        return self.address_of(name)

    def address_of(self, database: str) -> str:
        """Return SQLAlchemy's address of a database."""
        return f"postgresql+psycopg://{_ACCOUNT}@/{database}?host={self.folder}"

    def ask(self, query: str, database: str = "postgres") -> None:
        """Run a query as the server's owner."""
        argv = ("psql", "-qX", "-h", str(self.folder), "-U", _ACCOUNT, "-d", database, "-c", query)
        _run(argv)


@contextmanager
def running_postgresql() -> Iterator[PostgreSQL]:
    """Give a server of its own while the block runs."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    folder = Path(tempfile.mkdtemp(prefix="binder-pg-", dir=memory if os.access(memory, os.W_OK) else None))
    try:
        _give_away(folder)
        _run((_program("initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", _ACCOUNT, "-N"), as_owner=True)
        options = [part for option in _NOT_DURABLE for part in ("-c", option)]
        argv = (_program("postgres"), "-D", str(folder / "data"), "-k", str(folder), "-h", "", *options)
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log, user=_owner(), group=_owner())
        try:
            _wait_until_up(folder, server)
            yield PostgreSQL(folder)
        finally:
            server.send_signal(signal.SIGINT)  # "fast": it ends those who are still connected
            try:
                server.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(folder)


def _wait_until_up(folder: Path, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    ready = ("pg_isready", "-q", "-h", str(folder))
    while subprocess.run(ready, check=False, timeout=10).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError((folder / "log").read_text(errors="replace"))
        time.sleep(0.05)


def _give_away(folder: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(folder, _ACCOUNT)


def _owner() -> str | None:
    """Return whose process it is to be, None for our own: PostgreSQL does not run as root."""
    return _ACCOUNT if os.geteuid() == 0 else None


def _program(name: str) -> str:
    """Return the path of one of the server's programs, which Debian keeps by their version."""
    return str(max(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4])))


def _run(argv: Sequence[str], *, as_owner: bool = False) -> None:
    owner = _owner() if as_owner else None
    done = subprocess.run(argv, capture_output=True, check=False, timeout=60, cwd="/", user=owner, group=owner)
    if done.returncode:
        raise RuntimeError(f"{argv[0]}: {done.stderr.decode(errors='replace')}")
