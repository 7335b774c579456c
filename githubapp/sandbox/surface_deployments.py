"""The part of the control surface that is about deployments: looking at them and waiting for them."""

from collections.abc import Sequence

from githubapp.sandbox.surface import Surface, limited
from githubapp.sandbox.values import Deployment, DeploymentState


class DeploymentSurface(Surface):
    """Deployments, as people meet them."""

    async def deployments(self, full_name: str, *, sha: str) -> list[Deployment]:
        """All deployments of a commit with their statuses, newest first."""
        return self.world.state.deployments_of(self.world.repository(full_name), sha)

    async def wait_for_deployment(
        self,
        full_name: str,
        *,
        sha: str,
        environment: str,
        states: Sequence[DeploymentState] = ("success", "failure", "error"),
        timeout_seconds: float = 30.0,
    ) -> Deployment:
        """The newest deployment of `sha` to an environment, as soon as it is in one of `states`.

        Raises: TimeoutError.
        """
        repository = self.world.repository(full_name)

        def find() -> Deployment | None:
            found = self.world.state.deployments_of(repository, sha)
            newest = next((one for one in found if one.environment == environment), None)
            return newest if newest and newest.state in states else None

        return await self.world.state.until(find, limited(timeout_seconds))
