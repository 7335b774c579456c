"""The identity of a job, checked as its receiver would."""

import asyncio
from typing import Any

import httpx
import jwt
import pytest

from githubapp.sandbox.access import Refusal
from tests.githubapp.sandbox.conftest import Stage

_AUDIENCE = "https://binder.example.org"


async def _checked(stage: Stage, browser: httpx.AsyncClient, token: str) -> dict[str, Any]:
    issuer = f"{stage.sandbox.url}/_services/token"
    found = (await browser.get(f"{issuer}/.well-known/openid-configuration")).json()
    assert (found["issuer"], found["id_token_signing_alg_values_supported"]) == (issuer, ["RS256"])
    keys = jwt.PyJWKSet.from_dict((await browser.get(found["jwks_uri"])).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    required = ["exp", "nbf", "iat", "jti", "sub"]
    options: Any = {"require": required}
    return jwt.decode(token, key, algorithms=["RS256"], audience=_AUDIENCE, issuer=issuer, options=options)


async def test_a_job_proves_where_it_runs(stage: Stage, browser: httpx.AsyncClient) -> None:
    token = await stage.sandbox.actions_token("ada/demo", audience=_AUDIENCE)
    claims = await _checked(stage, browser, token)
    repository = stage.sandbox.world.repository("ada/demo")
    assert (claims["repository"], claims["repository_id"]) == ("ada/demo", str(repository.id))
    assert claims["repository_owner_id"] == str(stage.sandbox.world.account("ada").id)
    assert (claims["sha"], claims["ref"], claims["event_name"]) == (stage.first_sha, "refs/heads/main", "push")
    assert claims["sub"] == "repo:ada/demo:ref:refs/heads/main"
    assert claims["job_workflow_ref"] == "ada/demo/.github/workflows/ci.yml@refs/heads/main"
    assert claims["exp"] - claims["iat"] == 300
    again = await _checked(stage, browser, await stage.sandbox.actions_token("ada/demo", audience=_AUDIENCE))
    assert again["jti"] != claims["jti"]


async def test_a_job_of_a_pull_request(stage: Stage, browser: httpx.AsyncClient) -> None:
    token = await stage.sandbox.actions_token(
        "ada/demo", audience=_AUDIENCE, event="pull_request", ref="refs/pull/1/merge", sha=stage.first_sha, actor="bob",
        head_ref="topic", base_ref="main",
    )  # fmt: skip
    claims = await _checked(stage, browser, token)
    assert (claims["sub"], claims["head_ref"], claims["actor"]) == ("repo:ada/demo:pull_request", "topic", "bob")


async def test_what_github_would_never_sign(stage: Stage, browser: httpx.AsyncClient) -> None:
    for wrong in ({"aud": "other"}, {"exp": 1}, {"iss": "https://elsewhere.example.org"}):
        token = await stage.sandbox.actions_token("ada/demo", audience=_AUDIENCE, claims=dict(wrong))
        with pytest.raises(jwt.InvalidTokenError):
            await _checked(stage, browser, token)
    with pytest.raises(Refusal):
        await stage.sandbox.actions_token("ada/demo", audience=_AUDIENCE, ref="refs/heads/missing")


async def test_all_jobs_of_a_moment_are_signed_with_one_key(stage: Stage) -> None:
    asked = (stage.sandbox.actions_token("ada/demo", audience=_AUDIENCE) for _ in range(4))
    tokens = await asyncio.gather(*asked)
    assert len({jwt.get_unverified_header(token)["kid"] for token in tokens}) == 1
