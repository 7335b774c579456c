"""Which names an owner, a repository, a ref and a commit may have, decided before anything else looks at them.

Owns the rules; what answer a bad name gets is left to the callers. No name ever becomes a path: repositories lie on
disk under their number.
"""

import re

_OWNER = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}")
_REPOSITORY = re.compile(r"[A-Za-z0-9._-]{1,100}")
_BRANCH = re.compile(r"(?!-)[^\x00-\x20\x7f~^:?*\[\\]{1,250}")
_SHA = re.compile(r"[0-9a-f]{40}")
_RESERVED_OWNERS = frozenset({"api", "apps", "login", "organizations", "sandbox", "settings"})

NO_COMMIT = "0" * 40


def is_owner(name: str) -> bool:
    """Whether `name` can be an account's login, and is not one of our own first path segments."""
    return bool(_OWNER.fullmatch(name)) and name.lower() not in _RESERVED_OWNERS


def is_repository(name: str) -> bool:
    """Whether `name` can be a repository's name; GitHub takes `.git` off, so no name ends with it."""
    return bool(_REPOSITORY.fullmatch(name)) and name not in {".", ".."} and not name.lower().endswith(".git")


def is_branch(name: str) -> bool:
    """Whether `name` can be a branch's short name.

    Source: https://git-scm.com/docs/git-check-ref-format
    """
    if not _BRANCH.fullmatch(name) or name in {"@", "HEAD"}:
        return False
    if ".." in name or "@{" in name or name.endswith("."):
        return False
    return all(part and not part.startswith(".") and not part.endswith(".lock") for part in name.split("/"))


def is_sha(text: str) -> bool:
    """Whether `text` is a full commit id, in the lower case that git prints."""
    return bool(_SHA.fullmatch(text))


def split_full_name(full_name: str) -> tuple[str, str]:
    """Split `owner/name`.

    Raises: ValueError, when either half is not a possible name.
    """
    owner, _, name = full_name.partition("/")
    if not is_owner(owner) or not is_repository(name):
        raise ValueError(f"{full_name!r} is not the full name of a repository")
    return owner, name
