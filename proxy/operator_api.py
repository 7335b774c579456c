"""`/api/…`: what `binder` on another machine asks of this service, as JSON, with an operator's token.

Without one there is nothing at these addresses. What is asked for is `proxy.operating`'s to do; the words are those of
the commands' `--json` (`binder.listing`).
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from binder import __version__
from binder.errors import VisitorFault
from binder.lifecycle import BuildState, is_final
from binder.listing import QUERIES, Asked, Kind
from binder.plain_text import plain_lines
from binder.session_resources import Resources
from binder.settings import Settings
from binder.store import Store
from binder.store.api_tokens import is_good_token
from binder.store.build_logs import StoredLog
from binder.store.tables import Build, utc_now
from deploy.rendering import rendered
from modules.bound import from_json
from modules.catalogue import Catalogue
from proxy.build_logs import PIECE_BYTES, read_part, whole_size_of
from proxy.claims import image_of
from proxy.deployments import Deployment, modules_of
from proxy.event_streams import asked_offset
from proxy.json_answers import HEADERS, Handler, answered, answering, asked_in, fault
from proxy.operating import Operating
from proxy.operator_modules import modules_told
from proxy.operator_stories import story_told
from proxy.operator_views import EngineViews
from proxy.visible import number_of

_LARGEST_NUMBER = 2**31

CatalogueOf = Callable[[], Catalogue]
"""Returns the modules of the service: read when they are asked for."""


class OperatorApi:
    """Answers operators' programs."""

    def __init__(
        self, store: Store, settings: Settings, operating: Operating, views: EngineViews, catalogue: CatalogueOf
    ) -> None:
        self._store = store
        self._settings = settings
        self._operating = operating
        self._views = views
        self._catalogue = catalogue

    def routes(self, *, is_open: bool = False) -> list[BaseRoute]:
        """Return the routes; `is_open` where nobody else can reach them, so that no token is asked for."""
        handlers: Mapping[str, tuple[str, Handler]] = {
            "/api/about": ("GET", self.about),
            "/api/lists/{kind}": ("GET", self.listed),
            "/api/cluster": ("GET", self.cluster),
            "/api/why": ("GET", self.why),
            "/api/modules": ("GET", self.modules),
            "/api/builds": ("POST", self.build),
            "/api/builds/{number}": ("GET", self.one_build),
            "/api/builds/{number}/log": ("GET", self.log),
            "/api/sessions": ("POST", self.deploy),
            "/api/sessions/{session}": ("GET", self.one_session),
            "/api/sessions/{session}/log": ("GET", self.session_log),
            "/api/stop": ("POST", self.stop),
            "/api/render": ("POST", self.render),
        }
        return [
            Route(path, answering(handler if is_open else self._for_operators(handler)), methods=[method])
            for path, (method, handler) in handlers.items()
        ]

    def _for_operators(self, handler: Handler) -> Handler:
        async def asked(request: Request) -> Response:
            if not await self._is_operator(request):
                return JSONResponse(
                    fault("visitor", "There is nothing at this address for who has no token of an operator's."),
                    401,
                    HEADERS | {"WWW-Authenticate": "Bearer"},
                )
            return await handler(request)

        return asked

    async def _is_operator(self, request: Request) -> bool:
        kind, _, brought = request.headers.get("authorization", "").partition(" ")
        wanted = self._settings.api_token.get_secret_value()
        if kind.lower() != "bearer" or not brought:
            return False
        if wanted and secrets.compare_digest(brought.encode(), wanted.encode()):
            return True
        async with self._store.read() as session:
            return await is_good_token(session, brought, utc_now())

    async def about(self, _: Request) -> Response:
        """Say what answers here."""
        return answered({"version": __version__, "url": self._settings.url, "engine": self._settings.engine})

    async def listed(self, request: Request) -> Response:
        """List binders, builds or sessions."""
        kind = request.path_params["kind"]
        if kind not in QUERIES:
            raise VisitorFault(f"There is no list {kind[:60]!r}: there are {', '.join(QUERIES)}.")
        query = request.query_params
        asked = Asked(query.get("repository", ""), query.get("all") == "1", number_of(query.get("limit")) or 100)
        return answered({"items": await self._operating.listed(cast("Kind", kind), asked)})

    async def cluster(self, _: Request) -> Response:
        """Say what sessions run on."""
        return answered(await self._operating.capacity(await self._views.nodes()))

    async def why(self, request: Request) -> Response:
        """Tell what happened to a commit."""
        query = request.query_params
        return answered(await story_told(self._store, query.get("commit", ""), query.get("repository")))

    async def modules(self, _: Request) -> Response:
        """List the modules that may be asked for."""
        return answered({"items": modules_told(await asyncio.to_thread(self._catalogue))})

    async def build(self, request: Request) -> Response:
        """Have a commit built, or all live previews' heads; with the builds, some of which may be done."""
        body = await asked_in(request, {"repository": str, "ref": str, "all": bool, "again": bool})
        again = bool(body.get("again"))
        if body.get("all"):
            builds = await self._operating.build_all(again=again)
        else:
            builds = [await self._operating.build(await self._commit(body), again=again)]
        return answered({"builds": [await self._operating.build_row(one.id) for one in builds]})

    async def _commit(self, body: Mapping[str, Any]) -> Any:
        if not body.get("repository"):
            raise VisitorFault("Say of which repository: “repository” is OWNER/NAME, or an address.")
        return await self._operating.commit(body["repository"], body.get("ref") or "HEAD")

    async def one_build(self, request: Request) -> Response:
        """Say how far a build is."""
        return answered(await self._operating.build_row(_number(request)))

    async def log(self, request: Request) -> Response:
        """Give a part of a build's log from the byte `from` on; `Next-Offset` says where the next one begins."""
        build = await self._operating.build_row(_number(request))
        log, offset = StoredLog(self._store, build["build"]), asked_offset(request) or 0
        end = await whole_size_of(log, 2 * self._settings.build_log_bytes)
        lines, following = await read_part(log, offset, most_bytes=PIECE_BYTES, end=end)
        is_over = is_final(BuildState(build["state"])) and following >= end
        headers = HEADERS | {"Next-Offset": str(following), "Is-Over": str(int(is_over)), "State": build["state"]}
        return PlainTextResponse("".join(f"{line}\n" for line in lines), headers=headers)

    async def deploy(self, request: Request) -> Response:
        """Start a session of a commit that is built; else have it built, and say so: then it is asked for again."""
        body = await asked_in(request, {"repository": str, "ref": str, "mode": str, "parameters": dict})
        commit = await self._commit(body)
        build = await self._operating.built(commit)
        if build is None:
            queued = await self._operating.build(commit, again=False)
            return answered({"build": await self._operating.build_row(queued.id), "session": None})
        modules = modules_of(build.result or {}, _deployment(body), self._catalogue())
        row = await self._operating.deploy(build, modules)
        return answered(
            {
                "build": await self._operating.build_row(build.id),
                "session": await self._operating.session_row(row.id),
            }
        )

    async def render(self, request: Request) -> Response:
        """Give the manifests that a session of a build would be started with, without their secrets."""
        known = {"build": int, "repository": str, "ref": str, "engine": str, "mode": str, "parameters": dict}
        body = await asked_in(request, known)
        build = await self._chosen_build(body)
        result, engine = build.result or {}, body.get("engine") or self._settings.engine
        if engine not in {"podman", "kubernetes"}:
            raise VisitorFault("An engine is “podman” or “kubernetes”.")
        modules = from_json(modules_of(result, _deployment(body), self._catalogue()))
        resources = Resources(**result.get("resources", {}))
        image, instance = image_of(build) or "", await self._store.instance()
        made = await asyncio.to_thread(rendered, self._settings, instance, image, resources, modules, engine)
        return answered({"build": build.id, "engine": engine, "manifests": made})

    async def _chosen_build(self, body: Mapping[str, Any]) -> Build:
        """Return the build that a request names, or that there is of the commit that it names.

        Raises: VisitorFault, where no session of it can be started.
        """
        if body.get("build") is not None:
            async with self._store.read() as session:
                build = await session.get(Build, body["build"]) if body["build"] < _LARGEST_NUMBER else None
            if build and build.state is BuildState.SUCCEEDED and image_of(build):
                return build
            raise VisitorFault(f"There is no build {body['build']} with an image.")
        commit = await self._commit(body)
        build = await self._operating.built(commit)
        if build is None:
            raise VisitorFault(
                f"Commit {commit.sha[:7]} is not built: `binder build {body['repository']} --ref {commit.sha}` does it."
            )
        return build

    async def one_session(self, request: Request) -> Response:
        """Say how far a session is; with its link, once a deployed one is open."""
        return answered(await self._operating.session_row(request.path_params["session"]))

    async def session_log(self, request: Request) -> Response:
        """Give the last lines of a session's notebook server, or of a service of it."""
        row = await self._operating.session_row(request.path_params["session"])
        if service := request.query_params.get("service", ""):
            await self._operating.check_service(row["session"], service)
        text = plain_lines(await self._views.log_of(row["session"], service))
        return PlainTextResponse(text, headers=HEADERS | {"State": row["state"]})

    async def stop(self, request: Request) -> Response:
        """End a session, those that nobody uses, or all; or say which those are."""
        body = await asked_in(request, {"session": str, "inactive_minutes": (int, float), "all": bool, "dry_run": bool})
        minutes = body.get("inactive_minutes")
        if sum((bool(body.get("session")), minutes is not None, bool(body.get("all")))) != 1:
            raise VisitorFault("Say one of “session”, “inactive_minutes” and “all”.")
        unused_for = None if minutes is None else timedelta(minutes=min(max(0.0, minutes), 1e6))
        stopped = await self._operating.stop(
            body.get("session"), utc_now(), unused_for=unused_for, dry_run=bool(body.get("dry_run"))
        )
        return answered({"sessions": stopped})


def _deployment(body: Mapping[str, Any]) -> Deployment:
    parameters = {str(name): str(value) for name, value in (body.get("parameters") or {}).items()}
    return Deployment(body.get("mode"), parameters)


def _number(request: Request) -> int:
    number = number_of(request.path_params["number"])
    if number is None:
        raise VisitorFault("There is no such build.")
    return number
