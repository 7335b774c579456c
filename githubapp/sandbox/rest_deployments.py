"""The REST calls about deployments, their statuses and environments.

Source: https://docs.github.com/en/rest/deployments
"""

from starlette.responses import JSONResponse, Response

from githubapp.sandbox import deployment_payloads, deployments
from githubapp.sandbox.access import Refusal, not_found
from githubapp.sandbox.rest import Call, Rule
from githubapp.sandbox.rest_bodies import flag, invalid, one_of, short_text_or_none, text, url_or_none
from githubapp.sandbox.rest_lists import page
from githubapp.sandbox.rest_repositories import resolve
from githubapp.sandbox.values import DEPLOYMENT_STATES, Deployment, DeploymentStatus, Json

LONGEST_DESCRIPTION_CHARACTERS = 140
_LONGEST_ENVIRONMENT_CHARACTERS = 255


async def create_deployment(call: Call) -> Response:
    """What is not said is the dangerous one of two: all contexts are required, and the default branch is merged.

    The merge itself is only announced here: that no deployment comes of it is what a caller has to see.
    """
    ref = text(call.body, "ref", "Deployment")
    sha = await resolve(call.world, call.repository, ref)
    if sha is None:
        raise Refusal(422, f"No ref found for: {ref}")
    deployment = _deployment(call, ref, sha)
    auto_merge = flag(call.body, "auto_merge", "Deployment", default=True)
    if auto_merge and await deployments.is_behind(call.world, call.repository, ref, sha):
        merged = f"Auto-merged {call.repository.default_branch} into {ref} on deployment."
        return JSONResponse({"message": merged}, 202)
    deployments.check_contexts(call.world, call.repository, ref, sha, _required_contexts(call))
    shape = deployment_payloads.deployment(call.state, deployments.store(call.world, deployment))
    return JSONResponse(shape, 201, {"location": str(shape["url"])})


def _deployment(call: Call, ref: str, sha: str) -> Deployment:
    environment, writer = _environment(call, "production"), call.writing_app
    production = flag(call.body, "production_environment", "Deployment", default=environment == "production")
    return Deployment(
        id=call.state.next_large_id(),
        repository_id=call.repository.id,
        sha=sha,
        ref=ref,
        task=text(call.body, "task", "Deployment", default="deploy"),
        payload=_payload(call),
        original_environment=environment,
        environment=environment,
        description=_description(call, "Deployment"),
        transient=flag(call.body, "transient_environment", "Deployment", default=False),
        production=production,
        creator=call.login,
        app_id=writer.id if writer else None,
        created_at=call.state.now(),
    )


def _environment(call: Call, default: str) -> str:
    name = text(call.body, "environment", "Deployment", default=default)
    if not 0 < len(name) <= _LONGEST_ENVIRONMENT_CHARACTERS:
        raise invalid("Deployment", "environment", "invalid")
    return name


def _payload(call: Call) -> Json | str:
    payload = call.body.get("payload", "")
    if not isinstance(payload, dict | str):
        raise invalid("Deployment", "payload", "invalid")
    return payload


def _description(call: Call, resource: str) -> str | None:
    return short_text_or_none(call.body, "description", resource, longest=LONGEST_DESCRIPTION_CHARACTERS)


def _required_contexts(call: Call) -> list[str] | None:
    required = call.body.get("required_contexts")
    if required is not None and not (isinstance(required, list) and all(isinstance(one, str) for one in required)):
        raise invalid("Deployment", "required_contexts", "invalid")
    return required


def _found(call: Call) -> Deployment:
    found = call.state.deployments.get(call.number("deployment_id"))
    if found is None or found.repository_id != call.repository.id:
        raise not_found()
    return found


async def get_deployment(call: Call) -> Response:
    return JSONResponse(deployment_payloads.deployment(call.state, _found(call)))


async def list_deployments(call: Call) -> Response:
    query = call.request.query_params
    found = [
        one
        for one in call.state.deployments_of(call.repository, query.get("sha"))
        if query.get("ref") in {None, one.ref}
        and query.get("task") in {None, one.task}
        and query.get("environment") in {None, one.environment}
    ]
    shown, headers = page(call, found)
    return JSONResponse([deployment_payloads.deployment(call.state, one) for one in shown], headers=headers)


async def create_status(call: Call) -> Response:
    deployment, writer = _found(call), call.writing_app
    log_url = url_or_none(call.body, "log_url", "DeploymentStatus")
    status = DeploymentStatus(
        id=call.state.next_large_id(),
        state=one_of(call.body, "state", "DeploymentStatus", DEPLOYMENT_STATES),
        creator=call.login,
        app_id=writer.id if writer else None,
        description=_description(call, "DeploymentStatus") or "",
        environment=_environment(call, deployment.environment),
        environment_url=url_or_none(call.body, "environment_url", "DeploymentStatus") or "",
        log_url=log_url or url_or_none(call.body, "target_url", "DeploymentStatus") or "",
        created_at=call.state.now(),
    )
    auto_inactive = flag(call.body, "auto_inactive", "DeploymentStatus", default=True)
    moved = deployments.add_status(call.world, deployment, status, auto_inactive=auto_inactive)
    shape = deployment_payloads.deployment_status(call.state, moved, status)
    return JSONResponse(shape, 201, {"location": str(shape["url"])})


async def list_statuses(call: Call) -> Response:
    deployment = _found(call)
    shown, headers = page(call, deployment.statuses[::-1])
    shapes = [deployment_payloads.deployment_status(call.state, deployment, one) for one in shown]
    return JSONResponse(shapes, headers=headers)


async def list_environments(call: Call) -> Response:
    found = [one for one in call.state.environments.values() if one.repository_id == call.repository.id]
    shown, headers = page(call, found)
    shapes = [deployment_payloads.environment(call.state, call.repository, one) for one in shown]
    return JSONResponse({"total_count": len(found), "environments": shapes}, headers=headers)


_HERE = "/repos/{owner}/{repo}"
_ONE = f"{_HERE}/deployments/{{deployment_id:int}}"

RULES = [
    Rule("POST", f"{_HERE}/deployments", create_deployment, ("deployments",)),
    Rule("GET", f"{_HERE}/deployments", list_deployments, ("deployments",)),
    Rule("GET", _ONE, get_deployment, ("deployments",)),
    Rule("POST", f"{_ONE}/statuses", create_status, ("deployments",)),
    Rule("GET", f"{_ONE}/statuses", list_statuses, ("deployments",)),
    Rule("GET", f"{_HERE}/environments", list_environments, ("actions",)),
]
