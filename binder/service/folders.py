"""The folders of a service, and the locks that keep two services from one state, and a cache from who clears it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from binder.errors import OperatorFault
from binder.paths import Paths
from binder.process import Account


def make_folders(paths: Paths, account: Account) -> None:
    """Make all folders that there should be.

    Raises: OperatorFault.
    """
    try:
        paths.make(account)
    except OSError as error:
        raise OperatorFault(
            f"{error.filename} cannot be made: {error.strerror}. "
            "Set BINDER_STATE_DIR and BINDER_CACHE_DIR to folders that this account can write to."
        ) from error


@contextmanager
def alone_in(state: Path) -> Iterator[None]:
    """See that no other service uses the folder meanwhile.

    Raises: OperatorFault.
    """
    with open_lock(state / "lock") as descriptor:
        if not try_lock(descriptor):
            raise OperatorFault(f"Another service already runs on {state}. Stop it, or set BINDER_STATE_DIR.")
        yield


@contextmanager
def open_lock(path: Path) -> Iterator[int]:
    """Give a file that can be locked; whatever lock is on it ends with the block."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock a file against everybody else; False, where somebody has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
