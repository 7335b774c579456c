"""Sessions at origins of their own: who is let in, that nothing of the service is there, and who is warned."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from binder.lifecycle import SessionState
from binder.names import new_session_id, new_token
from binder.paths import Paths
from binder.settings import Settings, read_settings
from binder.store import Store
from binder.store.tables import Session
from proxy.origins import lead_in, let_in, risk_of_one_origin, session_url
from tests.proxy.front import Proxy, service_in
from tests.proxy.rows import SHA, add_build, add_repository, add_session
from tests.proxy.upstreams import mirror

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWN = read_settings(url="https://binder.example.org", sessions_host="sessions.example.net")
LINK = f"/v2/gh/ada/notebooks/{SHA}"


def session_row() -> Session:
    """Return a session that is not in any store."""
    return Session(id=new_session_id(), token=new_token(), state=SessionState.OPEN)


def followed(answer: Response, *, host: str | None = None) -> Request:
    """Return the request of a browser that goes where an answer leads."""
    parts = urlsplit(answer.headers["location"])
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": [(b"host", (host or parts.netloc).encode())],
        }
    )


class TestWhereASessionIs:
    def test_it_is_below_the_service_or_at_an_origin_of_its_own(self) -> None:
        assert session_url(read_settings(), "s1", "lab") == "/s/s1/lab"
        assert session_url(OWN, "s1", "lab") == "https://s1.sessions.example.net/s/s1/lab"
        laptop = read_settings(url="http://localhost:8585", sessions_host="localhost")
        assert session_url(laptop, "s1") == "http://s1.localhost:8585/s/s1/"

    @pytest.mark.parametrize(
        ("url", "sessions_host", "is_warned"),
        [
            ("https://binder.example.org", "", True),
            ("http://192.0.2.1:8585", "", True),
            ("https://binder.example.org", "sessions.example.net", False),
            ("http://127.0.0.1:8585", "", False),
            ("http://[::1]:8585", "", False),
            ("http://localhost:8585", "", False),
            ("https://localhost.example.org", "", True),
        ],
    )
    def test_whoever_shares_an_origin_with_strangers_is_told(
        self, url: str, sessions_host: str, is_warned: bool
    ) -> None:
        assert bool(risk_of_one_origin(read_settings(url=url, sessions_host=sessions_host))) == is_warned


class TestBeingLedIn:
    def test_the_code_gives_the_cookie_and_leaves_the_address(self) -> None:
        session = session_row()
        led = lead_in(session, "doc/tree/a%20b.ipynb?x=1#cell", OWN, NOW)
        assert session.token not in str(led.headers.raw)
        assert led.headers["location"].endswith("#cell")
        answer = let_in(followed(led), session, OWN, NOW)
        assert answer
        assert answer.headers["location"] == f"/s/{session.id}/doc/tree/a%20b.ipynb?x=1"
        cookie, *marks = answer.headers["set-cookie"].split("; ")
        assert cookie == f"__Host-binder-session={session.token}"
        # With a domain, or another path, a browser would refuse a cookie of that name.
        assert set(marks) == {"HttpOnly", "SameSite=lax", "Path=/", "Secure"}

    def test_it_holds_for_this_session_and_a_moment_only(self) -> None:
        session, other = session_row(), session_row()
        request = followed(lead_in(session, "lab", OWN, NOW))
        assert let_in(request, session, OWN, NOW + timedelta(seconds=29))
        assert let_in(request, session, OWN, NOW + timedelta(seconds=31)) is None
        assert let_in(request, other, OWN, NOW) is None
        other.token = session.token
        assert let_in(request, other, OWN, NOW) is None

    @given(
        code=st.one_of(
            st.text(st.characters(codec="latin-1"), max_size=90),
            st.from_regex(r"[0-9\u0663]{1,40}\.[0-9a-f]{0,64}", fullmatch=True),
        )
    )
    def test_no_other_code_does(self, code: str) -> None:
        session = session_row()
        request = followed(lead_in(session, "lab", OWN, NOW))
        request.scope["query_string"] = f"enter={code}".encode("latin-1", "ignore")
        assert let_in(request, session, OWN, NOW) is None

    def test_a_code_with_more_time_is_another_code(self) -> None:
        session = session_row()
        request = followed(lead_in(session, "lab", OWN, NOW))
        until, _, signature = request.query_params["enter"].partition(".")
        request.scope["query_string"] = f"enter={int(until) + 1}.{signature}".encode()
        assert let_in(request, session, OWN, NOW) is None


@pytest.fixture
def own(settings: Settings) -> Settings:
    """Settings under which each session has an origin of its own, as on a laptop."""
    return settings.model_copy(update={"sessions_host": "sessions.localhost"})


@pytest.fixture
async def front(own: Settings, paths: Paths, store: Store) -> AsyncIterator[Proxy]:
    """A running HAProxy with the service's pages behind it."""
    async with service_in(own, paths, store) as running:
        yield running


async def go(front: Proxy, address: str, **headers: str) -> httpx.Response:
    """Ask as a browser would that knows where `*.localhost` is."""
    parts = urlsplit(address)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    host = parts.netloc or f"{front.listen[0]}:{front.listen[1]}"
    return await front.client.get(path, headers={"Host": host, **headers}, follow_redirects=False)


async def opened(front: Proxy, store: Store, target: str) -> tuple[Session, str]:
    """Open a session by its link; return it, and the address that the link led to."""
    repository = await add_repository(store, name=f"notebooks-{new_session_id()}")
    session = await add_session(store, await add_build(store, repository), target=target)
    link = f"/v2/gh/ada/{repository.name}/{SHA}?urlpath=lab%3Freset"
    return session, (await go(front, link)).headers["location"]


@pytest.mark.slow
class TestTheWholeWay:
    async def test_a_link_leads_to_the_origin_and_in(self, front: Proxy, store: Store) -> None:
        async with mirror("one") as target:
            session, address = await opened(front, store, target)
            origin = f"http://{session.id}.sessions.localhost:{front.listen[1]}"
            assert address.startswith(f"{origin}/s/{session.id}/lab?reset&enter=")
            entered = await go(front, address)
            assert (entered.status_code, entered.headers["location"]) == (302, f"/s/{session.id}/lab?reset")
            assert entered.headers["referrer-policy"] == "no-referrer"
            cookie = entered.headers["set-cookie"].partition(";")[0]
            seen = (await go(front, f"{origin}/s/{session.id}/lab?reset", Cookie=cookie)).json()
            assert (seen["name"], seen["path"], seen["query"]) == ("one", f"/s/{session.id}/lab", "reset")
            assert seen["headers"]["authorization"] == f"token {session.token}"
            assert seen["headers"]["cookie"] == cookie
            # The whole origin is the session's: its server decides about paths that are not below its own.
            assert (await go(front, f"{origin}/s/other/", Cookie=cookie)).json()["name"] == "one"
            assert (await go(front, origin.upper().replace("HTTP", "http") + "/", Cookie=cookie)).json()[
                "name"
            ] == "one"

    async def test_the_service_is_not_at_a_sessions_origin(self, front: Proxy, store: Store) -> None:
        async with mirror("one") as target:
            session, _ = await opened(front, store, target)
            other, _ = await opened(front, store, target)
        for host in (f"{session.id}.sessions.localhost", f"{session.id.upper()}.SESSIONS.localhost"):
            for path in (
                "/",
                "/health",
                "/setup",
                "/assets/binder.css",
                LINK,
                f"/s/{other.id}/",
                "/s/",
                "//s/x",
                "/s/%2e%2e/",
            ):
                answer = await go(front, f"http://{host}:1{path}", Cookie=f"binder-session={other.token}")
                assert answer.status_code == 302, path
                assert answer.headers["location"] == f"http://{front.listen[0]}:{front.listen[1]}/s/{session.id}/", path
                assert not answer.content
                assert "set-cookie" not in answer.headers
        for host in ("x.sessions.localhost", ".sessions.localhost", "a/b.sessions.localhost"):
            assert (await go(front, "/", Host=host)).status_code in {400, 404}

    async def test_a_session_is_not_at_the_services_origin(self, front: Proxy, store: Store) -> None:
        async with mirror("one") as target:
            session, _ = await opened(front, store, target)
            page = await go(front, f"/s/{session.id}/lab", Cookie=f"binder-session={session.token}")
        assert "x-service" not in page.headers
        assert page.text.startswith("<!doctype html>")

    async def test_what_has_ended_is_told_by_the_service(self, front: Proxy, store: Store) -> None:
        build = await add_build(store, await add_repository(store))
        session = await add_session(store, build, SessionState.ENDED)
        origin = f"http://{session.id}.sessions.localhost:1"
        answer = await go(front, f"{origin}/s/{session.id}/doc/tree/a%20b.ipynb?token=x")
        assert (answer.status_code, answer.content) == (302, b"")
        page = await go(front, answer.headers["location"])
        assert page.status_code == 410
        assert "This session has ended" in page.text
        assert parse_qs(urlsplit(page.text.partition('class="button" href="')[2].partition('"')[0]).query) == {
            "urlpath": ["doc/tree/a b.ipynb"]
        }
        # What a notebook's page asks for by itself must not be led to another origin.
        asked = await go(front, f"{origin}/s/{session.id}/api/kernels")
        assert (asked.status_code, asked.headers["content-type"]) == (410, "text/plain; charset=utf-8")

    async def test_whom_the_table_has_forgotten_is_let_in_again(self, front: Proxy, store: Store) -> None:
        async with mirror("one") as target:
            session, address = await opened(front, store, target)
            await front.haproxy.runtime.del_routes([f"{session.id}/{session.token}"])
            cookie = f"binder-session={session.token}"
            answer = await go(front, address, Cookie=cookie)
            assert answer.status_code == 302
            assert (await go(front, address.partition("?")[0], Cookie=cookie)).status_code == 307
            assert (await go(front, address.partition("?")[0], Cookie=cookie)).json()["name"] == "one"
