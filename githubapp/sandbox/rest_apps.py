"""The REST calls of an App about itself: its installations, tokens and deliveries, and what a token reaches.

Source: https://docs.github.com/en/rest/apps
"""

from starlette.responses import JSONResponse, Response

from githubapp.sandbox import app_payloads, payloads
from githubapp.sandbox.access import Refusal, not_found, token_covers
from githubapp.sandbox.budget import Budget
from githubapp.sandbox.installations import mint_token
from githubapp.sandbox.rest import Call, Rule
from githubapp.sandbox.rest_lists import page, page_size, page_url
from githubapp.sandbox.values import Delivery, Installation, Json

_CURSOR_PREFIX = "v1_"
_OUTSIDE = "There is at least one repository that does not exist or is not accessible to the parent installation."


async def get_app(call: Call) -> Response:
    return JSONResponse(app_payloads.app(call.state, call.app))


async def list_installations(call: Call) -> Response:
    found = [one for one in call.state.installations.values() if one.app_id == call.app.id]
    shown, headers = page(call, found)
    return JSONResponse([app_payloads.installation(call.state, one) for one in shown], headers=headers)


def _installation(call: Call) -> Installation:
    found = call.state.installations.get(call.number("installation_id"))
    if found is None or found.app_id != call.app.id:
        raise not_found()
    return found


async def get_installation(call: Call) -> Response:
    return JSONResponse(app_payloads.installation(call.state, _installation(call)))


async def get_repository_installation(call: Call) -> Response:
    """Which installation covers a repository: what a delivery without one leads to."""
    installed = call.state.installation(call.app.id, call.repository.owner)
    if installed is None or not call.state.covers(installed, call.repository):
        raise not_found()
    return JSONResponse(app_payloads.installation(call.state, installed))


async def create_token(call: Call) -> Response:
    """A token that may do no more than the installation, and less if it is asked for less."""
    installed = _installation(call)
    if installed.suspended_at:
        raise Refusal(403, "This installation has been suspended")
    chosen = _chosen_repositories(call, installed)
    token = mint_token(call.world, installed, chosen, _chosen_permissions(call, installed))
    return JSONResponse(app_payloads.installation_token(call.state, token), 201)


def _chosen_repositories(call: Call, installed: Installation) -> frozenset[int] | None:
    covered = call.state.installed_repositories(installed)
    by_name = {repository.name.lower(): repository.id for repository in covered}
    names, numbers = call.body.get("repositories"), call.body.get("repository_ids")
    if names is None and numbers is None:
        return installed.repository_ids
    if not isinstance(names, list | None) or not isinstance(numbers, list | None):
        raise Refusal(422, "repositories and repository_ids must be arrays")
    asked = {by_name.get(str(name).lower()) for name in names or ()} | set(map(_number, numbers or ()))
    chosen = frozenset(number for number in asked if number is not None)
    if None in asked or not chosen <= set(by_name.values()):
        raise Refusal(422, _OUTSIDE)
    return chosen


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _chosen_permissions(call: Call, installed: Installation) -> dict[str, str]:
    """What the token may do: an empty object asks for everything, as PyGithub does."""
    asked = call.body.get("permissions")
    if not asked:
        return dict(installed.permissions)
    rank = {None: 0, "read": 1, "write": 2, "admin": 3}
    if not isinstance(asked, dict) or not all(isinstance(level, str) and level in rank for level in asked.values()):
        raise Refusal(422, "permissions must map a name to a level")
    if any(rank[level] > rank[installed.permissions.get(name)] for name, level in asked.items()):
        raise Refusal(422, "The permissions requested are not granted to this installation.")
    return {"metadata": "read", **asked}


async def list_installation_repositories(call: Call) -> Response:
    token = call.actor.token
    found = [one for one in call.state.repositories.values() if token and token_covers(call.state, token, one)]
    shown, headers = page(call, found)
    shapes = [payloads.repository(call.state, one) for one in shown]
    selection = "all" if token and token.repository_ids is None else "selected"
    body: Json = {"total_count": len(found), "repository_selection": selection, "repositories": shapes}
    return JSONResponse(body, headers=headers)


async def list_deliveries(call: Call) -> Response:
    """The newest first, by a cursor: a page that is asked for later is not moved by what came in between."""
    wanted = call.request.query_params.get("status")
    if wanted not in {None, "success", "failure"}:
        raise Refusal(422, "status must be success or failure")
    found = [one for one in call.world.deliveries.newest_first(call.app.id) if wanted in {None, _outcome(one)}]
    older = [one for one in found if one.id <= _cursor(call)]
    size = page_size(call)
    headers = {}
    if len(older) > size:
        headers["link"] = f'<{page_url(call, cursor=f"{_CURSOR_PREFIX}{older[size].id}")}>; rel="next"'
    return JSONResponse([app_payloads.delivery_item(one) for one in older[:size]], headers=headers)


def _outcome(delivery: Delivery) -> str:
    return "success" if delivery.ok else "failure"


def _cursor(call: Call) -> float:
    """The number of the newest delivery to show; without a cursor there is no such limit.

    Raises: Refusal 422.
    """
    cursor = call.request.query_params.get("cursor")
    if cursor is None:
        return float("inf")
    number = cursor.removeprefix(_CURSOR_PREFIX)
    if not cursor.startswith(_CURSOR_PREFIX) or not number.isascii() or not number.isdigit():
        raise Refusal(422, "cursor is not one that was given out")
    return int(number)


def _delivery(call: Call) -> Delivery:
    found = call.world.deliveries.get(call.number("delivery_id"))
    if found is None or found.app_id != call.app.id:
        raise not_found()
    return found


async def get_delivery(call: Call) -> Response:
    return JSONResponse(app_payloads.delivery(call.state, _delivery(call)))


async def redeliver(call: Call) -> Response:
    call.world.deliveries.redeliver(_delivery(call))
    return JSONResponse({}, 202)


def rules(budget: Budget) -> list[Rule]:
    """The calls of this module; the rate limit is read from `budget`."""

    async def rate_limit(call: Call) -> Response:
        rate = budget.rate(call.actor)
        return JSONResponse(
            {"resources": {"core": rate, "search": {**rate, "limit": 30, "remaining": 30}}, "rate": rate}
        )

    return [
        Rule("GET", "/app", get_app, who="app"),
        Rule("GET", "/app/installations", list_installations, who="app"),
        Rule("GET", "/app/installations/{installation_id:int}", get_installation, who="app"),
        Rule("POST", "/app/installations/{installation_id:int}/access_tokens", create_token, who="app"),
        Rule("GET", "/app/hook/deliveries", list_deliveries, who="app"),
        Rule("GET", "/app/hook/deliveries/{delivery_id:int}", get_delivery, who="app"),
        Rule("POST", "/app/hook/deliveries/{delivery_id:int}/attempts", redeliver, who="app"),
        Rule("GET", "/repos/{owner}/{repo}/installation", get_repository_installation, who="app"),
        Rule("GET", "/installation/repositories", list_installation_repositories, who="installation"),
        Rule("GET", "/rate_limit", rate_limit),
    ]
