"""Names that are made here: free of collisions, safe wherever they go.

Guarantees: a session's id is a DNS label (RFC 1123) that begins with a letter; a token is made of the characters of
base64url, so that it needs no escaping in a cookie, a header, a query or a key of HAProxy's map; a digest is
lower-case hexadecimal.
"""

import base64
import hashlib
import json
import re
import secrets
from pathlib import PurePosixPath

_SESSION_ID = re.compile(r"\As[a-z2-7]{15}\Z")
_TOKEN = re.compile(r"\A[A-Za-z0-9_-]{43}\Z")
_OWNER = re.compile(r"\A[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9_])?\Z")
_REPOSITORY = re.compile(r"\A[A-Za-z0-9._-]{1,100}\Z")
_SHA = re.compile(r"\A[0-9a-f]{40}\Z")
_VERSION = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,10})?", re.ASCII)
_VERSION_AS_SHA = re.compile(r"\A([0-9]{1,20}(?:d[0-9]{1,10})?)f{8,39}\Z", re.ASCII)
_NEVER_IN_A_REF = " ~^:?*[\\\x7f"


def new_session_id() -> str:
    """Return 75 random bits as a DNS label of 16 characters."""
    return "s" + base64.b32encode(secrets.token_bytes(10)).decode().lower()[:15]


def is_session_id(text: str) -> bool:
    """Whether `text` has the form of a session's id."""
    return bool(_SESSION_ID.match(text))


def new_token() -> str:
    """Return 256 random bits in base64url."""
    return secrets.token_urlsafe(32)


def is_token(text: str) -> bool:
    """Whether `text` has the form of a token."""
    return bool(_TOKEN.match(text))


def is_sha(text: str) -> bool:
    """Whether `text` is a whole commit sha."""
    return bool(_SHA.match(text))


def sha_of_version(version: str) -> str:
    """Return what stands for a record's version (`7`, `2.1`) wherever there is a sha: its digits, then `f` to the end.

    Raises: ValueError, where it is no such version.
    """
    if not _VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is no version")
    return version.replace(".", "d").ljust(40, "f")


def version_of_sha(sha: str) -> str | None:
    """Return the version that stands in the place of a sha; None where it is a commit's sha."""
    found = _VERSION_AS_SHA.match(sha) if is_sha(sha) else None
    return found[1].replace("d", ".") if found else None


def is_repository(owner: str, name: str) -> bool:
    """Whether GitHub could have a repository of this owner and name."""
    return bool(_OWNER.match(owner) and _REPOSITORY.match(name)) and name not in {".", ".."}


def is_ref(text: str) -> bool:
    """Whether git would take `text` as the short name of a branch or tag, or as a sha.

    Source: https://git-scm.com/docs/git-check-ref-format
    """
    if any(character in _NEVER_IN_A_REF or character < " " or _is_surrogate(character) for character in text):
        return False
    if not text or len(text.encode()) > 255 or text.startswith(("-", "/")) or text.endswith(("/", ".")):
        return False
    if any(bad in text for bad in ("..", "//", "@{")) or text == "@":
        return False
    return not any(part.startswith(".") or part.endswith(".lock") for part in text.split("/"))


def _is_surrogate(character: str) -> bool:
    """Whether it stands for a byte that was no UTF-8, which no argument can hold."""
    return "\ud800" <= character <= "\udfff"


def is_inside(path: str) -> bool:
    """Whether `path` is relative and stays inside the folder that it is relative to."""
    pure = PurePosixPath(path)
    return bool(path) and not pure.is_absolute() and ".." not in pure.parts and "\0" not in path


def digest_of(*parts: object) -> str:
    """Return 32 hexadecimal characters (128 bits) that stand for `parts`, which JSON must be able to hold.

    Parts cannot run into each other: they are written as one JSON array first.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
