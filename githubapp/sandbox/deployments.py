"""What happens to deployments: made, moved on, and made inactive by the next one.

Owns the rules under which GitHub makes one, and the environments that appear with them. The words of the calls are
`rest_deployments`.

Source: https://docs.github.com/en/rest/deployments/deployments
"""

from collections.abc import Sequence
from dataclasses import replace

from githubapp.sandbox.access import Refusal
from githubapp.sandbox.values import Deployment, DeploymentStatus, Environment, Json, Repository
from githubapp.sandbox.world import World


def check_contexts(world: World, repository: Repository, ref: str, sha: str, required: Sequence[str] | None) -> None:
    """Everything that was said about the commit must be good, or (None asks for all) what is `required`.

    Raises: Refusal 409.
    """
    states: dict[str, str] = {one.context: one.state for one in world.state.latest_statuses(repository, sha)}
    states |= {run.name: run.conclusion or run.status for run in world.state.latest_check_runs(repository, sha)}
    wanted = list(states) if required is None else list(required)
    good = {"success", "neutral", "skipped"}
    contexts: list[Json] = [{"context": one, "state": states.get(one, "pending")} for one in wanted]
    if any(states.get(one) not in good for one in wanted):
        error: Json = {"contexts": contexts, "resource": "Deployment", "field": "required_contexts", "code": "invalid"}
        raise Refusal(409, f"Conflict: Commit status checks failed for {ref}.", errors=[error])


async def is_behind(world: World, repository: Repository, ref: str, sha: str) -> bool:
    """Whether GitHub would first merge the default branch into `ref`: it does so to branches only."""
    heads = await world.git.refs(repository.id, "refs/heads")
    tip = heads.get(f"refs/heads/{repository.default_branch}")
    if tip is None or heads.get(f"refs/heads/{ref}") != sha:
        return False
    return not await world.git.is_ancestor(repository.id, tip, sha)


def store(world: World, deployment: Deployment) -> Deployment:
    """Keep a deployment; its environment is made if it is not there yet."""
    world.state.deployments[deployment.id] = deployment
    _make_environment(world, deployment)
    world.state.changed()
    return deployment


def _make_environment(world: World, deployment: Deployment) -> None:
    place = (deployment.repository_id, deployment.environment)
    if place not in world.state.environments:
        made = Environment(world.state.next_large_id(), *place, created_at=world.state.now())
        world.state.environments[place] = made


def add_status(world: World, deployment: Deployment, status: DeploymentStatus, *, auto_inactive: bool) -> Deployment:
    """Move a deployment on, to another environment too if the status names one.

    A success makes earlier ones inactive, where they were successes in the same environment, if `auto_inactive`; those
    of transient and of production environments stay as they are.
    """
    if status.state == "success" and auto_inactive:
        for earlier in _earlier_successes(world, deployment, status.environment):
            ended = replace(status, id=world.state.next_large_id(), state="inactive")
            store(world, replace(earlier, statuses=(*earlier.statuses, ended)))
    moved = replace(deployment, environment=status.environment, statuses=(*deployment.statuses, status))
    return store(world, moved)


def _earlier_successes(world: World, deployment: Deployment, environment: str) -> list[Deployment]:
    repository = world.state.repositories[deployment.repository_id]
    return [
        one
        for one in world.state.deployments_of(repository)
        if one.id < deployment.id
        and (one.environment, one.state) == (environment, "success")
        and not (one.transient or one.production)
    ]
