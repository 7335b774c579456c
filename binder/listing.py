"""Lists of what the store holds, as SQL: SQLite and PostgreSQL understand it alike, with or without an ORM.

So a command asks SQLite's file itself, and need not import for a second what it then uses for a millisecond. A list is
bounded, the newest first; tokens, payloads and what visitors are called are in none of them. The names of the values
are those that `--json` and the API give, and stay.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

Kind = Literal["binders", "builds", "sessions"]
MOST: Final = 1000
"""The most that is listed at once."""

_LIVE: Final = "('wanted', 'starting', 'standby', 'open')"
_NAME: Final = "CASE WHEN r.owner = '' THEN r.name ELSE r.owner || '/' || r.name END"
_SESSIONS_OF: Final = f"(SELECT count(*) FROM sessions s WHERE s.build_id = b.id AND s.state IN {_LIVE})"  # noqa: S608 - made of constants
_OF_ONE: Final = f"(:repository = '' OR lower({_NAME}) = :repository)"

# The newest build of the commit that a preview shows, or that a link asked for.
_BINDERS: Final = f"""
SELECT {_NAME} AS repository, r.host AS host, p.kind AS kind, p.ref AS ref, p.head_sha AS sha, p.held AS held,
  b.id AS build, b.state AS state, b.result AS result, {_SESSIONS_OF} AS sessions, p.updated_at AS updated_at
FROM previews p JOIN repositories r ON r.id = p.repository_id
LEFT JOIN builds b ON b.id = (SELECT max(x.id) FROM builds x WHERE x.repository_id = r.id AND x.sha = p.head_sha)
WHERE p.live AND {_OF_ONE}
UNION ALL
SELECT {_NAME}, r.host, 'link', NULL, b.sha, NULL, b.id, b.state, b.result, {_SESSIONS_OF}, b.queued_at
FROM builds b JOIN repositories r ON r.id = b.repository_id
WHERE b.preview_id IS NULL AND b.state IN ('succeeded', 'queued', 'fetching', 'building', 'pushing', 'checking')
  AND NOT EXISTS (SELECT 1 FROM builds x WHERE x.repository_id = b.repository_id AND x.sha = b.sha AND x.id > b.id)
  AND NOT EXISTS (SELECT 1 FROM previews p WHERE p.repository_id = b.repository_id AND p.head_sha = b.sha AND p.live)
  AND {_OF_ONE}
ORDER BY updated_at DESC LIMIT :most
"""  # noqa: S608 - made of constants

_BUILDS: Final = f"""
SELECT b.id AS build, {_NAME} AS repository, r.host AS host, b.sha AS sha, b.state AS state, b.untrusted AS untrusted,
  b.queued_at AS queued_at, b.started_at AS started_at, b.finished_at AS finished_at, b.result AS result,
  b.fault AS fault
FROM builds b JOIN repositories r ON r.id = b.repository_id
WHERE {_OF_ONE}
ORDER BY b.id DESC LIMIT :most
"""  # noqa: S608 - made of constants

_SESSIONS: Final = f"""
SELECT s.id AS session, {_NAME} AS repository, r.host AS host, b.sha AS sha, s.build_id AS build, s.state AS state,
  s.created_at AS created_at, s.opened_at AS opened_at, s.activity_at AS activity_at, s.ended_at AS ended_at,
  s.reason AS reason
FROM sessions s JOIN builds b ON b.id = s.build_id JOIN repositories r ON r.id = s.repository_id
WHERE {_OF_ONE} AND (:everything = 1 OR s.state IN {_LIVE})
ORDER BY s.created_at DESC, s.id LIMIT :most
"""  # noqa: S608 - made of constants

QUERIES: Final[Mapping[Kind, str]] = {"binders": _BINDERS, "builds": _BUILDS, "sessions": _SESSIONS}
"""What is asked for each list, with `values_of` as the values of its names."""


@dataclass(frozen=True)
class Asked:
    """Which part of a list is wanted. `everything`: also sessions that are over."""

    repository: str = ""
    everything: bool = False
    limit: int = 100

    @property
    def values(self) -> dict[str, str | int]:
        """The values of the names in a query."""
        most = max(1, min(self.limit, MOST))
        return {"repository": self.repository.lower(), "everything": int(self.everything), "most": most}


def as_items(kind: Kind, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what a query found, in the words of `--json`: times in ISO 8601, UTC."""
    return [_SHAPES[kind](row) for row in rows]


def _binder(row: Mapping[str, Any]) -> dict[str, Any]:
    result = _json(row["result"])
    state = row["state"] or ("held" if row["held"] else "waiting")
    return {
        "repository": row["repository"],
        "host": row["host"],
        "kind": row["kind"],
        "ref": row["ref"],
        "sha": row["sha"],
        "state": state,
        "held": row["held"],
        "build": row["build"],
        "image": result.get("image"),
        "modules": modules_in(result),
        "sessions": row["sessions"],
        "updated_at": _time(row["updated_at"]),
    }


def _build(row: Mapping[str, Any]) -> dict[str, Any]:
    result, fault = _json(row["result"]), _json(row["fault"])
    began, ended = _when(row["started_at"]), _when(row["finished_at"])
    return {
        "build": row["build"],
        "repository": row["repository"],
        "host": row["host"],
        "sha": row["sha"],
        "state": row["state"],
        "untrusted": bool(row["untrusted"]),
        "way": result.get("way"),
        "image": result.get("image"),
        "modules": modules_in(result),
        "seconds": round((ended - began).total_seconds(), 3) if began and ended else None,
        "queued_at": _time(row["queued_at"]),
        "started_at": _time(row["started_at"]),
        "finished_at": _time(row["finished_at"]),
        "fault": {key: fault.get(key) for key in ("party", "message", "file", "line", "step")} if fault else None,
    }


def _session(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "session": row["session"],
        "repository": row["repository"],
        "host": row["host"],
        "sha": row["sha"],
        "build": row["build"],
        "state": row["state"],
        "created_at": _time(row["created_at"]),
        "opened_at": _time(row["opened_at"]),
        "activity_at": _time(row["activity_at"]),
        "ended_at": _time(row["ended_at"]),
        "reason": row["reason"],
    }


_SHAPES: Final[Mapping[Kind, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "binders": _binder,
    "builds": _build,
    "sessions": _session,
}


def keys_of(kind: Kind) -> tuple[str, ...]:
    """Return the names of a list's values, in their order."""
    return tuple(_SHAPES[kind](defaultdict(lambda: None)))


def modules_in(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the modules that a build's result keeps: name, version and mode of each."""
    return [{key: str(one.get(key, "")) for key in ("name", "version", "mode")} for one in result.get("modules") or ()]


def _json(value: Any) -> Mapping[str, Any]:
    found = json.loads(value) if isinstance(value, str | bytes) else value
    return found if isinstance(found, Mapping) else {}


def _when(value: Any) -> datetime | None:
    if isinstance(value, str):  # SQLite keeps times as texts, all of them UTC
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _time(value: Any) -> str | None:
    when = _when(value)
    return None if when is None else when.isoformat()
