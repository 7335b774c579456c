"""`binder list`: binders, modules, builds and sessions, of a service that is named, or of this machine's store."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, cast

from binder.cli.quick import quick_list
from binder.cli.showing import ago, modules_said, print_json, print_table, short
from binder.listing import Kind

_Row = Mapping[str, Any]


def show_list(
    what: Literal["binders", "modules", "builds", "sessions"],
    *,
    repository: str | None,
    everything: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Print a list.

    Raises: BinderError.
    """
    if what == "modules":
        from binder.cli.modules import list_modules  # noqa: PLC0415

        list_modules(as_json=as_json)
        return
    items = _listed(what, repository or "", everything, limit)
    if as_json:
        print_json(items)
        return
    columns, row, nothing = _TABLES[what]
    print_table(columns, [row(item) for item in items], nothing=nothing)


def _listed(kind: Kind, repository: str, everything: bool, limit: int) -> Sequence[_Row]:
    if os.environ.get("BINDER_TOKEN"):
        from binder.cli.remote import service_named  # noqa: PLC0415 - as late as can be

        service = service_named()
        query = _query(repository, everything, limit)
        return cast("Sequence[_Row]", service.ask_now("GET", f"/api/lists/{kind}", **query)["items"])
    quick = quick_list(kind, repository=repository, everything=everything, limit=limit)
    if quick is not None:
        return cast("Sequence[_Row]", quick)
    import asyncio  # noqa: PLC0415 - the quick way does without

    return asyncio.run(_stored(kind, repository, everything, limit))


async def _stored(kind: Kind, repository: str, everything: bool, limit: int) -> Sequence[_Row]:
    from binder.cli.service import chosen_service  # noqa: PLC0415

    async with chosen_service() as service:
        query = _query(repository, everything, limit)
        return cast("Sequence[_Row]", (await service.ask("GET", f"/api/lists/{kind}", **query))["items"])


def _query(repository: str, everything: bool, limit: int) -> dict[str, Any]:
    return {"repository": repository or None, "all": 1 if everything else None, "limit": limit}


def _binder(item: _Row) -> Sequence[Any]:
    ref = f"#{item['ref']}" if item["kind"] == "pull" else item["ref"]
    modules = modules_said(item["modules"])
    return (item["repository"], ref, short(item["sha"]), item["state"], item["build"], item["sessions"], modules)


def _build(item: _Row) -> Sequence[Any]:
    fault = item["fault"] or {}
    place = f"{fault['file']} line {fault['line']}: " if fault.get("file") and fault.get("line") else ""
    seconds = None if item["seconds"] is None else f"{item['seconds']:.1f} s"
    why = f"{place}{fault['message']}" if fault else ""
    return (item["build"], item["repository"], short(item["sha"]), item["state"], seconds, ago(item["queued_at"]), why)


def _session(item: _Row) -> Sequence[Any]:
    used = item["activity_at"] or item["opened_at"]
    of = (item["repository"], short(item["sha"]), item["build"])
    return (item["session"], *of, item["state"], ago(item["created_at"]), ago(used), item["reason"] or "")


_TABLES: Final[Mapping[str, tuple[Sequence[str], Callable[[_Row], Sequence[Any]], str]]] = {
    "binders": (
        ("repository", "ref", "commit", "state", "build", "sessions", "modules"),
        _binder,
        "There is no binder yet: a push, a link or `binder build` makes one.",
    ),
    "builds": (("build", "repository", "commit", "state", "took", "age", "fault"), _build, "There is no build yet."),
    "sessions": (
        ("session", "repository", "commit", "build", "state", "age", "unused for", "reason"),
        _session,
        "No session runs.",
    ),
}
"""For each list: the columns of its table, how an item becomes a row, and what is said where there is none."""
