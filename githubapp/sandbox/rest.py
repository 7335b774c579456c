"""The REST interface under `/api/v3`: what all of its calls have in common.

Owns who may call what, the rate limit's headers, pages with their `Link`s, the reading of bodies and the form of
refusals. The calls themselves are the tables of rules in the `rest_…` modules.
"""

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from githubapp.sandbox.access import Actor, Refusal, actor_from_header, may, may_see, not_accessible, not_found
from githubapp.sandbox.names import is_owner, is_repository
from githubapp.sandbox.payloads import api
from githubapp.sandbox.state import State
from githubapp.sandbox.values import App, Json, Level, PullRequest, Repository
from githubapp.sandbox.world import World

T = TypeVar("T")

LARGEST_BODY_BYTES = 1024 * 1024
REQUESTS_PER_HOUR = 5000

_LARGEST_PAGE = 100
_WINDOW_SECONDS = 3600


@dataclass(frozen=True)
class Call:
    """One call that may be made: by whom, about what, with which body."""

    world: World
    actor: Actor
    request: Request
    body: Json
    _about: Repository | None = None

    @property
    def state(self) -> State:
        return self.world.state

    @property
    def repository(self) -> Repository:
        """What the path names; only the rules with `{owner}/{repo}` have one."""
        assert self._about is not None  # noqa: S101 - the table of rules says so
        return self._about

    @property
    def app(self) -> App:
        """The App that signed the call; only the rules for `who="app"` have one."""
        assert self.actor.app is not None  # noqa: S101 - the table of rules says so
        return self.actor.app

    @property
    def login(self) -> str:
        """The name under which a change is made."""
        if self.actor.account:
            return self.actor.account.login
        writer = self.writing_app
        return writer.bot if writer else "ghost"

    @property
    def writing_app(self) -> App | None:
        """The App whose installation's token this is."""
        if self.actor.token is None:
            return None
        return self.state.apps[self.state.installations[self.actor.token.installation_id].app_id]

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    def number(self, name: str) -> int:
        return int(self.request.path_params[name])

    def pull(self, name: str) -> PullRequest:
        """Raises: Refusal 404."""
        return self.world.pull(self.repository, self.number(name))


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True)
class Rule:
    """A call: `needs` holds the permissions of which one is enough, for calls about a repository."""

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    handler: Handler
    needs: tuple[str, ...] = ()
    who: Literal["anybody", "app", "installation"] = "anybody"

    @property
    def level(self) -> Level:
        return "read" if self.method == "GET" else "write"


@dataclass
class Budget:
    """How many requests each caller has made in the hour that runs; exceeding it refuses them.

    Source: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
    """

    limit: int = REQUESTS_PER_HOUR
    _used: dict[tuple[str, int], int] = field(default_factory=dict)

    def spend(self, actor: Actor) -> None:
        window = int(time.time()) // _WINDOW_SECONDS
        for key in [key for key in self._used if key[1] != window]:
            del self._used[key]
        self._used[actor.key, window] = self._used.get((actor.key, window), 0) + 1

    def rate(self, actor: Actor) -> dict[str, int]:
        window = int(time.time()) // _WINDOW_SECONDS
        used = self._used.get((actor.key, window), 0)
        remaining = max(0, self.limit - used)
        return {"limit": self.limit, "used": used, "remaining": remaining, "reset": (window + 1) * _WINDOW_SECONDS}

    def headers(self, actor: Actor) -> dict[str, str]:
        rate = {f"x-ratelimit-{name}": str(value) for name, value in self.rate(actor).items()}
        return {**rate, "x-ratelimit-resource": "core"}

    def is_spent(self, actor: Actor) -> bool:
        rate = self.rate(actor)
        return rate["used"] > rate["limit"]


def routes(rules: Sequence[Rule], world: World, budget: Budget) -> list[BaseRoute]:
    """The routes of a table of rules; what holds for a repository by name holds by number, as redirects need it."""
    found: list[BaseRoute] = []
    for rule in rules:
        paths = [rule.path]
        if "{owner}/{repo}" in rule.path:
            paths.append(rule.path.replace("/repos/{owner}/{repo}", "/repositories/{repository_id:int}"))
        endpoint = _endpoint(rule, world, budget)
        found += [Route(f"/api/v3{path}", endpoint, methods=[rule.method]) for path in paths]
    return found


def _endpoint(rule: Rule, world: World, budget: Budget) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        actor = Actor()
        try:
            actor = actor_from_header(world.state, request.headers.get("authorization"))
            response = await _within_budget(rule, world, budget, actor, request)
        except Refusal as refusal:
            response = JSONResponse(refusal.body(), refusal.status, refusal.headers)
        response.headers.update({**budget.headers(actor), "x-github-media-type": "github.v3; format=json"})
        return response

    return endpoint


async def _within_budget(rule: Rule, world: World, budget: Budget, actor: Actor, request: Request) -> Response:
    """Asking how much is left costs nothing.

    Raises: Refusal.
    """
    if rule.path != "/rate_limit":
        budget.spend(actor)
        if budget.is_spent(actor):
            raise Refusal(403, "API rate limit exceeded for installation.")
    return await _answer(rule, world, actor, request)


async def _answer(rule: Rule, world: World, actor: Actor, request: Request) -> Response:
    _check_caller(rule, actor)
    repository = _repository(world, request)
    if repository and not may_see(world.state, actor, repository):
        raise not_found()
    if repository and "owner" in request.path_params and not _is_current(repository, request):
        return _moved(world.state, repository, request)
    if (
        repository
        and rule.needs
        and not any(may(world.state, actor, repository, permission, rule.level) for permission in rule.needs)
    ):
        raise not_accessible() if actor.token else _anonymous_refusal(actor)
    body = {} if rule.method in {"GET", "DELETE"} else await json_object(request)
    return await rule.handler(Call(world, actor, request, body, repository))


def _anonymous_refusal(actor: Actor) -> Refusal:
    return Refusal(401, "Requires authentication") if actor.is_anonymous else Refusal(403, "Must have push access")


def _check_caller(rule: Rule, actor: Actor) -> None:
    """Each door has its own key: a JWT opens the App's calls and no others.

    Raises: Refusal.
    """
    if rule.who == "app" and not actor.app:
        raise Refusal(401, "A JSON web token could not be decoded")
    if rule.who == "installation" and not actor.token:
        raise Refusal(403, "You must authenticate with an installation access token in order to do this.")
    if rule.who == "anybody" and actor.app:
        raise not_accessible()


def _repository(world: World, request: Request) -> Repository | None:
    """The repository that the path names, if it names one at all; also by a name that it once had.

    Raises: Refusal 404.
    """
    parameters = request.path_params
    found: Repository | None = None
    if "repository_id" in parameters:
        found = world.state.repositories.get(parameters["repository_id"])
    elif "owner" in parameters:
        owner, name = parameters["owner"], parameters["repo"]
        if is_owner(owner) and is_repository(name):
            found = world.state.repository(owner, name) or world.state.repository_once_named(owner, name)
    else:
        return None
    if found is None:
        raise not_found()
    return found


def _is_current(repository: Repository, request: Request) -> bool:
    parameters = request.path_params
    return repository.full_name.lower() == f"{parameters['owner']}/{parameters['repo']}".lower()


def _moved(state: State, repository: Repository, request: Request) -> Response:
    """A renamed repository's old address leads to its number; only a GET may be repeated without thinking.

    Source: https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
    """
    rest = request.url.path.split("/", 6)[6:]
    query = f"?{request.url.query}" if request.url.query else ""
    url = api(state, "/".join([f"/repositories/{repository.id}", *rest])) + query
    status = 301 if request.method == "GET" else 307
    moved = "Moved Permanently" if status == 301 else "Temporary Redirect"
    return JSONResponse({**Refusal(status, moved).body(), "url": url}, status, {"location": url})


async def json_object(request: Request) -> Json:
    """The JSON object of a request, `{}` where it has none.

    Raises: Refusal 400 or 413.
    """
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST_BODY_BYTES:
            raise Refusal(413, "Payload too large")
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise Refusal(400, "Problems parsing JSON") from None
    if not isinstance(body, dict):
        raise Refusal(400, "Body should be a JSON object")
    return body


def text(body: Json, name: str, resource: str, *, default: str | None = None) -> str:
    """A string of the body.

    Raises: Refusal 422, where it is missing and has no default, or is no string.
    """
    value = body.get(name, default)
    if isinstance(value, str):
        return value
    raise invalid(resource, name, "missing_field" if value is None else "invalid")


def text_or_none(body: Json, name: str, resource: str) -> str | None:
    """A string of the body, None where it is missing or null.

    Raises: Refusal 422.
    """
    return None if body.get(name) is None else text(body, name, resource)


def invalid(resource: str, name: str, code: str, message: str | None = None) -> Refusal:
    """GitHub's validation error for one field."""
    error: Json = {"resource": resource, "field": name, "code": code}
    return Refusal(422, "Validation Failed", errors=[error if message is None else {**error, "message": message}])


def page(call: Call, items: Sequence[T]) -> tuple[Sequence[T], dict[str, str]]:
    """The part of `items` that is asked for, and the `Link` header to the others.

    Source: https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
    """
    size = min(_LARGEST_PAGE, max(1, _query_number(call, "per_page", 30)))
    number = max(1, _query_number(call, "page", 1))
    last = max(1, -(-len(items) // size))
    places: dict[str, int] = {}
    if number > 1:
        places |= {"prev": min(number - 1, last), "first": 1}
    if number < last:
        places |= {"next": number + 1, "last": last}
    links = ", ".join(f'<{page_url(call, page=str(place))}>; rel="{name}"' for name, place in places.items())
    return items[(number - 1) * size : number * size], {"link": links} if links else {}


def page_url(call: Call, **changed: str) -> str:
    """The address of this call with other query parameters."""
    query = {**call.request.query_params, **changed}
    return f"{call.state.url}{call.request.url.path}?{urlencode(query)}"


def _query_number(call: Call, name: str, default: int) -> int:
    value = call.request.query_params.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else default


def page_size(call: Call) -> int:
    """How many items a page holds, where pages are counted by a cursor."""
    return min(_LARGEST_PAGE, max(1, _query_number(call, "per_page", 30)))
