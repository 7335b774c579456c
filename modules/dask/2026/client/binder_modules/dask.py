"""Dask from a notebook: `from binder_modules import dask`, then `dask.client()`.

Where the session's scheduler is, Dask reads itself from `DASK_SCHEDULER_ADDRESS`: `Client()` does as well.
"""

import os
import sys
import urllib.request
from typing import Any

_PAGE = 8787


def client(**options: Any) -> Any:
    """Return the notebook's client of the session's scheduler, which new computations use from then on."""
    from distributed import Client  # noqa: PLC0415 - the services' health asks this file, and is in a hurry

    return Client(os.environ["DASK_SCHEDULER_ADDRESS"], **options)


def _check(scheduler: str, worker: str | None = None) -> None:
    """End with an error unless a scheduler answers, or knows the worker of this name."""
    path = "health" if worker is None else "json/identity.json"
    with urllib.request.urlopen(f"http://{scheduler}:{_PAGE}/{path}", timeout=5) as answer:
        said = answer.read().decode()
    if worker is not None and f'"{worker}"' not in said:
        sys.exit("It is not ready.")


if __name__ == "__main__":
    _check(*sys.argv[1:])
