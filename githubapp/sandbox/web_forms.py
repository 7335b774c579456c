"""What is sent from the forms on the pages of commits and pull requests.

Owns the way from a form to what it does, and back to the page that it stood on. Nobody signs in: a form says who acts.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from githubapp.sandbox import checks, pull_requests
from githubapp.sandbox.access import Refusal
from githubapp.sandbox.pages import form_endpoint, refuse_other_sites
from githubapp.sandbox.rest_bodies import form
from githubapp.sandbox.values import CheckRun, PullRequest, Repository
from githubapp.sandbox.world import World

_Deed = Callable[[World, Request, dict[str, str]], Awaitable[str]]


def routes(world: World) -> list[BaseRoute]:
    """One address for each form."""
    run, pull = "/{owner}/{name}/runs/{number:int}", "/{owner}/{name}/pull/{number:int}"
    deeds: dict[str, _Deed] = {
        f"{run}/rerequest": _rerequest,
        f"{run}/buttons": _press,
        f"{pull}/comments": _comment,
        f"{pull}/state": _set_state,
    }
    return [Route(path, form_endpoint(world, _done(deed)), methods=["POST"]) for path, deed in deeds.items()]


def _done(deed: _Deed) -> Callable[[World, Request], Awaitable[Response]]:
    """Do it, and lead back to the page that the form stood on."""

    async def page(world: World, request: Request) -> Response:
        refuse_other_sites(request)
        back = await deed(world, request, await form(request))
        return RedirectResponse(back, 303)

    return page


def _repository(world: World, request: Request) -> Repository:
    return world.repository(f"{request.path_params['owner']}/{request.path_params['name']}")


def _login(world: World, sent: dict[str, str]) -> str:
    return world.account(sent.get("login", "")).login


def _run(world: World, request: Request) -> CheckRun:
    found = world.state.check_runs.get(request.path_params["number"])
    if found is None or found.repository_id != _repository(world, request).id:
        raise Refusal(404, "There is no such check run here.")
    return found


def _page_of(world: World, run: CheckRun) -> str:
    return f"/{world.state.repositories[run.repository_id].full_name}/commit/{run.sha}"


async def _rerequest(world: World, request: Request, sent: dict[str, str]) -> str:
    run = _run(world, request)
    checks.rerequest(world, run, _login(world, sent))
    return _back(sent, _page_of(world, run))


async def _press(world: World, request: Request, sent: dict[str, str]) -> str:
    run = _run(world, request)
    checks.press_button(world, run, sent.get("identifier", ""), _login(world, sent))
    return _back(sent, _page_of(world, run))


def _back(sent: dict[str, str], page: str) -> str:
    """The page of the pull request, where the form says that it stood there."""
    number = sent.get("pull", "")
    return f"{page.rpartition('/commit/')[0]}/pull/{int(number)}" if number.isascii() and number.isdigit() else page


def _pull(world: World, request: Request) -> PullRequest:
    return world.pull(_repository(world, request), request.path_params["number"])


async def _comment(world: World, request: Request, sent: dict[str, str]) -> str:
    pull = _pull(world, request)
    pull_requests.add_comment(world, pull, _login(world, sent), sent.get("body", ""))
    return request.url.path.removesuffix("/comments")


async def _set_state(world: World, request: Request, sent: dict[str, str]) -> str:
    pull, login = _pull(world, request), _login(world, sent)
    match sent.get("state"):
        case "closed":
            await pull_requests.close_pull_request(world, pull, login)
        case "open":
            await pull_requests.reopen_pull_request(world, pull, login)
        case "ready":
            await pull_requests.set_draft(world, pull, login, draft=False)
        case _:
            raise Refusal(422, "A pull request is closed, opened or made ready.")
    return request.url.path.removesuffix("/state")
