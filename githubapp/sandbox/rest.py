"""The REST interface under `/api/v3`: what all of its calls have in common.

Owns who may call what, and the form of refusals. The calls themselves are the tables of rules in the `rest_…` modules;
bodies are `rest_bodies`, pages `rest_lists`, the rate limit `budget`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from githubapp.sandbox.access import Actor, Refusal, actor_from_header, may, may_see, not_accessible, not_found
from githubapp.sandbox.budget import Budget
from githubapp.sandbox.names import is_owner, is_repository
from githubapp.sandbox.payloads import api
from githubapp.sandbox.rest_bodies import json_object
from githubapp.sandbox.state import State
from githubapp.sandbox.values import App, Json, Level, PullRequest, Repository
from githubapp.sandbox.world import World


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
    if repository and rule.needs and rule.level == "write" and repository.archived:
        raise Refusal(403, "Repository was archived so is read-only.")
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
