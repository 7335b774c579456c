"""The part of the control surface that is about jobs of GitHub Actions: the tokens that they prove themselves with."""

import asyncio

from githubapp.sandbox import oidc
from githubapp.sandbox.access import Refusal
from githubapp.sandbox.rest_repositories import resolve
from githubapp.sandbox.surface import Surface


class ActionsSurface(Surface):
    """GitHub Actions, as far as somebody outside of it sees them."""

    async def actions_token(
        self,
        full_name: str,
        *,
        audience: str,
        sha: str | None = None,
        ref: str | None = None,
        event: str = "push",
        actor: str | None = None,
        workflow: str = "ci.yml",
        head_ref: str = "",
        base_ref: str = "",
        claims: dict[str, object] | None = None,
    ) -> str:
        """The identity of a job, as a JWT: of the default branch's tip if nothing else is said.

        `claims` replaces some of them, for what GitHub would never sign.
        """
        repository = self.world.repository(full_name)
        ref = ref or f"refs/heads/{repository.default_branch}"
        sha = sha or await resolve(self.world, repository, ref)
        if sha is None:
            raise Refusal(422, f"No commit found for the ref {ref}")
        job = oidc.Job(repository, sha, ref, event, self._sender(actor, repository), workflow, head_ref, base_ref)
        said = {**oidc.claims(self.world.state, job, audience), **(claims or {})}
        return await asyncio.to_thread(self.world.actions_key.signed, said)
