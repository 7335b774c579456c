"""What an operator has done about binders: builds that are wanted, sessions of one's own, sessions that end.

Rows only: builders and engines make them so, as they do for visitors. An operator may see all that there is; who one is
is `proxy.operator_api`'s to find out, or nobody's where a command works on this machine's store by itself.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urljoin

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from binder.errors import OperatorFault, VisitorFault
from binder.lifecycle import BuildState, SessionState
from binder.listing import QUERIES, Asked, Kind, as_items
from binder.names import is_session_id, is_sha, new_session_id, new_token
from binder.settings import Settings
from binder.store import Store
from binder.store.queries import (
    ACTIVE_BUILDS,
    LIVE_SESSIONS,
    advance_session,
    counts_by_state,
    has_lost_its_image,
    newest_build,
    want_build,
)
from binder.store.tables import Build, Preview, Repository, Session
from proxy.branches import branch_of
from proxy.claims import image_of
from proxy.commits import Commit, RefResolver, stored_at
from proxy.links import parse_link
from proxy.origins import session_url
from proxy.providers import PROVIDERS, Place
from proxy.providers.local import HOST as LOCAL

LOCAL_PREFIX: Final = "local:"
"""What the name of a folder's repository begins with, that was built on this machine."""
_MOST_AT_ONCE = 1000
_STOPPED = "An operator stopped it."


class Operating:
    """Works on one service's store. `open_way` has the proxy lead to a session that is open, where there is one."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        resolver: RefResolver,
        open_way: Callable[[Session], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._open_way = open_way
        self._settings = settings
        self._resolver = resolver

    async def listed(self, kind: Kind, asked: Asked) -> list[dict[str, Any]]:
        """Return a list, the newest first."""
        async with self._store.read() as session:
            rows = (await session.execute(text(QUERIES[kind]), asked.values)).mappings().all()
        return as_items(kind, [dict(row) for row in rows])

    async def commit(self, repository: str, ref: str) -> Commit:
        """Return the commit that an operator names; its repository is stored where it was not.

        Raises: VisitorFault, where there is none; WorldFault.
        """
        name = repository.removeprefix(LOCAL_PREFIX)
        place = Place(LOCAL, "preview", name, "") if name != repository else self._place(repository, ref)
        async with self._store.read() as session:
            known = await stored_at(session, place)
            branch = await branch_of(session, known, ref) if known else None
        sha = ref if is_sha(ref) else branch.head_sha if branch else None
        if sha is None and place.clone_url and not (known and known.private):
            sha = await self._resolver.resolve(known.clone_url if known else place.clone_url, ref)
        if sha is None or (known is None and not place.clone_url):
            raise VisitorFault(f"{repository} is not known, or has no branch, tag or commit {ref!r}.")
        if known is None:
            async with self._store.write() as session:
                known = await stored_at(session, place)
                if known is None:
                    known = Repository(host=place.host, owner=place.owner, name=place.name, clone_url=place.clone_url)
                    session.add(known)
        return Commit(known, sha)

    def _place(self, repository: str, ref: str) -> Place:
        spec = quote(repository, safe="") if "://" in repository else quote(repository)
        link = parse_link("git" if "://" in repository else "gh", f"{spec}/{quote(ref)}", {})
        return PROVIDERS[link.provider].place(link.named, self._settings)

    async def build(self, commit: Commit, *, again: bool) -> Build:
        """Want a commit built, and return its build, which may be one that was there."""
        async with self._store.write() as session:
            return await want_build(session, repository_id=commit.repository.id, sha=commit.sha, again=again)

    async def build_all(self, *, again: bool) -> list[Build]:
        """Want the head of each live preview built that is not held, and return their builds."""
        async with self._store.write() as session:
            live = select(Preview).where(Preview.live, Preview.held.is_(None)).order_by(Preview.id)
            heads = {(one.repository_id, one.head_sha): one for one in await session.scalars(live.limit(_MOST_AT_ONCE))}
            return [
                await want_build(
                    session,
                    repository_id=one.repository_id,
                    sha=one.head_sha,
                    preview_id=one.id,
                    again=again,
                    untrusted=one.from_fork,
                )
                for one in heads.values()
            ]

    async def built(self, commit: Commit) -> Build | None:
        """Return the build of a commit of which a session can be started; None, where there is none yet."""
        async with self._store.read() as session:
            build = await newest_build(session, repository_id=commit.repository.id, sha=commit.sha, untrusted=True)
        is_good = build and build.state is BuildState.SUCCEEDED and image_of(build) and not has_lost_its_image(build)
        return build if is_good else None

    async def build_row(self, build_id: int) -> dict[str, Any]:
        """Return one build, as the list has it.

        Raises: VisitorFault, where there is none.
        """
        return await self._one("builds", "b.id", build_id, f"There is no build {build_id}.")

    async def session_row(self, session_id: str) -> dict[str, Any]:
        """Return one session, as the list has it, and for one that was deployed and is open, its link.

        Raises: VisitorFault, where there is none.
        """
        if not is_session_id(session_id):
            raise VisitorFault(f"{session_id[:60]!r} is no session's id. `binder list sessions` shows them.")
        row = await self._one("sessions", "s.id", session_id, f"There is no session {session_id}.")
        async with self._store.read() as session:
            found = await session.get_one(Session, session_id)
        link = self._link_of(found)
        if link and self._open_way:
            await self._open_way(found)
        return row | {"link": link}

    async def check_service(self, session_id: str, name: str) -> None:
        """See that a session has a service of this name.

        Raises: VisitorFault.
        """
        async with self._store.read() as session:
            kept = (await session.get_one(Session, session_id)).services
        known = (kept or {}).get("services", {})
        if name not in known:
            has = f"It has {', '.join(known)}." if known else "It has none."
            raise VisitorFault(f"Session {session_id} has no service {name[:60]!r}. {has}")

    def _link_of(self, row: Session) -> str | None:
        if row.deployed is None or row.state is not SessionState.OPEN:
            return None
        address = urljoin(f"{self._settings.url}/", session_url(self._settings, row.id, "lab"))
        return f"{address}?token={row.token}"

    async def _one(self, kind: Kind, column: str, wanted: object, missing: str) -> dict[str, Any]:
        query = QUERIES[kind].replace("WHERE ", f"WHERE {column} = :wanted AND ", 1)
        values = Asked(everything=True, limit=1).values | {"wanted": wanted}
        async with self._store.read() as session:
            rows = (await session.execute(text(query), values)).mappings().all()
        if not rows:
            raise VisitorFault(missing)
        return as_items(kind, [dict(row) for row in rows])[0]

    async def deploy(self, build: Build, modules: Sequence[Mapping[str, Any]]) -> Session:
        """Want a session of a build that nobody else gets.

        Raises: OperatorFault, where there is no place for it.
        """
        async with self._store.write() as session:
            live = await session.scalar(select(func.count()).where(Session.state.in_(LIVE_SESSIONS)))
            opened = await session.scalar(select(func.count()).where(Session.state == SessionState.OPEN))
            if (opened or 0) >= self._settings.sessions_at_most:
                raise OperatorFault(
                    f"All {live} places are taken (BINDER_SESSIONS_AT_MOST). Stop a session, or wait for one to end."
                )
            row = Session(
                id=new_session_id(),
                token=new_token(),
                repository_id=build.repository_id,
                build_id=build.id,
                image=image_of(build) or "",
                deployed={"modules": list(modules)},
            )
            session.add(row)
            return row

    async def capacity(self, nodes: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
        """Return how many places, standbys and builds there are and how many are taken; `nodes` are the engine's."""
        settings = self._settings
        async with self._store.read() as session:
            sessions = await counts_by_state(session, Session, LIVE_SESSIONS)
            builds = await counts_by_state(session, Build, ACTIVE_BUILDS)
        return {
            "engine": settings.engine,
            "places": settings.sessions_at_most,
            "places_taken": sum(sessions.values()),
            "standbys": sessions[SessionState.STANDBY],
            "standbys_at_most": settings.standbys_at_most,
            "sessions": {state.value: count for state, count in sessions.items()},
            "builds": {state.value: count for state, count in builds.items()},
            "builds_at_once": settings.builds_at_once,
            "session_memory_bytes": settings.session_memory_bytes,
            "session_cpus": settings.session_cpus,
            "nodes": None if nodes is None else list(nodes),
        }

    async def stop(
        self, session_id: str | None, now: datetime, *, unused_for: timedelta | None = None, dry_run: bool = False
    ) -> list[str]:
        """End a session, those that are open and were not used for so long, or (with neither) all; return their ids.

        With `dry_run`, only say which they are. Raises: VisitorFault, where there is no such session.
        """
        async with self._store.write(tells=not dry_run) as session:
            rows = await _to_stop(session, session_id, None if unused_for is None else now - unused_for)
            for row in rows if not dry_run else ():
                advance_session(row, SessionState.ENDED, now, reason=_STOPPED)
        return [row.id for row in rows]


async def _to_stop(session: AsyncSession, session_id: str | None, unused_since: datetime | None) -> list[Session]:
    live = select(Session).where(Session.state.in_(LIVE_SESSIONS)).order_by(Session.created_at, Session.id)
    if session_id is not None:
        rows = list(await session.scalars(live.where(Session.id == session_id).with_for_update()))
        if not rows:
            raise VisitorFault(f"There is no session {session_id[:60]!r} that runs. `binder list sessions` shows them.")
        return rows
    if unused_since is not None:
        used_at = func.coalesce(Session.activity_at, Session.opened_at, Session.created_at)
        live = live.where(Session.state == SessionState.OPEN, used_at <= unused_since)
    return list(await session.scalars(live.with_for_update()))
