"""The badge that says how a branch stands, as an SVG for README files.

Pure but for `LiveBadges`. What a visitor may not see does not exist: a private repository, a branch and a repository
that are not there all get the one neutral badge, byte for byte.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from binder.lifecycle import BuildState
from binder.names import is_ref, is_repository
from binder.store.queries import ACTIVE_BUILDS, find_repository, has_lost_its_image, newest_build
from binder.store.tables import Build
from proxy.answers import asset
from proxy.branches import branch_of, last_good_build
from proxy.context import ProxyContext
from templates import render

State: TypeAlias = Literal["ready", "building", "failed", "stale"]

# The colour, and how many pixels the word takes.
_LOOKS: Final[dict[State, tuple[str, int]]] = {
    "ready": ("#1f7a3d", 34),
    "building": ("#8a6100", 47),
    "failed": ("#b3261e", 33),
    "stale": ("#5b6470", 29),
}
_SUFFIX = ".svg"


@dataclass(frozen=True)
class Asked:
    """A branch that a badge is about: `HEAD` is the default one."""

    owner: str
    name: str
    ref: str = "HEAD"


def asked_of(spec: str) -> Asked | None:
    """Return what `OWNER/NAME[/REF].svg` names, None where nothing can be called so."""
    owner, name, ref = [*spec.removesuffix(_SUFFIX).split("/", 2), "", ""][:3]
    is_name = spec.endswith(_SUFFIX) and is_repository(owner, name) and (not ref or is_ref(ref))
    return Asked(owner, name, ref or "HEAD") if is_name else None


def state_of(head: Build | None, *, has_good: bool) -> State | None:
    """Return what the badge says of a branch whose newest commit has this build, None where nothing is known.

    `has_good`: an earlier commit of the branch can be opened.
    """
    if head and head.state in ACTIVE_BUILDS:
        return "building"
    if head and head.state is BuildState.SUCCEEDED and not has_lost_its_image(head):
        return "ready"
    if has_good:
        return "stale"
    return "failed" if head and head.state is BuildState.FAILED else None


def picture(state: State | None) -> str:
    """Return the badge, as SVG."""
    if state is None:
        return asset("badge.svg")
    colour, width = _LOOKS[state]
    return render("pages/live_badge.svg", word=state, colour=colour, width=width)


class LiveBadges:
    """Answers for badges."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context

    def routes(self) -> list[BaseRoute]:
        """Return the route of the badges."""
        return [Route("/badge/gh/{spec:path}", self.badge)]

    async def badge(self, request: Request) -> Response:
        """Show how a branch stands, to be asked for anew each time: GitHub's own cache keeps no such picture."""
        asked = asked_of(request.path_params["spec"])
        async with self._context.store.read() as session:
            state = await self._state(session, asked) if asked else None
        text = picture(state)
        headers = {
            "Cache-Control": "no-cache, max-age=0",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "ETag": f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"',
        }
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(text, headers=headers, media_type="image/svg+xml")

    async def _state(self, session: AsyncSession, asked: Asked) -> State | None:
        host = self._context.settings.github_host
        repository = await find_repository(session, host=host, owner=asked.owner, name=asked.name)
        preview = await branch_of(session, repository, asked.ref) if repository and not repository.private else None
        if preview is None:
            return None
        head = await newest_build(session, repository_id=preview.repository_id, sha=preview.head_sha, untrusted=False)
        return state_of(head, has_good=await last_good_build(session, preview) is not None)
