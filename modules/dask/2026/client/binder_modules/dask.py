"""Dask from a notebook: `from binder_modules import dask`, then `dask.client()`.

Where the session's scheduler is, Dask reads itself from `DASK_SCHEDULER_ADDRESS`: `Client()` does as well.
"""

import os
import sys
import time
import urllib.request
from typing import Any

_PAGE = 8787
_PATIENCE_SECONDS = 5
_PAUSE_SECONDS = 0.3
"""Who asks whether it is ready waits here for a while: each question costs more than that."""


def client(**options: Any) -> Any:
    """Return the notebook's client of the session's scheduler, which new computations use from then on."""
    from distributed import Client  # noqa: PLC0415 - the services' health asks this file, and is in a hurry

    return Client(os.environ["DASK_SCHEDULER_ADDRESS"], **options)


def _check(scheduler: str, worker: str | None = None) -> None:
    """End with an error unless a scheduler soon answers, or knows the worker of this name."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while not _is_there(scheduler, worker):
        if time.monotonic() > until:
            sys.exit("It is not ready.")
        time.sleep(_PAUSE_SECONDS)


def _is_there(scheduler: str, worker: str | None) -> bool:
    path = "health" if worker is None else "json/identity.json"
    try:
        with urllib.request.urlopen(f"http://{scheduler}:{_PAGE}/{path}", timeout=2) as answer:
            said = answer.read().decode()
    except OSError:
        return False
    return worker is None or f'"{worker}"' in said


if __name__ == "__main__":
    _check(*sys.argv[1:])
