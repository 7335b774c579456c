"""The pages of notebooks that a build had run: as they ran, and what changed from a pull request's base.

What they hold is a repository's. So they are pages without an origin and without scripts, whatever is in them: what a
browser shows there has neither cookies nor a way to anything of ours.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from binder.build_words import word_of_outcome, words_of_time
from binder.errors import VisitorFault
from binder.store.notebook_runs import executed_of, last_passed
from binder.store.tables import Build, NotebookRun, Preview, Repository
from proxy.access import Access
from proxy.answers import new_nonce, page_text
from proxy.build_pages import start_again
from proxy.context import ProxyContext
from proxy.notebook_view import CellView, cells_of, changed_cells
from proxy.visible import number_of, visible_build

HEADERS: Final[Mapping[str, str]] = {
    # Links lead on, and nothing else happens. Styles are inline: those of outputs, too, which reach no further.
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    # A page without an origin shares none: with "same-origin" browsers refuse to show it.
    "Cross-Origin-Opener-Policy": "unsafe-none",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_AT_ONCE = 2


class NotebookPages:
    """Shows notebooks as they ran."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context
        self._access = Access(context)
        self._rendering = asyncio.Semaphore(_AT_ONCE)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of a notebook, and of what changed in it."""
        return [
            Route("/builds/{number}/notebooks/{run}", self.notebook),
            Route("/builds/{number}/notebooks/{run}/changes", self.changes),
        ]

    async def notebook(self, request: Request) -> Response:
        """Show a notebook as it ran."""
        build, repository, run = await self._visible(request)
        return await self._page(build, repository, run, lambda: cells_of(self._executed(run)))

    async def changes(self, request: Request) -> Response:
        """Show what changed in a notebook, and in what it says, from the base of its pull request."""
        build, repository, run = await self._visible(request)
        base = await self._base(build, run)
        if base is None or base.executed is None:
            raise VisitorFault("This notebook did not run at the pull request's base, so there is nothing to compare.")
        old = base.executed
        return await self._page(
            build, repository, run, lambda: changed_cells(cells_of(old), cells_of(self._executed(run))), is_changes=True
        )

    def _executed(self, run: NotebookRun) -> bytes:
        if run.executed is None:
            raise VisitorFault("This notebook did not come to run.")
        return run.executed

    async def _visible(self, request: Request) -> tuple[Build, Repository, NotebookRun]:
        viewer = await self._access.viewer(request)
        number, run_id = (number_of(request.path_params[name]) for name in ("number", "run"))
        build, repository = await visible_build(self._context.store, self._access, viewer, number)
        async with self._context.store.read() as session:
            run = await session.get(NotebookRun, run_id) if run_id is not None else None
            if run is None or run.build_id != build.id:
                raise VisitorFault("There is no such notebook of this build.")
            run.executed = await executed_of(session, run.id)
            session.expunge(run)
        return build, repository, run

    async def _base(self, build: Build, run: NotebookRun) -> NotebookRun | None:
        """Return the run of the same notebook at the base of the build's pull request; None where there is none."""
        async with self._context.store.read() as session:
            # A branch of the repository's own may have had the commit built before its pull request was opened.
            at_head = (Preview.repository_id == build.repository_id, Preview.head_sha == build.sha)
            pulls = select(Preview).where(*at_head, Preview.kind == "pull").order_by(Preview.live.desc(), Preview.id)
            preview = (await session.scalars(pulls.limit(1))).first()
            base_sha = (preview.facts or {}).get("base_sha") if preview else None
            if not isinstance(base_sha, str):
                return None
            base = await last_passed(session, build.repository_id, base_sha, run.path)
            if base is not None:
                base.executed = await executed_of(session, base.id)
                session.expunge(base)
        return base

    async def _page(
        self,
        build: Build,
        repository: Repository,
        run: NotebookRun,
        look: Callable[[], list[CellView]],
        *,
        is_changes: bool = False,
    ) -> Response:
        has_base = is_changes or await self._base(build, run) is not None
        link = start_again(repository, build.sha)

        def text() -> str:
            return page_text(
                "notebook.html",
                new_nonce(),
                build=build,
                link=link,
                run=run,
                outcome=word_of_outcome(run.outcome),
                took="" if run.seconds is None else words_of_time(run.seconds),
                fault=run.fault or {},
                cells=look(),
                is_changes=is_changes,
                has_base=has_base,
            )

        # It may take a second, which nobody else shall wait for.
        async with self._rendering:
            return HTMLResponse(await asyncio.to_thread(text), 200, dict(HEADERS))
