"""An App about itself: its JWT, installations, tokens and deliveries."""

import asyncio
import time
from collections.abc import Mapping

import jwt
import pytest
from github import GithubException

from githubapp.sandbox.installations import mint_token
from githubapp.sandbox.values import Installation
from tests.githubapp.sandbox.conftest import Rest, Stage


def _claims(stage: Stage) -> dict[str, object]:
    now = int(time.time())
    return {"iat": now - 60, "exp": now + 300, "iss": str(stage.app.app_id)}


def _jwt(stage: Stage) -> str:
    return jwt.encode(_claims(stage), stage.app.private_key_pem, algorithm="RS256")


async def test_an_app_finds_itself_and_its_installation_by_repository(stage: Stage) -> None:
    def look() -> None:
        with stage.as_app() as integration:
            assert integration.get_app().slug == "binder"
            (installation,) = integration.get_installations()
            assert integration.get_repo_installation("ada", "demo").id == installation.id
            assert installation.raw_data["repository_selection"] == "selected"
            assert [repository.full_name for repository in installation.get_repos()] == ["ada/demo"]

    await asyncio.to_thread(look)


async def test_an_app_sees_the_installation_of_a_private_repository(stage: Stage, rest: Rest) -> None:
    await stage.sandbox.set_private("ada/demo", private=True)
    answer = await rest("GET", "/repos/ada/demo/installation", token=_jwt(stage))
    assert answer.status_code == 200


async def test_a_wrong_jwt_is_refused(stage: Stage, rest: Rest) -> None:
    wrong: list[tuple[dict[str, object], str]] = [
        ({"exp": 1}, "must be a numeric value representing the future time"),
        ({"exp": int(time.time()) + 3600}, "too far in the future"),
        ({"iat": int(time.time()) + 3600}, "'Issued at' claim"),
        ({"iat": None}, "Missing 'issued at'"),
        ({"exp": None}, "Missing 'expiration time'"),
        ({"iss": "999999"}, "could not be decoded"),
        ({"iss": "no number"}, "could not be decoded"),
    ]
    for claims, message in wrong:
        token = jwt.encode({**_claims(stage), **claims}, stage.app.private_key_pem, algorithm="RS256")
        answer = await rest("GET", "/app", token=token)
        assert (answer.status_code, message in answer.json()["message"]) == (401, True), claims


async def test_a_jwt_of_another_key_is_refused(stage: Stage, rest: Rest) -> None:
    other = await stage.sandbox.create_app(webhook_url="", webhook_secret="x", owner="bob", slug="other")
    token = jwt.encode(_claims(stage), other.private_key_pem, algorithm="RS256")
    answer = await rest("GET", "/app", token=token)
    assert answer.status_code == 401


async def test_a_jwt_without_a_signature_is_refused(stage: Stage, rest: Rest) -> None:
    answer = await rest("GET", "/app", token=jwt.encode(_claims(stage), "", algorithm="none"))
    assert answer.status_code == 401


async def test_each_door_has_its_own_key(stage: Stage, rest: Rest) -> None:
    token = await asyncio.to_thread(stage.installation_token)
    assert (await rest("GET", "/app", token=token)).status_code == 401
    assert (await rest("GET", "/installation/repositories", token=_jwt(stage))).status_code == 403
    assert (await rest("GET", "/repos/ada/demo", token=_jwt(stage))).status_code == 403
    assert (await rest("GET", "/repos/ada/demo", token="ghs_unknown")).status_code == 401


async def test_a_token_is_long_and_lives_an_hour(stage: Stage, rest: Rest) -> None:
    (installation,) = stage.sandbox.world.state.installations
    answer = await rest("POST", f"/app/installations/{installation}/access_tokens", token=_jwt(stage))
    assert answer.status_code == 201
    body = answer.json()
    assert len(body["token"]) > 100
    assert body["token"].count(".") == 2
    assert body["permissions"]["statuses"] == "write"


async def test_a_token_can_be_narrowed_to_repositories_and_permissions(stage: Stage, rest: Rest) -> None:
    await stage.sandbox.create_repository("ada/second", private=True)
    await stage.sandbox.install(stage.app.app_id, account="ada", repositories=["ada/second"])
    (installation,) = stage.sandbox.world.state.installations
    state = stage.sandbox.world.state
    second = state.repository("ada", "second")
    assert second
    asked = {"repository_ids": [second.id], "permissions": {"contents": "read"}}
    path = f"/app/installations/{installation}/access_tokens"
    body = (await rest("POST", path, token=_jwt(stage), json=asked)).json()
    assert [one["full_name"] for one in body["repositories"]] == ["ada/second"]
    assert (await rest("GET", "/repos/ada/second", token=body["token"])).status_code == 200
    listed = (await rest("GET", "/installation/repositories", token=body["token"])).json()
    assert listed["total_count"] == 1
    refused = await rest("GET", "/repos/ada/second/pulls", token=body["token"])
    assert (refused.status_code, refused.json()["message"]) == (403, "Resource not accessible by integration")


async def test_a_token_cannot_be_widened(stage: Stage, rest: Rest) -> None:
    (installation,) = stage.sandbox.world.state.installations
    path = f"/app/installations/{installation}/access_tokens"
    wider: list[dict[str, object]] = [
        {"repository_ids": [1]},
        {"repository_ids": ["x"]},
        {"repositories": ["nothing"]},
        {"repository_ids": "all"},
        {"permissions": {"administration": "write"}},
        {"permissions": {"issues": "write"}},
        {"permissions": "all"},
    ]
    for asked in wider:
        assert (await rest("POST", path, token=_jwt(stage), json=asked)).status_code == 422, asked


async def test_a_suspended_installation_has_no_tokens(stage: Stage, rest: Rest) -> None:
    token = await asyncio.to_thread(stage.installation_token)
    await stage.sandbox.set_suspended(stage.app.app_id, account="ada", suspended=True)
    assert (await rest("GET", "/repos/ada/demo", token=token)).status_code == 401
    (installation,) = stage.sandbox.world.state.installations
    path = f"/app/installations/{installation}/access_tokens"
    assert (await rest("POST", path, token=_jwt(stage))).status_code == 403
    await stage.sandbox.set_suspended(stage.app.app_id, account="ada", suspended=False)
    assert (await rest("GET", "/repos/ada/demo", token=token)).status_code == 200
    assert (await stage.heard())[-2:] == ["installation.suspend", "installation.unsuspend"]


async def test_failed_deliveries_are_listed_and_redelivered_under_the_same_guid(stage: Stage, rest: Rest) -> None:
    stage.receiver.status = 500
    await stage.push("Second")
    await stage.sandbox.settled()
    listed = (await rest("GET", "/app/hook/deliveries?status=failure", token=_jwt(stage))).json()
    assert [one["event"] for one in listed] == ["push"]
    stage.receiver.status = 202
    again = await rest("POST", f"/app/hook/deliveries/{listed[0]['id']}/attempts", token=_jwt(stage))
    assert again.status_code == 202
    await stage.sandbox.settled()
    newest = (await rest("GET", "/app/hook/deliveries?per_page=1", token=_jwt(stage))).json()[0]
    assert (newest["guid"], newest["redelivery"], newest["status_code"]) == (listed[0]["guid"], True, 202)
    first, second = stage.receiver.received
    assert (first.guid, first.body) == (second.guid, second.body)
    detail = (await rest("GET", f"/app/hook/deliveries/{newest['id']}", token=_jwt(stage))).json()
    assert detail["request"]["payload"]["ref"] == "refs/heads/main"
    assert detail["response"]["payload"] == "noted"


async def test_deliveries_are_paged_by_a_cursor(stage: Stage, rest: Rest) -> None:
    for message in ("Second", "Third"):
        await stage.push(message)
    await stage.sandbox.settled()
    everything = [delivery.id for delivery in await stage.sandbox.deliveries(app_id=stage.app.app_id)]
    found: list[int] = []
    path = "/app/hook/deliveries?per_page=2"
    while path:
        answer = await rest("GET", path, token=_jwt(stage))
        found += [one["id"] for one in answer.json()]
        path = answer.links.get("next", {}).get("url", "").removeprefix(stage.sandbox.api_url)
    assert found == everything
    assert len(found) > 4


async def test_a_wrong_question_for_deliveries_is_refused(stage: Stage, rest: Rest) -> None:
    for query in ("cursor=nonsense", "cursor=v1_x", "status=perhaps"):
        assert (await rest("GET", f"/app/hook/deliveries?{query}", token=_jwt(stage))).status_code == 422, query


async def test_a_missing_permission_is_pygithubs_403(stage: Stage) -> None:
    def write() -> None:
        with stage.as_installation(contents="read", metadata="read") as client:
            client.get_repo("ada/demo").get_commit(stage.first_sha).create_status("success")

    with pytest.raises(GithubException) as caught:
        await asyncio.to_thread(write)
    assert caught.value.status == 403


async def test_installations_and_their_repositories_come_in_pages(stage: Stage, rest: Rest) -> None:
    await stage.sandbox.create_repository("ada/second")
    await stage.sandbox.install(stage.app.app_id, account="ada", repositories=["ada/second"])
    await stage.sandbox.create_repository("bob/his")
    await stage.sandbox.install(stage.app.app_id, account="bob")
    first = await rest("GET", "/app/installations?per_page=1", token=_jwt(stage))
    second = await rest("GET", first.links["next"]["url"].removeprefix(stage.sandbox.api_url), token=_jwt(stage))
    assert [answer.json()[0]["account"]["login"] for answer in (first, second)] == ["ada", "bob"]
    assert [answer.json()[0]["repository_selection"] for answer in (first, second)] == ["selected", "all"]
    token = mint_token(stage.sandbox.world, *_installed(stage, "ada")).value
    listed = await rest("GET", "/installation/repositories?per_page=1&page=2", token=token)
    assert (listed.json()["total_count"], listed.json()["repositories"][0]["full_name"]) == (2, "ada/second")
    assert set(listed.links) == {"prev", "first"}


def _installed(stage: Stage, account: str) -> tuple[Installation, frozenset[int] | None, Mapping[str, str]]:
    installed = stage.sandbox.world.state.installation(stage.app.app_id, account)
    assert installed
    return installed, installed.repository_ids, installed.permissions
