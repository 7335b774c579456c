"""What a job of GitHub Actions proves itself with: the issuer's pages, and tokens with GitHub's claims.

The issuer lies where GitHub Enterprise Server has it. The key is `signing`; which jobs there are is
said by whoever asks.

Source: https://docs.github.com/en/actions/reference/security/oidc
"""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from githubapp.sandbox.state import State
from githubapp.sandbox.values import Json, Repository
from githubapp.sandbox.world import World

_ISSUER = "/_services/token"
# As GitHub's own example has them.
_VALID_BEFORE = timedelta(minutes=10)
_VALID_AFTER = timedelta(minutes=5)


@dataclass(frozen=True)
class Job:
    """A job of a workflow: for which commit it runs, and why."""

    repository: Repository
    sha: str
    ref: str
    event: str
    actor: str
    workflow: str
    head_ref: str = ""
    base_ref: str = ""


def issuer(state: State) -> str:
    return f"{state.url}{_ISSUER}"


def claims(state: State, job: Job, audience: str) -> Json:
    """All that GitHub says of a job; every number is a text."""
    repository, now = job.repository, state.now()
    workflow = f"{repository.full_name}/.github/workflows/{job.workflow}@{job.ref}"
    owner, actor = state.account(repository.owner), state.account(job.actor)
    run = str(state.next_large_id())
    subject = "pull_request" if job.event == "pull_request" else f"ref:{job.ref}"
    return {
        "jti": str(uuid.uuid4()),
        "sub": f"repo:{repository.full_name}:{subject}",
        "aud": audience,
        "ref": job.ref,
        "sha": job.sha,
        "repository": repository.full_name,
        "repository_owner": repository.owner,
        "repository_owner_id": str(owner.id if owner else 0),
        "run_id": run,
        "run_number": "1",
        "run_attempt": "1",
        "repository_visibility": "private" if repository.private else "public",
        "repository_id": str(repository.id),
        "actor_id": str(actor.id if actor else 0),
        "actor": job.actor,
        "workflow": job.workflow,
        "head_ref": job.head_ref,
        "base_ref": job.base_ref,
        "event_name": job.event,
        "ref_protected": "false",
        "ref_type": "tag" if job.ref.startswith("refs/tags/") else "branch",
        "workflow_ref": workflow,
        "workflow_sha": job.sha,
        "job_workflow_ref": workflow,
        "job_workflow_sha": job.sha,
        "runner_environment": "github-hosted",
        "iss": issuer(state),
        "nbf": int((now - _VALID_BEFORE).timestamp()),
        "exp": int((now + _VALID_AFTER).timestamp()),
        "iat": int(now.timestamp()),
    }


def routes(world: World) -> list[BaseRoute]:
    """What a verifier fetches: where the keys are, and the keys."""

    async def configuration(_request: Request) -> Response:
        here = issuer(world.state)
        named = ["sub", "aud", "exp", "iat", "iss", "jti", "nbf", "ref", "sha", "repository", "repository_id"]
        return JSONResponse(
            {
                "issuer": here,
                "jwks_uri": f"{here}/.well-known/jwks",
                "subject_types_supported": ["public", "pairwise"],
                "response_types_supported": ["id_token"],
                "claims_supported": named,
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid"],
            }
        )

    async def keys(_request: Request) -> Response:
        return JSONResponse({"keys": [await asyncio.to_thread(lambda: world.actions_key.public_jwk)]})

    return [
        Route(f"{_ISSUER}/.well-known/openid-configuration", configuration),
        Route(f"{_ISSUER}/.well-known/jwks", keys),
    ]
