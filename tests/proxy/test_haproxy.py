"""A real HAProxy: who gets through, what is carried, and that it comes back."""

import asyncio
import contextlib
import json
import os
import re
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from binder.errors import OperatorFault
from binder.names import new_token
from binder.paths import Paths
from binder.process import Command, spawn
from binder.settings import Settings
from proxy.haproxy import connections_at_most, next_pause, run_haproxy
from tests.proxy.conftest import made_folder, made_paths
from tests.proxy.front import Proxy, is_miss, proxy_in, settings_of
from tests.proxy.upstreams import echo, mirror

pytestmark = pytest.mark.slow


@pytest.fixture
async def proxy(settings: Settings, paths: Paths) -> AsyncIterator[Proxy]:
    """A running HAProxy with a service behind it."""
    async with proxy_in(settings, paths) as running:
        yield running


@pytest.fixture
async def target() -> AsyncIterator[str]:
    """The address of a session that mirrors what it is asked."""
    async with mirror("one") as address:
        yield address


class TestAccess:
    async def test_a_cookie_opens_its_session(self, proxy: Proxy, target: str) -> None:
        seen = await proxy.get(await proxy.open(target), "lab/tree/a%20b.ipynb", params={"x": "1"})
        assert (seen["name"], seen["query"]) == ("one", "x=1")
        assert seen["path"].endswith("/lab/tree/a b.ipynb")

    @pytest.mark.parametrize("word", ["token", "Token"])
    async def test_a_token_in_the_header_does(self, proxy: Proxy, target: str, word: str) -> None:
        route = await proxy.open(target)
        headers = {"Authorization": f"{word} {route.token}"}
        assert (await proxy.client.get(f"/s/{route.session_id}/api", headers=headers)).json()["name"] == "one"

    async def test_a_token_in_the_query_does(self, proxy: Proxy, target: str) -> None:
        route = await proxy.open(target)
        response = await proxy.client.post(f"/s/{route.session_id}/api/shutdown?a=1&token={route.token}")
        assert response.json()["name"] == "one"

    async def test_nothing_else_does(self, proxy: Proxy, target: str) -> None:
        mine, theirs = await proxy.open(target), await proxy.open(target)
        for headers in (
            {},
            {"Cookie": "binder-session="},
            {"Cookie": f"binder-session={new_token()}"},
            {"Cookie": f"binder-session={theirs.token}"},
            {"Cookie": f"binder-session={mine.token[:-1]}"},
            {"Cookie": f"binder-session={mine.token}x"},
            {"Cookie": f"binder-session={mine.session_id}/{mine.token}"},
            {"Cookie": f"other={mine.token}"},
            {"Cookie": f"xbinder-session={mine.token}"},
            {"Authorization": f"token {theirs.token}"},
            {"Authorization": f"Basic {mine.token}"},
        ):
            assert is_miss(await proxy.client.get(f"/s/{mine.session_id}/lab", headers=headers)), headers
        assert is_miss(await proxy.client.get(f"/s/{mine.session_id}/lab?token={theirs.token}"))
        for path in (f"/{mine.session_id}/", f"/x/{mine.session_id}/", f"//s/{mine.session_id}/", "/s//", "/s/", "/"):
            cookie = {"Cookie": f"binder-session={mine.token}"}
            assert is_miss(await proxy.client.get(f"http://{settings_of(proxy)}{path}", headers=cookie)), path

    async def test_a_route_that_is_taken_away_is_gone_at_once(self, proxy: Proxy, target: str) -> None:
        route = await proxy.open(target)
        await proxy.get(route)
        await proxy.haproxy.runtime.del_routes([route.key])
        cookie = {"Cookie": f"binder-session={route.token}"}
        assert is_miss(await proxy.client.get(f"/s/{route.session_id}/", headers=cookie))

    async def test_another_sessions_page_cannot_hide_the_cookie(self, proxy: Proxy, target: str) -> None:
        route = await proxy.open(target)
        # A browser sends the longer path's cookie first (RFC 6265, 5.4).
        cookies = f"a=1; binder-session={route.token}; binder-session=planted"
        assert (await proxy.get(route, headers={"Cookie": cookies}))["name"] == "one"

    async def test_each_session_goes_to_its_own_target_over_one_connection(self, proxy: Proxy, target: str) -> None:
        async with mirror("two") as other:
            one, two = await proxy.open(target), await proxy.open(other)
            names = [(await proxy.get(route))["name"] for route in (one, two) * 10]
        assert names == ["one", "two"] * 10


class TestOtherOrigins:
    """What pages of other sites may do, in whose name a browser asks."""

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", ""])
    async def test_a_cookie_does_not_count_for_them(self, proxy: Proxy, target: str, origin: str) -> None:
        route = await proxy.open(target)
        headers = {"Cookie": f"binder-session={route.token}", "Origin": origin}
        assert is_miss(await proxy.client.post(f"/s/{route.session_id}/api/kernels", headers=headers))
        assert is_miss(await proxy.client.get(f"/s/{route.session_id}/api", headers=headers))

    async def test_a_cookie_counts_for_the_sessions_own_pages(self, proxy: Proxy, target: str) -> None:
        route = await proxy.open(target)
        own = f"http://{settings_of(proxy)}"
        assert (await proxy.get(route, "api", headers={"Origin": own}))["name"] == "one"
        named = {"Origin": "https://other.example", "Host": "other.example"}
        assert (await proxy.get(route, "api", headers=named))["name"] == "one"

    async def test_a_token_that_they_bring_counts(self, proxy: Proxy, target: str) -> None:
        route = await proxy.open(target)
        headers = {"Origin": "https://docs.example", "Cookie": f"binder-session={route.token}"}
        address = f"/s/{route.session_id}/api"
        by_header = await proxy.client.get(address, headers=headers | {"Authorization": f"token {route.token}"})
        by_address = await proxy.client.get(f"{address}?token={route.token}", headers=headers)
        assert by_header.json()["name"] == by_address.json()["name"] == "one"
        assert by_header.headers["access-control-allow-origin"] == "*"
        assert "set-cookie" not in by_header.headers
        assert "set-cookie" not in by_address.headers

    async def test_their_browsers_may_ask_first(self, proxy: Proxy, target: str) -> None:
        route = await proxy.open(target)
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        answer = await proxy.client.options(
            f"/s/{route.session_id}/api/kernels", headers={"Origin": "https://docs.example", **asked}
        )
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "authorization" in answer.headers["access-control-allow-headers"]
        # Without this, a browser refuses the answer to whatever it sent cookies with.
        assert "access-control-allow-credentials" not in answer.headers

    async def test_a_page_that_was_opened_by_its_token_goes_on_with_a_cookie(self, proxy: Proxy, target: str) -> None:
        route = await proxy.open(target)
        answer = await proxy.client.get(f"/s/{route.session_id}/lab?token={route.token}")
        cookie = answer.headers["set-cookie"]
        assert cookie == f"binder-session={route.token}; Path=/s/{route.session_id}/; HttpOnly; SameSite=Lax"
        assert (await proxy.client.get(f"/s/{route.session_id}/static/a.js")).json()["name"] == "one"
        proxy.client.cookies.clear()
        refused = await proxy.client.get(f"/s/{route.session_id}/lab?token={new_token()}")
        assert is_miss(refused)
        assert "set-cookie" not in refused.headers


class TestHeaders:
    async def test_the_session_gets_its_token_and_not_who_is_signed_in(self, proxy: Proxy, target: str) -> None:
        route = await proxy.open(target)
        for cookies, left in (
            ("binder-session={}", "binder-session={}"),
            ("a=1; binder-session={}; b=2", "a=1; binder-session={}; b=2"),
            ("binder-visitor=v; binder-session={}", "binder-session={}"),
            ("__Host-binder-visitor=v; a=1; binder-session={}; binder-sign-in=s", "a=1; binder-session={}"),
            (
                "a=1; binder-visitor=v; b=2; binder-sign-in=s; binder-session={}; binder-visitors=3",
                "a=1; b=2; binder-session={}; binder-visitors=3",
            ),
        ):
            headers = {"Cookie": cookies.format(route.token), "Authorization": "token planted"}
            seen = (await proxy.get(route, headers=headers))["headers"]
            assert seen["authorization"] == f"token {route.token}"
            assert seen.get("cookie") == left.format(route.token)

    async def test_what_a_visitor_says_about_the_way_is_not_believed(self, proxy: Proxy, target: str) -> None:
        lies = {
            "X-Forwarded-For": "6.6.6.6",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Port": "6",
            "X-Forwarded-Prefix": "/evil",
            "X-Real-IP": "6.6.6.6",
            "Forwarded": "for=6.6.6.6",
            "Proxy": "http://evil.example",
        }
        session = (await proxy.get(await proxy.open(target), headers=lies))["headers"]
        service = (await proxy.client.get("/", headers=lies)).json()
        for seen in (session, service):
            assert seen["x-forwarded-for"] == "127.0.0.1"
            assert seen["x-forwarded-proto"] == "http"
            assert seen["x-forwarded-host"] == seen["host"] == settings_of(proxy)
            assert not seen.keys() & {"x-forwarded-port", "x-forwarded-prefix", "x-real-ip", "forwarded", "proxy"}

    async def test_a_session_cannot_speak_for_the_whole_host(self, proxy: Proxy, target: str) -> None:
        route = await proxy.open(target)
        answer = await proxy.client.get(f"/s/{route.session_id}/", headers={"Cookie": f"binder-session={route.token}"})
        assert answer.json()["name"] == "one"
        hostile = {"service-worker-allowed", "clear-site-data", "strict-transport-security", "alt-svc"}
        assert not hostile & set(answer.headers)

    @pytest.mark.parametrize(
        ("lines", "body"),
        [
            (("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Content-Length: 6"), b"hello!"),
            (("POST / HTTP/1.1", "Host: a", "Content-Length: 5, 6"), b"hello!"),
            (("POST / HTTP/1.1", "Host: a", "Content-Length: -1"), b""),
            (("POST / HTTP/1.1", "Host: a", "Content-Length: +5"), b"hello"),
            (("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, identity"), b"0\r\n\r\n"),
            (("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), b"zz\r\n\r\n"),
            (("GET / HTTP/1.1", "Host: a", "Host: b"), b""),
            (("GET / HTTP/1.1", "Host: a", "Bad Header: x"), b""),
            (("GET / HTTP/1.1", "Host: a", "X : y"), b""),
            (("GET / HTTP/1.1", "Host: a", "X: a\0b"), b""),
            (("GET /\x01 HTTP/1.1", "Host: a"), b""),
            (("GET /a b HTTP/1.1", "Host: a"), b""),
        ],
    )
    async def test_a_request_that_can_be_read_in_two_ways_is_refused(
        self, proxy: Proxy, lines: tuple[str, ...], body: bytes
    ) -> None:
        assert re.match(rb"HTTP/1\.[01] 400 ", await proxy.send(*lines, body=body)), lines

    async def test_a_doubled_length_hides_no_second_request(self, proxy: Proxy, target: str) -> None:
        """Where both a length and chunks are given, chunks count and the length is gone (RFC 9112, 6.3)."""
        route = await proxy.open(target)
        hidden = b"0\r\n\r\nGET /s/hidden HTTP/1.1\r\nHost: a\r\n\r\n"
        answers = await proxy.send(
            f"POST /s/{route.session_id}/x HTTP/1.1",
            "Host: a",
            f"Authorization: token {route.token}",
            f"Content-Length: {len(hidden)}",
            "Transfer-Encoding: chunked",
            "Connection: close",
            body=hidden,
        )
        head, _, body = answers.partition(b"\r\n\r\n")
        assert (head[:13], answers.count(b"HTTP/1.1 ")) == (b"HTTP/1.1 200 ", 1)
        seen = json.loads(body)
        assert (seen["body_bytes"], "content-length" in seen["headers"]) == (0, False)

    @pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
    async def test_methods_that_no_visitor_needs_are_refused(self, proxy: Proxy, method: str) -> None:
        place = "a:80" if method == "CONNECT" else "/"
        assert b" 405 " in await proxy.send(f"{method} {place} HTTP/1.1", "Host: a:80", "Connection: close")


class TestCarrying:
    async def test_a_websocket_goes_through(self, proxy: Proxy) -> None:
        async with echo() as target:
            route = await proxy.open(target)
            address = f"ws://{settings_of(proxy)}/s/{route.session_id}/api/kernels/1/channels"
            async with connect(address, additional_headers={"Cookie": f"binder-session={route.token}"}) as socket:
                for message in ("hello", "x" * 100_000, b"\0\1"):
                    await socket.send(message)
                    assert await socket.recv() == message
            with pytest.raises(InvalidStatus):
                async with connect(address, additional_headers={"Cookie": "binder-session=wrong"}):
                    pass

    async def test_an_open_websocket_outlives_changes_of_other_routes(self, proxy: Proxy, target: str) -> None:
        async with echo() as upstream:
            route = await proxy.open(upstream)
            address = f"ws://{settings_of(proxy)}/s/{route.session_id}/?token={route.token}"
            async with connect(address) as socket:
                pid = proxy.haproxy.pid
                for _ in range(20):
                    other = await proxy.open(target)
                    await proxy.get(other)
                    await proxy.haproxy.runtime.del_routes([other.key])
                await socket.send("still here")
                assert await socket.recv() == "still here"
                assert proxy.haproxy.pid == pid

    async def test_a_large_upload_goes_through(self, proxy: Proxy, target: str) -> None:
        route = await proxy.open(target)
        answer = await proxy.client.put(
            f"/s/{route.session_id}/api/contents/big",
            content=b"x" * (20 * 2**20),
            headers={"Authorization": f"token {route.token}"},
        )
        assert answer.json()["body_bytes"] == 20 * 2**20

    async def test_a_session_that_does_not_answer_gives_a_page(self, proxy: Proxy) -> None:
        route = await proxy.open("127.0.0.1:1")
        answer = await proxy.client.get(f"/s/{route.session_id}/", headers={"Cookie": f"binder-session={route.token}"})
        assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
        assert "not your fault" in answer.text

    async def test_use_is_counted_by_session(self, proxy: Proxy, target: str) -> None:
        used, unused = await proxy.open(target), await proxy.open(target)
        await proxy.get(used)
        cookie = {"Cookie": "binder-session=wrong"}
        await proxy.client.get(f"/s/{unused.session_id}/", headers=cookie)
        await asyncio.sleep(1.2)
        idle = await proxy.haproxy.runtime.idle_seconds()
        assert idle.keys() == {used.session_id}
        assert 1 <= idle[used.session_id] < 5
        await proxy.get(used)
        of_one = await proxy.haproxy.runtime.idle_seconds(used.session_id)
        assert of_one.keys() == {used.session_id}
        assert of_one[used.session_id] < 1

    async def test_a_click_needs_no_reload(self, proxy: Proxy, target: str) -> None:
        pid = proxy.haproxy.pid
        started = time.monotonic()
        for _ in range(50):
            await proxy.get(await proxy.open(target))
        assert proxy.haproxy.pid == pid
        assert (time.monotonic() - started) / 50 < 0.1


class TestOwnership:
    async def test_it_is_started_again_with_its_whole_table(self, proxy: Proxy, target: str) -> None:
        route = await proxy.open(target)
        proxy.routes[route.key] = route.target
        killed = proxy.haproxy.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        # The first request that is answered at all already finds the route: there is no moment of an empty table.
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(httpx.TransportError, OSError):
                    assert (await proxy.get(route))["name"] == "one"
                    break
                await asyncio.sleep(0.01)
        assert proxy.haproxy.pid != killed

    async def test_it_ends_with_the_block(self, settings: Settings, paths: Paths) -> None:
        async with proxy_in(settings, paths) as running:
            pid = running.haproxy.pid
        assert pid is not None
        assert not is_alive(pid)

    async def test_it_dies_with_its_owner(self, settings: Settings, paths: Paths, tmp_path: Path) -> None:
        script = tmp_path / "owner.py"
        script.write_text(
            "import asyncio\n"
            "from pathlib import Path\n"
            "from binder.paths import Paths\n"
            "from binder.settings import read_settings\n"
            "from proxy.haproxy import run_haproxy\n"
            "async def no_routes(): return {}\n"
            "async def main():\n"
            "    settings = read_settings()\n"
            "    paths = Paths(settings.state_dir, settings.cache_dir)\n"
            "    async with run_haproxy(settings, paths, no_routes) as haproxy:\n"
            "        print('pid', haproxy.pid, flush=True)\n"
            "        await asyncio.sleep(60)\n"
            "asyncio.run(main())\n"
        )
        env = {
            "BINDER_STATE_DIR": str(settings.state_dir),
            "BINDER_CACHE_DIR": str(settings.cache_dir),
            "BINDER_LISTEN": settings.listen,
        }
        async with asyncio.timeout(30), spawn(Command((sys.executable, str(script)), env=env)) as owner:
            assert owner.stdout
            said = b""
            while not (found := re.search(rb"^pid (\d+)$", said, re.MULTILINE)):
                said += await owner.stdout.readline()
            pid = int(found[1])
            assert is_alive(pid)
            owner.kill()
            await owner.wait()
            while is_alive(pid):  # noqa: ASYNC110 - nobody tells us of a process that is not our child
                await asyncio.sleep(0.02)

    async def test_it_runs_without_rights_and_shows_its_table_to_nobody(self, proxy: Proxy, paths: Paths) -> None:
        folder = paths.run / "haproxy"
        owner = folder.stat().st_uid
        assert (folder.stat().st_mode & 0o777, owner != 0) == (0o700, True)
        for name in ("admin.sock", "routes.map", "haproxy.cfg"):
            assert (folder / name).stat().st_mode & 0o077 == 0, name
            assert (folder / name).stat().st_uid == owner
        assert Path(f"/proc/{proxy.haproxy.pid}").stat().st_uid == owner

    async def test_its_connections_fit_the_limit_of_descriptors(self, proxy: Proxy) -> None:
        info = await proxy.haproxy.runtime._ask("show info")
        found = re.search(r"^Maxsock: (\d+)$", info, re.MULTILINE)
        assert found
        assert int(found[1]) <= resource.getrlimit(resource.RLIMIT_NOFILE)[1]


class TestFaults:
    async def test_a_port_that_is_taken_is_named(self, proxy: Proxy, settings: Settings) -> None:
        # The other HAProxy has the same account: SO_REUSEPORT would let them share without a word.
        said = rf"{re.escape(settings.listen)}: another program does.*BINDER_LISTEN"
        with made_folder() as folder:
            other = settings.model_copy(update={"state_dir": folder / "state", "cache_dir": folder / "cache"})
            with pytest.raises(OperatorFault, match=said):
                async with proxy_in(other, made_paths(other)):
                    pass

    async def test_a_port_that_is_not_ours_to_take_is_named(self, settings: Settings, paths: Paths) -> None:
        reserved = settings.model_copy(update={"listen": "127.0.0.1:81"})
        with pytest.raises(OperatorFault, match=r"127\.0\.0\.1:81"):
            async with proxy_in(reserved, paths):
                pass

    async def test_a_file_that_cannot_be_written_is_named(self, settings: Settings, paths: Paths) -> None:
        (paths.run / "haproxy" / "routes.map").mkdir(parents=True)
        with pytest.raises(OperatorFault, match=r"routes\.map cannot be written: Is a directory"):
            async with proxy_in(settings, paths):
                pass

    async def test_a_table_that_cannot_be_had_is_told_and_nothing_hangs(self, settings: Settings, paths: Paths) -> None:
        async def broken() -> dict[str, str]:
            raise KeyError("a mistake of ours")

        async with asyncio.timeout(10):
            with pytest.raises(KeyError):
                async with run_haproxy(settings, paths, broken):
                    pass

    async def test_a_state_folder_with_too_long_a_path_is_said(self, settings: Settings, folder: Path) -> None:
        long = Paths(folder / ("x" * 80), folder / "cache")
        with pytest.raises(OperatorFault, match="too long"):
            async with run_haproxy(settings, long, lambda: asyncio.sleep(0, {})):
                pass


class TestLimits:
    @pytest.mark.parametrize(
        ("descriptors", "connections"), [(1024, 384), (20_000, 9872), (300, 50), (1_000_000, 20_000), (-1, 20_000)]
    )
    def test_connections_follow_from_descriptors(self, descriptors: int, connections: int) -> None:
        assert connections_at_most(descriptors) == connections

    def test_pauses_grow_and_are_bounded(self) -> None:
        pauses = [0.0]
        for _ in range(12):
            pauses.append(next_pause(pauses[-1], ran_seconds=0))
        assert pauses[1:4] == [0.05, 0.1, 0.2]
        assert max(pauses) == 10
        assert next_pause(10, ran_seconds=60) == 0


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not yet waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state != "Z"
