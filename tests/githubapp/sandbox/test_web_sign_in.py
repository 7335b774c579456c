"""People who sign in through an App, from the page to what their token reaches."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from githubapp.sandbox.oauth import challenge_of
from githubapp.sandbox.sandbox import CreatedApp
from tests.githubapp.sandbox.conftest import Rest, Stage

_BACK = "http://127.0.0.1:9/sign-in"
_VERIFIER = "v" * 43


def test_the_example_of_pkces_own_text() -> None:
    """Source: https://www.rfc-editor.org/rfc/rfc7636#appendix-B"""
    challenge = challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@dataclass(frozen=True)
class SignIn:
    """An App's side of it."""

    app: CreatedApp
    browser: httpx.AsyncClient

    async def agree(self, login: str = "bob", answer: str = "yes", **more: str) -> dict[str, list[str]]:
        """What the person is sent back with."""
        sent = {"client_id": self.app.client_id, "redirect_uri": _BACK, "state": "s", **more}
        page = await self.browser.get("/login/oauth/authorize", params=sent)
        assert page.status_code == 200
        assert "form-action 'self' http://127.0.0.1:9" in page.headers["content-security-policy"]
        done = await self.browser.post("/login/oauth/authorize", data={**sent, "login": login, "answer": answer})
        assert done.status_code == 302
        there = urlsplit(done.headers["location"])
        assert there.path == "/sign-in"
        return parse_qs(there.query)

    async def ask(self, **sent: str) -> dict[str, Any]:
        """What is answered to a request for a token."""
        keys = {"client_id": self.app.client_id, "client_secret": self.app.client_secret}
        answer = await self.browser.post(
            "/login/oauth/access_token", data={**keys, **sent}, headers={"accept": "application/json"}
        )
        assert answer.status_code == 200
        told: dict[str, Any] = answer.json()
        return told

    async def token(self, login: str = "bob") -> str:
        code = (await self.agree(login))["code"][0]
        return str((await self.ask(code=code))["access_token"])


@pytest.fixture
async def sign_in(stage: Stage, browser: httpx.AsyncClient) -> SignIn:
    app = await stage.sandbox.create_app(
        webhook_url=stage.receiver.url,
        webhook_secret="x",
        owner="ada",
        slug="doorman",
        permissions={"metadata": "read", "contents": "read"},
        callback_urls=[_BACK],
    )
    return SignIn(app, browser)


async def test_a_person_signs_in(sign_in: SignIn, rest: Rest) -> None:
    challenge = {"code_challenge": challenge_of(_VERIFIER), "code_challenge_method": "S256"}
    back = await sign_in.agree(**challenge)
    assert back["state"] == ["s"]
    told = await sign_in.ask(code=back["code"][0], redirect_uri=_BACK, code_verifier=_VERIFIER)
    assert (told["token_type"], told["scope"], told["expires_in"]) == ("bearer", "", 28800)
    user = (await rest("GET", "/user", token=told["access_token"])).json()
    assert (user["login"], user["type"]) == ("bob", "User")
    assert (await sign_in.ask(code=back["code"][0]))["error"] == "bad_verification_code", "a code is good once"


async def test_a_token_ends_and_is_followed_by_another(stage: Stage, sign_in: SignIn, rest: Rest) -> None:
    told = await sign_in.ask(code=(await sign_in.agree())["code"][0])
    tokens = stage.sandbox.world.state.user_tokens
    old = tokens[told["access_token"]]
    tokens[old.value] = replace(old, expires_at=old.expires_at - timedelta(hours=8))
    assert (await rest("GET", "/user", token=old.value)).status_code == 401
    new = await sign_in.ask(grant_type="refresh_token", refresh_token=told["refresh_token"])
    assert (await rest("GET", "/user", token=new["access_token"])).json()["login"] == "bob"
    again = await sign_in.ask(grant_type="refresh_token", refresh_token=told["refresh_token"])
    assert again["error"] == "bad_refresh_token", "it is good once"


async def test_wrong_requests_for_a_token(stage: Stage, sign_in: SignIn) -> None:
    challenge = {"code_challenge": challenge_of(_VERIFIER), "code_challenge_method": "S256"}
    wrong: list[tuple[dict[str, str], str]] = [
        ({"client_secret": "x"}, "incorrect_client_credentials"),
        ({"client_id": "x"}, "incorrect_client_credentials"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"code": "x"}, "bad_verification_code"),
        ({"code_verifier": "x" * 43}, "bad_verification_code"),
        ({"redirect_uri": "http://127.0.0.1:9/other"}, "redirect_uri_mismatch"),
    ]
    for sent, error in wrong:
        code = (await sign_in.agree(**challenge))["code"][0]
        assert (await sign_in.ask(**{"code": code, "code_verifier": _VERIFIER, **sent}))["error"] == error, sent
    code = (await sign_in.agree())["code"][0]
    codes = stage.sandbox.world.state.sign_in_codes
    codes[code] = replace(codes[code], expires_at=codes[code].expires_at - timedelta(minutes=10))
    assert (await sign_in.ask(code=code))["error"] == "bad_verification_code"


async def test_a_person_may_say_no(sign_in: SignIn) -> None:
    assert (await sign_in.agree(answer="no"))["error"] == ["access_denied"]


async def test_the_answer_goes_nowhere_else(sign_in: SignIn, browser: httpx.AsyncClient) -> None:
    sent = {"client_id": sign_in.app.client_id, "redirect_uri": "http://elsewhere.example.org/", "state": "s"}
    for method in ("GET", "POST"):
        answer = await browser.request(method, "/login/oauth/authorize", params=sent)
        assert answer.headers["location"].startswith(f"{_BACK}?error=redirect_uri_mismatch&"), method
    assert (await browser.get("/login/oauth/authorize?client_id=x")).status_code == 404
    plain = {"client_id": sign_in.app.client_id, "code_challenge": "x", "code_challenge_method": "plain"}
    assert (await browser.get("/login/oauth/authorize", params=plain)).status_code == 400


async def test_an_answer_is_a_form_unless_json_is_asked_for(sign_in: SignIn, browser: httpx.AsyncClient) -> None:
    body = {"client_id": "x", "client_secret": "y", "code": "z"}
    answer = await browser.post("/login/oauth/access_token", json=body)
    assert parse_qs(answer.text)["error"] == ["incorrect_client_credentials"]


async def test_a_token_reaches_what_both_the_person_and_the_app_reach(
    stage: Stage, sign_in: SignIn, rest: Rest
) -> None:
    box, doorman = stage.sandbox, sign_in.app.app_id
    bobs, adas = await sign_in.token("bob"), await sign_in.token("ada")
    path = "/repos/ada/demo"

    async def seen_by(*tokens: str) -> list[int]:
        return [(await rest("GET", path, token=token)).status_code for token in tokens]

    assert await seen_by(bobs, adas) == [200, 200]
    await box.set_private("ada/demo", private=True)
    assert await seen_by(bobs, adas) == [404, 404], "the App is not installed there"
    await box.install(doorman, account="ada", repositories=["ada/demo"])
    assert await seen_by(bobs, adas) == [404, 200]
    await box.set_role("ada/demo", login="bob", role="read")
    assert await seen_by(bobs, adas) == [200, 200]
    assert (await rest("GET", path, token=bobs)).json()["permissions"]["push"] is False
    assert (await rest("GET", path, token=adas)).json()["permissions"]["admin"] is True
    refused = await rest("POST", f"{path}/statuses/{stage.first_sha}", token=adas, json={"state": "success"})
    assert refused.status_code == 403, "the App may not"
    assert (await rest("GET", f"{path}/pulls", token=adas)).status_code == 403


async def test_what_an_app_is_installed_on_for_a_person(stage: Stage, sign_in: SignIn, rest: Rest) -> None:
    await stage.sandbox.install(sign_in.app.app_id, account="ada", repositories=["ada/demo"])
    bobs, adas = await sign_in.token("bob"), await sign_in.token("ada")
    assert (await rest("GET", "/user/installations", token=bobs)).json()["total_count"] == 0
    (installed,) = (await rest("GET", "/user/installations", token=adas)).json()["installations"]
    path = f"/user/installations/{installed['id']}/repositories"
    assert [one["name"] for one in (await rest("GET", path, token=adas)).json()["repositories"]] == ["demo"]
    assert (await rest("GET", path, token=bobs)).status_code == 404
    assert (await rest("GET", "/user")).status_code == 401
    own = stage.sandbox.world.account("ada").token
    assert (await rest("GET", "/user/installations", token=own)).status_code == 403


async def test_secrets_of_signing_in_are_not_in_representations(stage: Stage, sign_in: SignIn) -> None:
    token = await sign_in.token()
    code = (await sign_in.agree())["code"][0]
    state = stage.sandbox.world.state
    shown = repr([list(state.user_tokens.values()), list(state.sign_in_codes.values()), state.apps, sign_in.app])
    assert not any(secret in shown for secret in (token, code, sign_in.app.client_secret))
