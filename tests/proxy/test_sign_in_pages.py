"""Signing in, as a browser does it, with GitHub beside it: who gets in, where they land, what goes wrong clearly."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from binder.store.tables import SignedIn, Visitor
from proxy.context import ProxyContext
from proxy.same_origin import safe_return
from proxy.sign_in_pages import challenge_of, state_of, verifier_of
from tests.proxy.door import Door, open_door

OUTSIDE = [
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example/",
    "/\t/evil.example/",
    "/\n/evil.example",
    "\\\\evil.example",
    "javascript:alert(1)",
    "evil.example",
    " //evil.example",
    "/" + "a" * 3000,
]


@pytest.fixture
async def door(context: ProxyContext, tmp_path: Path) -> AsyncIterator[Door]:
    """A service that people sign in to."""
    async with open_door(context, tmp_path) as opened:
        yield opened


async def rows_of(door: Door) -> tuple[list[Visitor], list[SignedIn]]:
    """Return who signed in, and in which browsers."""
    async with door.store.read() as session:
        return list(await session.scalars(select(Visitor))), list(await session.scalars(select(SignedIn)))


async def test_somebody_signs_in_and_is_led_back(door: Door) -> None:
    browser = door.browser()
    back = await door.sign_in(browser, "bob", "/v2/gh/ada/secret/main?labpath=a%20b.ipynb")
    assert (back.status_code, back.headers["location"]) == (302, "/v2/gh/ada/secret/main?labpath=a%20b.ipynb")
    assert "signed in as bob" in (await browser.get("/sign-out")).text
    (visitor,), (signed_in,) = await rows_of(door)
    (token,) = [cookie.value for cookie in browser.cookies.jar]
    assert token
    assert visitor.tokens
    kept = visitor.tokens + signed_in.digest
    issued = door.sandbox.world.state.user_tokens.values()
    assert all(secret not in kept for one in issued for secret in (one.value, one.refresh, token)), "all is sealed"


async def test_what_github_is_asked(door: Door) -> None:
    browser = door.browser()
    begun = await browser.get("/sign-in")
    address = urlsplit(begun.headers["location"])
    asked = {name: values[0] for name, values in parse_qs(address.query).items()}
    (secret,) = [str(cookie.value).partition(".")[0] for cookie in browser.cookies.jar]
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{door.sandbox.url}/login/oauth/authorize"
    assert asked == {
        "client_id": door.app.client_id,
        "redirect_uri": f"{door.context.settings.url}/sign-in/github",
        "state": state_of(secret),
        "code_challenge": challenge_of(verifier_of(secret)),
        "code_challenge_method": "S256",
    }
    assert secret not in begun.headers["location"]
    assert (begun.headers["cache-control"], begun.headers["referrer-policy"]) == ("no-store", "no-referrer")


@pytest.mark.parametrize(("url", "is_secure"), [("http://127.0.0.1:8585", False), ("https://b.example.org", True)])
async def test_what_the_cookies_are(context: ProxyContext, tmp_path: Path, url: str, is_secure: bool) -> None:
    settings = context.settings.model_copy(update={"url": url})
    ours = replace(context, settings=settings)
    async with open_door(ours, tmp_path) as door:
        browser = door.browser()
        begun = await browser.get("/sign-in")
        done = await browser.get(await door.agree(begun.headers["location"], "bob"))
        for answer in (begun, done):
            for cookie in answer.headers.get_list("set-cookie"):
                name, *attributes = (part.strip().lower() for part in cookie.split(";"))
                assert {"httponly", "samesite=lax", "path=/"} <= set(attributes)
                assert ("secure" in attributes) == name.startswith("__host-binder-") == is_secure
                assert any(one.startswith("max-age=") for one in attributes)
                assert not any(one.startswith("domain") for one in attributes)


class TestWhatGoesWrong:
    async def test_the_visitor_says_no(self, door: Door) -> None:
        browser = door.browser()
        begun = await browser.get("/sign-in", params={"return": "/v2/gh/ada/secret/main"})
        page = await browser.get(await door.agree(begun.headers["location"], "bob", "no"))
        assert page.status_code == 403
        assert "You said no at GitHub" in page.text
        assert f"/sign-in?return={quote('/v2/gh/ada/secret/main', safe='')}" in page.text
        assert await rows_of(door) == ([], [])

    async def test_another_browser_cannot_finish_it(self, door: Door) -> None:
        victim, eve = door.browser(), door.browser()
        begun = await eve.get("/sign-in")
        back = await door.agree(begun.headers["location"], "eve")
        await victim.get("/sign-in")
        for browser in (victim, door.browser()):
            page = await browser.get(back)
            assert page.status_code == 400
            assert "not the browser" in page.text
        assert await rows_of(door) == ([], [])
        assert "not signed in" in (await victim.get("/sign-out")).text

    async def test_anothers_code_is_of_no_use_with_ones_own_state(self, door: Door) -> None:
        victim, eve = door.browser(), door.browser()
        code = parse_qs(urlsplit(await door.agree((await eve.get("/sign-in")).headers["location"], "eve")).query)[
            "code"
        ]
        mine = parse_qs(urlsplit((await victim.get("/sign-in")).headers["location"]).query)["state"]
        page = await victim.get("/sign-in/github", params={"code": code[0], "state": mine[0]})
        assert page.status_code == 400, "GitHub holds the code against the verifier of the browser that began"
        assert await rows_of(door) == ([], [])

    async def test_the_way_back_is_good_once(self, door: Door) -> None:
        browser = door.browser()
        begun = await browser.get("/sign-in")
        kept = dict(browser.cookies)
        back = await door.agree(begun.headers["location"], "bob")
        assert (await browser.get(back)).status_code == 302
        assert (await browser.get(back)).status_code == 400, "the cookie is gone"
        again = door.browser()
        for name, value in kept.items():
            again.cookies.set(name, value)
        assert (await again.get(back)).status_code == 400, "and the code is used up"
        assert len((await rows_of(door))[1]) == 1

    async def test_github_is_down_for_a_while(self, door: Door) -> None:
        browser = door.browser()
        begun = await browser.get("/sign-in")
        back = await door.agree(begun.headers["location"], "bob")
        await door.sandbox.add_fault("status", method="GET", path="/user")
        page = await browser.get(back)
        assert page.status_code == 503
        assert page.headers["retry-after"]
        assert "GitHub answered 502" in page.text
        assert "code=" not in page.text
        assert (await rows_of(door))[1] == []

    async def test_the_operators_keys_are_wrong(self, door: Door) -> None:
        app = door.sandbox.world.state.apps[door.app.app_id]
        browser = door.browser()
        back = await door.agree((await browser.get("/sign-in")).headers["location"], "bob")
        object.__setattr__(app, "client_secret", "another")
        page = await browser.get(back)
        assert page.status_code == 500
        assert "BINDER_GITHUB_CLIENT_SECRET" in page.text
        assert door.app.client_secret not in page.text

    async def test_nobody_can_sign_in_where_there_is_no_app(self, visitor: httpx.AsyncClient) -> None:
        page = await visitor.get("/sign-in")
        assert page.status_code == 404
        assert "Nobody can sign in here" in page.text
        assert "Sign in with GitHub" not in (await visitor.get("/v2/gh/ada/nothing/main")).text


class TestReturnAddresses:
    @pytest.mark.parametrize("address", OUTSIDE)
    async def test_none_leads_outside(self, door: Door, address: str) -> None:
        assert (await door.sign_in(door.browser(), "bob", address)).headers["location"] == "/"

    async def test_not_even_by_a_cookie_that_somebody_planted(self, door: Door) -> None:
        browser = door.browser()
        begun = await browser.get("/sign-in")
        (cookie,) = browser.cookies.jar
        secret = str(cookie.value).partition(".")[0]
        browser.cookies.set(
            cookie.name, f"{secret}.{quote('//evil.example/', safe='')}", domain=cookie.domain, path="/"
        )
        back = await browser.get(await door.agree(begun.headers["location"], "bob"))
        assert back.headers["location"] == "/"

    @given(st.text())
    def test_whatever_is_written_stays_here(self, text: str) -> None:
        base = "https://binder.example.org/sign-in/github"
        assert httpx.URL(base).join(safe_return(text)).host == "binder.example.org"


class TestSigningOut:
    async def test_it_ends_here_and_with_the_last_browser_everywhere(self, door: Door) -> None:
        one, other = await door.signed_in("bob"), await door.signed_in("bob")
        stolen = dict(one.cookies)
        assert (await one.post("/sign-out")).status_code == 303
        for browser in (one, door.browser()):
            browser.cookies.update(stolen)
            assert "You are not signed in" in (await browser.get("/sign-out")).text
        assert "signed in as bob" in (await other.get("/sign-out")).text
        assert (await rows_of(door))[0][0].tokens
        await other.post("/sign-out")
        (visitor,), signed_in = await rows_of(door)
        assert (visitor.tokens, signed_in) == (None, [])

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
        ],
    )
    async def test_no_other_site_signs_anybody_out(self, door: Door, headers: dict[str, str]) -> None:
        browser = await door.signed_in("bob")
        refused = await browser.post("/sign-out", headers=headers)
        assert refused.status_code == 403
        assert refused.headers["x-frame-options"] == "DENY"
        assert "signed in as bob" in (await browser.get("/sign-out")).text

    async def test_a_new_sign_in_takes_the_place_of_the_one_before(self, door: Door) -> None:
        browser = await door.signed_in("bob")
        before = dict(browser.cookies)
        await door.sign_in(browser, "eve")
        assert dict(browser.cookies) != before
        assert "signed in as eve" in (await browser.get("/sign-out")).text
        visitors, signed_in = await rows_of(door)
        assert len(signed_in) == 1
        assert {visitor.login: bool(visitor.tokens) for visitor in visitors} == {"bob": False, "eve": True}
