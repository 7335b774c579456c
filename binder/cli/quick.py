"""Lists of this machine's store, read from SQLite's file itself: at once, with nothing imported for it.

Only where the store is such a file, as a service made it; all else takes the ordinary way. A file is only read.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from binder.errors import WorldFault
from binder.homes import default_home
from binder.listing import QUERIES, Asked, Kind, as_items

_PATIENCE_SECONDS = 5


def quick_list(kind: Kind, *, repository: str = "", everything: bool = False, limit: int = 100) -> Any:
    """Return a list, or None where it cannot be read so: the store is elsewhere, or of another version.

    Raises: WorldFault, where the file is locked for long.
    """
    if os.environ.get("BINDER_DATABASE_URL"):
        return None
    file = Path(os.environ.get("BINDER_STATE_DIR") or default_home("state")).expanduser() / "binder.db"
    if not file.exists():
        return []
    asked = Asked(repository, everything, limit)
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE_SECONDS)) as it:
            it.row_factory = sqlite3.Row
            return as_items(kind, [dict(row) for row in it.execute(QUERIES[kind], asked.values)])
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise WorldFault("The store is being written to for long. Please try again.") from error
        return None
