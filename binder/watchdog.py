"""Ends this process where it still does at a time what it may do only until then, whatever keeps it from stopping.

A thread of its own: the loop may be what hangs. Children that belong to us die with us.
"""

import os
import sys
import threading
from collections.abc import Callable

EXIT_CODE = 75
"""`EX_TEMPFAIL`: whoever started us may try again."""


class Watchdog:
    """A deadline by `clock` (seconds); none at first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deadline: float | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def arm(self, deadline: float) -> None:
        """End the process at that time, in place of any that was said before."""
        with self._changed:
            self._deadline = deadline
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
            self._thread.start()

    def disarm(self) -> None:
        """Let the process go on."""
        with self._changed:
            self._deadline = None
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                left = None if self._deadline is None else self._deadline - self._clock()
                if left is not None and left <= 0:
                    print("binder: it could not stop in time to let another process lead.", file=sys.stderr, flush=True)
                    os._exit(EXIT_CODE)
                self._changed.wait(left)
