"""`/api/action/…`: what the GitHub Action asks of this service, as JSON.

A job proves itself once, with a token that GitHub signed for this service, and has a build from then on: it follows it,
and may give it up, by what it was given then. Who has no such token, as jobs for forks' pull requests, may ask how a
commit of a public repository stands, which starts nothing. What follows is `proxy.job_builds`' to do.
"""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from binder.errors import VisitorFault
from binder.names import is_inside, is_repository, is_sha
from binder.notebook_checks import MOST_NOTEBOOKS
from binder.store.build_logs import StoredLog
from proxy.build_logs import PIECE_BYTES, read_part, whole_size_of
from proxy.context import ProxyContext
from proxy.faults import NotProvenError
from proxy.job_builds import Followed, JobBuilds, Tokens
from proxy.job_facts import build_told, notebooks_told
from proxy.json_answers import answered, answering, asked_in
from proxy.visible import number_of

_LONGEST_PATH = 1000


class ActionApi:
    """Answers jobs of workflows."""

    def __init__(self, context: ProxyContext, tokens: Tokens) -> None:
        self._store = context.store
        self._settings = context.settings
        self._tokens = tokens
        self._builds = JobBuilds(context)

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route("/api/action/builds", answering(self.start), methods=["POST"]),
            Route("/api/action/build", answering(self.follow), methods=["GET"]),
            Route("/api/action/build", answering(self.leave), methods=["DELETE"]),
            Route("/api/action/commits/{owner}/{name}/{sha}", answering(self.public), methods=["GET"]),
        ]

    async def start(self, request: Request) -> Response:
        """Have a commit of the job's repository built, or find that it is; with what its build is followed by."""
        brought = _brought(request)
        body = await asked_in(request, {"sha": str, "verify": list})
        sha = body.get("sha") or ""
        if not is_sha(sha):
            raise VisitorFault("“sha” must be the 40 digits of a commit, in lower case.")
        notebooks = _notebooks(body.get("verify") or [])
        try:
            job = await self._tokens.check(brought)
        except VisitorFault as error:
            raise NotProvenError(error.message) from error
        followed, followed_by = await self._builds.start(job, sha, notebooks)
        return answered({"build": self._told(followed), "follow": followed_by})

    async def follow(self, request: Request) -> Response:
        """Say how far the build is, with the lines of its log from the byte `from` on."""
        return await self._with_log(request, await self._builds.follow(_brought(request)))

    async def leave(self, request: Request) -> Response:
        """Have the build end with the job, if nobody else needs it; say why it goes on, else."""
        goes_on = await self._builds.leave(_brought(request))
        return answered({"cancelled": goes_on is None, "why": goes_on})

    async def public(self, request: Request) -> Response:
        """Say how a commit of a public repository stands, as `follow` does, and why it is not built."""
        owner, name, sha = (request.path_params[part] for part in ("owner", "name", "sha"))
        if not is_repository(owner, name) or not is_sha(sha):
            raise VisitorFault("Ask for /api/action/commits/OWNER/NAME/SHA, with the 40 digits of the commit.")
        followed, why = await self._builds.public(owner, name, sha)
        if followed is None:
            return answered({"build": None, "why": why, "notebooks": [], "lines": [], "next": 0, "is_over": False})
        return await self._with_log(request, followed)

    async def _with_log(self, request: Request, followed: Followed) -> Response:
        build, offset = followed.build, number_of(request.query_params.get("from")) or 0
        log = StoredLog(self._store, build.id)
        end = await whole_size_of(log, 2 * self._settings.build_log_bytes)
        lines, following = await read_part(log, offset, most_bytes=PIECE_BYTES, end=end)
        told = {
            "build": self._told(followed),
            "why": None,
            "notebooks": notebooks_told(followed.runs, self._settings),
            "lines": lines,
            "next": following,
            "is_over": followed.is_over and following >= end,
        }
        return answered(told)

    def _told(self, followed: Followed) -> dict[str, Any]:
        return build_told(followed.build, followed.repository, self._settings, was_there=followed.was_there)


def _notebooks(listed: list[object]) -> Sequence[str]:
    """Return the notebooks that a job wants to see run.

    Raises: VisitorFault.
    """
    paths = [one for one in listed if isinstance(one, str) and is_inside(one) and one.endswith(".ipynb")]
    if len(paths) < len(listed) or len(paths) > MOST_NOTEBOOKS or any(len(path) > _LONGEST_PATH for path in paths):
        raise VisitorFault(f"“verify” must be a list of at most {MOST_NOTEBOOKS} notebooks, by their paths: a.ipynb")
    return list(dict.fromkeys(paths))


def _brought(request: Request) -> str:
    """Return the token that a request brings.

    Raises: NotProvenError.
    """
    kind, _, brought = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not brought:
        raise NotProvenError("Bring the token that GitHub gives to jobs with “permissions: id-token: write”.")
    return brought.strip()
