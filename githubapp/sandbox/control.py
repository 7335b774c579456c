"""The control surface over HTTP: the methods of `Sandbox` under `/sandbox/`, for people, tests and the demo.

Owns the table of addresses. The arguments of a method are the JSON body's (for GET the query's) and the path's names,
checked against the method's own annotations; its result is answered as JSON.
"""

import inspect
from collections.abc import Awaitable, Callable

from pydantic import ValidationError, validate_call
from pydantic_core import to_jsonable_python
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from githubapp.sandbox.access import Refusal
from githubapp.sandbox.rest_bodies import json_object
from githubapp.sandbox.sandbox import Sandbox

_REPOSITORY = "/repositories/{full_name:path}"
_PULL = f"{_REPOSITORY}/pulls/{{number:int}}"
_RUN = f"{_REPOSITORY}/check-runs/{{check_run_id:int}}"

ADDRESSES = {
    ("POST", "/users"): "create_user",
    ("POST", "/apps"): "create_app",
    ("PUT", "/apps/{app_id:int}/webhook"): "set_webhook",
    ("PUT", "/apps/{app_id:int}/permissions"): "set_permissions",
    ("PUT", "/apps/{app_id:int}/installations/{account}/permissions"): "accept_permissions",
    ("POST", "/apps/{app_id:int}/installations"): "install",
    ("DELETE", "/apps/{app_id:int}/installations/{account}"): "uninstall",
    ("PUT", "/apps/{app_id:int}/installations/{account}/suspended"): "set_suspended",
    ("DELETE", "/apps/{app_id:int}/sign-ins/{login}"): "revoke_sign_in",
    ("POST", "/repositories"): "create_repository",
    ("POST", f"{_REPOSITORY}/forks"): "fork",
    ("PUT", f"{_REPOSITORY}/name"): "rename_repository",
    ("PUT", f"{_REPOSITORY}/private"): "set_private",
    ("PUT", f"{_REPOSITORY}/archived"): "set_archived",
    ("PUT", f"{_REPOSITORY}/default-branch"): "set_default_branch",
    ("PUT", f"{_REPOSITORY}/owner"): "transfer_repository",
    ("DELETE", _REPOSITORY): "delete_repository",
    ("PUT", f"{_REPOSITORY}/collaborators/{{login}}"): "set_role",
    ("GET", f"{_REPOSITORY}/statuses/{{sha}}"): "statuses",
    ("GET", f"{_REPOSITORY}/statuses/{{sha}}/wait"): "wait_for_status",
    ("GET", f"{_REPOSITORY}/checks/{{sha}}"): "check_runs",
    ("GET", f"{_REPOSITORY}/checks/{{sha}}/wait"): "wait_for_check",
    ("POST", f"{_REPOSITORY}/checks/{{sha}}/rerequest"): "rerequest_suite",
    ("POST", f"{_RUN}/rerequest"): "rerequest",
    ("POST", f"{_RUN}/buttons/{{identifier}}"): "press_button",
    ("GET", f"{_REPOSITORY}/deployments/{{sha}}"): "deployments",
    ("GET", f"{_REPOSITORY}/deployments/{{sha}}/wait"): "wait_for_deployment",
    ("POST", f"{_REPOSITORY}/actions/tokens"): "actions_token",
    ("POST", f"{_REPOSITORY}/pulls"): "open_pull_request",
    ("PATCH", _PULL): "edit_pull_request",
    ("POST", f"{_PULL}/close"): "close_pull_request",
    ("POST", f"{_PULL}/reopen"): "reopen_pull_request",
    ("PUT", f"{_PULL}/draft"): "set_draft",
    ("PUT", f"{_PULL}/labels/{{label}}"): "set_label",
    ("POST", f"{_PULL}/comments"): "comment",
    ("PATCH", "/comments/{comment_id:int}"): "edit_comment",
    ("DELETE", "/comments/{comment_id:int}"): "delete_comment",
    ("GET", "/deliveries"): "deliveries",
    ("POST", "/deliveries/{delivery_id:int}/attempts"): "redeliver",
    ("GET", "/settled"): "settled",
    ("POST", "/faults"): "add_fault",
    ("GET", "/faults"): "faults",
    ("DELETE", "/faults"): "clear_faults",
}
_LISTS = frozenset({"states", "statuses"})


def routes(sandbox: Sandbox) -> list[BaseRoute]:
    """One route for each address."""
    return [
        Route(f"/sandbox{path}", _endpoint(getattr(sandbox, name)), methods=[method])
        for (method, path), name in ADDRESSES.items()
    ]


def _endpoint(action: Callable[..., Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
    checked = validate_call(action)
    names = set(inspect.signature(action).parameters)

    async def endpoint(request: Request) -> Response:
        try:
            arguments = {**await _arguments(request), **request.path_params}
            unknown = sorted(arguments.keys() - names)
            if unknown:
                return _refusal(422, f"Unknown: {', '.join(unknown)}")
            result = await checked(**arguments)
        except ValidationError as error:
            return _refusal(422, "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()))
        except Refusal as refusal:
            return JSONResponse(refusal.body(), refusal.status)
        except TimeoutError:
            return _refusal(408, "It did not happen within the time given")
        return Response(status_code=204) if result is None else JSONResponse(to_jsonable_python(result))

    return endpoint


async def _arguments(request: Request) -> dict[str, object]:
    """What the caller gave, but for what the path says.

    Raises: Refusal 415, for a body that is not declared as JSON: that keeps other sites' pages, which a browser lets
    send forms and plain text anywhere, from giving orders here.
    """
    if request.method == "GET":
        query = request.query_params
        return {name: query.getlist(name) if name in _LISTS else query[name] for name in query}
    body = await json_object(request)
    if request.method != "DELETE" and request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise Refusal(415, "Content-Type must be application/json")
    return body


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status)
