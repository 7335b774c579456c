"""What deployments, their statuses and environments look like from outside."""

from urllib.parse import quote

from githubapp.sandbox.app_payloads import app
from githubapp.sandbox.payloads import iso, node_id, repository_url, user
from githubapp.sandbox.state import State
from githubapp.sandbox.values import Deployment, DeploymentStatus, Environment, Json, Repository


def _url(state: State, value: Deployment) -> str:
    return f"{repository_url(state, state.repositories[value.repository_id])}/deployments/{value.id}"


def _writer(state: State, app_id: int | None) -> Json | None:
    writer = state.apps.get(app_id or 0)
    return app(state, writer) if writer else None


def deployment(state: State, value: Deployment) -> Json:
    """A `deployment`."""
    changed = value.statuses[-1].created_at if value.statuses else value.created_at
    return {
        "url": _url(state, value),
        "id": value.id,
        "node_id": node_id("Deployment", value.id),
        "sha": value.sha,
        "ref": value.ref,
        "task": value.task,
        "payload": value.payload,
        "original_environment": value.original_environment,
        "environment": value.environment,
        "description": value.description,
        "creator": user(state, value.creator),
        "created_at": iso(value.created_at),
        "updated_at": iso(changed),
        "statuses_url": f"{_url(state, value)}/statuses",
        "repository_url": repository_url(state, state.repositories[value.repository_id]),
        "transient_environment": value.transient,
        "production_environment": value.production,
        "performed_via_github_app": _writer(state, value.app_id),
    }


def deployment_status(state: State, of: Deployment, value: DeploymentStatus) -> Json:
    """A `deployment-status`."""
    return {
        "url": f"{_url(state, of)}/statuses/{value.id}",
        "id": value.id,
        "node_id": node_id("DeploymentStatus", value.id),
        "state": value.state,
        "creator": user(state, value.creator),
        "description": value.description,
        "environment": value.environment,
        "target_url": value.log_url,
        "log_url": value.log_url,
        "environment_url": value.environment_url,
        "created_at": iso(value.created_at),
        "updated_at": iso(value.created_at),
        "deployment_url": _url(state, of),
        "repository_url": repository_url(state, state.repositories[of.repository_id]),
        "performed_via_github_app": _writer(state, value.app_id),
    }


def environment(state: State, repo: Repository, value: Environment) -> Json:
    """An `environment` without any rules, as it is when a deployment has made it."""
    return {
        "id": value.id,
        "node_id": node_id("Environment", value.id),
        "name": value.name,
        "url": f"{repository_url(state, repo)}/environments/{quote(value.name, safe='')}",
        "html_url": f"{state.url}/{repo.full_name}/deployments/activity_log?environment={quote(value.name, safe='')}",
        "created_at": iso(value.created_at),
        "updated_at": iso(value.created_at),
        "protection_rules": [],
        "deployment_branch_policy": None,
    }
