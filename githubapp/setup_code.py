"""The code that opens the page of set-up: made by whoever may write to the state folder, used once, soon over.

Only its digest is written down. It has 100 random bits: nobody guesses it, so attempts need not be counted.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from binder.errors import OperatorFault

LIFETIME: Final = timedelta(minutes=30)

_BYTES = 13
_CHARACTERS = 20
_GROUP = 5
_LONGEST = 100


def make_code(folder: Path, now: datetime) -> str:
    """Return a new code, like `ABCDE-FGHIJ-KLMNO-PQRST`; the one before it is good no more.

    Raises: OperatorFault.
    """
    letters = base64.b32encode(secrets.token_bytes(_BYTES)).decode()[:_CHARACTERS]
    fresh = folder / f"code-{secrets.token_hex(8)}"
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"digest": _digest(letters), "ends": (now + LIFETIME).isoformat()}, file)
        owner = folder.stat()
        if owner.st_uid != os.geteuid():
            os.chown(fresh, owner.st_uid, owner.st_gid)  # root asks, and the service runs as somebody else
        fresh.replace(_file(folder))
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise OperatorFault(
            f"{folder} cannot be written to: {error.strerror}. Run this as the service does."
        ) from error
    return "-".join(letters[at : at + _GROUP] for at in range(0, _CHARACTERS, _GROUP))


def take_code(folder: Path, code: str, now: datetime) -> bool:
    """Whether this is the code; if so, it is good no more."""
    file = _file(folder)
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        if not _is_good(kept["digest"], datetime.fromisoformat(kept["ends"]), code, now):
            return False
        file.unlink()  # only one of those who bring it at the same time gets through here
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _is_good(digest: str, ends: datetime, code: str, now: datetime) -> bool:
    letters = "".join(filter(str.isalnum, code[:_LONGEST].upper()))
    return hmac.compare_digest(digest.encode(), _digest(letters).encode()) and now < ends


def _digest(letters: str) -> str:
    return hashlib.sha256(letters.encode()).hexdigest()


def _file(folder: Path) -> Path:
    return folder / "setup-code.json"
