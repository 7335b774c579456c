"""Requests that are made to be read in two ways, against the whole path: real HAProxy, real pages, real upstreams.

Each is refused, or lands where it belongs: never at another session, and never in the service with a session's rights.
"""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from binder.paths import Paths
from binder.settings import Settings
from binder.store import Store
from tests.proxy.two_sessions import TwoSessions, two_sessions, with_origins

pytestmark = pytest.mark.slow

_ANSWER_SECONDS = 5


@pytest.fixture(params=["paths", "origins"])
async def front(
    request: pytest.FixtureRequest, settings: Settings, paths: Paths, store: Store
) -> AsyncIterator[TwoSessions]:
    """The whole path, open, with sessions at paths, and with sessions at origins of their own."""
    async with two_sessions(with_origins(settings, request.param), paths, store) as front:
        yield front


async def send(front: TwoSessions, text: str) -> str:
    """Send bytes as they stand here, with what names the sessions put in, and return all that comes back."""
    reader, writer = await asyncio.open_connection(*front.proxy.listen)
    try:
        writer.write(front.filled(text).encode("latin-1"))
        async with asyncio.timeout(_ANSWER_SECONDS):
            return (await reader.read()).decode("latin-1")
    except ConnectionResetError:
        return ""
    finally:
        writer.close()


def statuses(answers: str) -> list[int]:
    """Return the statuses of the answers that came over a connection."""
    return [int(status) for status in re.findall(r"HTTP/1\.[01] (\d{3}) ", answers)]


def who_answered(answers: str) -> list[str]:
    """Return the sessions that answered, in their order."""
    return re.findall(r'{"name": "(\w+)"', answers)


_LINE = "POST /s/MINE/x HTTP/1.1\r\nHost: MY-HOST\r\nCookie: COOKIE\r\n"
_HIDDEN = "GET /s/THEIRS/ HTTP/1.1\r\nHost: THEIR-HOST\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        _LINE + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!" + _HIDDEN,
        _LINE + "Content-Length: 0\r\nTransfer-Encoding: chunked, identity\r\n\r\n" + _HIDDEN,
        _LINE + "Transfer-Encoding: identity, chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n" + _HIDDEN,
        _LINE + "Transfer-Encoding: chunked\r\n\r\n-1\r\n" + _HIDDEN,
        _LINE + "Content-Length : 5\r\n\r\nhello" + _HIDDEN,
        _LINE + "Content-Length: 0x5\r\n\r\nhello" + _HIDDEN,
        _LINE + "Host: b\r\n\r\n" + _HIDDEN,
        "GET http://b/s/MINE/ HTTP/1.1\r\nHost: MY-HOST\r\nCookie: COOKIE\r\n\r\n" + _HIDDEN,
        _LINE + "X: a\rGET /s/THEIRS/ HTTP/1.1\r\n\r\n",
        _LINE + "X: \0\r\n\r\n",
        " " + _LINE + "\r\n",
        _LINE.replace("HTTP/1.1", "HTTP/1.1 HTTP/1.1") + "\r\n",
        _LINE + "X: " + "x" * 20_000 + "\r\n\r\n",
        _LINE + "X: x\r\n" * 200 + "\r\n",
        _LINE.replace("/x ", f"/{'x' * 20_000} ") + "\r\n",
    ],
    ids=range(15),
)
async def test_what_can_be_read_in_two_ways_is_refused_once_and_for_all(front: TwoSessions, request_: str) -> None:
    answers = await send(front, request_)
    assert len(statuses(answers)) <= 1, answers
    assert set(statuses(answers)) <= {400, 414, 505}, answers
    assert not front.seen


@pytest.mark.parametrize("encoding", ["chunked", " chunked ", "Chunked", "\tchunked"])
async def test_a_length_beside_chunks_hides_no_request(front: TwoSessions, encoding: str) -> None:
    hidden = f"0\r\n\r\n{_HIDDEN}"
    lines = f"Content-Length: {len(hidden)}\r\nTransfer-Encoding:{encoding}\r\nConnection: close\r\n\r\n"
    answers = await send(front, _LINE + lines + hidden)
    assert who_answered(answers) == [one["name"] for one in front.seen] == ["mine"]
    assert len(statuses(answers)) == 1
    assert '"content-length"' not in answers


@pytest.mark.parametrize(
    "request_",
    [
        # A folded line is one line, and a bare line feed ends one: whatever is read, it is read once, by HAProxy.
        _LINE + "X: a\r\n Content-Length: 50\r\nConnection: close\r\n\r\n",
        (_LINE + "X: a\r\nConnection: close\r\n\r\n").replace("\r\n", "\n"),
        _LINE + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\nx\n0\n\n",
        _LINE.replace("HTTP/1.1", "HTTP/9.9") + "Connection: close\r\n\r\n",
        _LINE.replace("POST ", "POST\t") + "Connection: close\r\n\r\n",
        _LINE.replace("/s/", "http://MY-HOST/s/") + "Connection: close\r\n\r\n",
        "\r\n" + _LINE + "Connection: close\r\n\r\n",
        _LINE + 'Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n1;a="b"\r\nx\r\n0\r\nX: trailer\r\n\r\n',
        _LINE + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: close, Upgrade, HTTP2-Settings\r\n\r\n",
        _LINE + "Connection: close, Cookie, Authorization, X-Forwarded-For\r\n\r\n",
        _LINE + "Expect: 100-continue\r\nConnection: close\r\n\r\n",
    ],
    ids=range(11),
)
async def test_what_is_odd_is_carried_in_one_reading_or_refused(front: TwoSessions, request_: str) -> None:
    answers = await send(front, request_)
    final = [status for status in statuses(answers) if status != 100]
    assert final in ([200], [400]), answers
    assert who_answered(answers) == [one["name"] for one in front.seen] == (["mine"] if final == [200] else [])
    if final == [200]:
        seen = front.seen[0]["headers"]
        assert seen["authorization"] == f"token {front.mine.token}"
        assert seen["x-forwarded-for"] == "127.0.0.1"
        assert not seen.keys() & {"upgrade", "http2-settings"}


@pytest.mark.parametrize("name", ["MINE", "THEIRS"])
async def test_pipelined_requests_are_answered_in_their_order(front: TwoSessions, name: str) -> None:
    """Each by its own session, and by none where the token is another's."""
    tokens = {"MINE": front.mine.token, "THEIRS": front.theirs.token}
    hosts = {"MINE": "MY-HOST", "THEIRS": "THEIR-HOST"}
    order = ["MINE", "THEIRS", "THEIRS", "MINE", "MINE", "THEIRS"]
    requests = [
        f"GET /s/{name}/ HTTP/1.1\r\nHost: {hosts[name]}\r\nCookie: binder-session={tokens[name]}\r\n\r\n"
        for name in order
    ]
    requests[3:3] = [f"GET /s/{name}/ HTTP/1.1\r\nHost: {hosts[name]}\r\n\r\n"]
    answers = await send(front, "".join(requests) + "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert who_answered(answers) == [name.lower() for name in order]
    # At its own origin, the service leads back to where it is itself.
    refused = 302 if front.settings.sessions_host else 404
    assert statuses(answers) == [200, 200, 200, refused, 200, 200, 200, 200]


@pytest.mark.parametrize(
    "path",
    [
        "/s/MINE/../THEIRS/",
        "/s/MINE/..%2fTHEIRS/",
        "/s/MINE/%2e%2e/THEIRS/",
        "/s/MINE/%2e%2e%2f%2e%2e/health",
        "/s/MINE/..;/..;/health",
        "/s/MINE/..%5c..%5chealth",
        "/s/MINE//s/THEIRS/",
        "/s/MINE/?/../../s/THEIRS/",
        "/s/MINE/http://MY-HOST/s/THEIRS/",
        "http://MY-HOST/s/MINE/../THEIRS/",
        "/s/MINE/%00/s/THEIRS/",
        "/s/MINE/x?token=x",
    ],
)
async def test_a_path_below_a_session_stays_there(front: TwoSessions, path: str) -> None:
    answers = await send(front, f"GET {path} HTTP/1.1\r\nHost: MY-HOST\r\nCookie: COOKIE\r\nConnection: close\r\n\r\n")
    assert (statuses(answers), who_answered(answers)) == ([200], ["mine"])


@pytest.mark.parametrize(
    "path",
    [
        "/s/THEIRS/",
        "/s/THEIRS/../MINE/",
        "/s/THEIRS/..%2fMINE/",
        "/s/%2e%2e/s/MINE/",
        "/s//MINE/",
        "//s/MINE/",
        "/S/MINE/",
        "/./s/MINE/",
        "/x/../s/MINE/",
        "/%73/MINE/",
        "/s%2fMINE/",
        "/s/MINE%2f",
        "/s/MINE%00/",
        "/s/MINE;x/",
        "/s/THEIRS/?token=TOKEN",
        "/s/MINE/TOKEN/",
        "/s/",
        "/s//",
        "*",
        "a",
    ],
)
async def test_a_path_that_is_not_a_sessions_gives_no_session(front: TwoSessions, path: str) -> None:
    cookie = "" if "TOKEN/" in path else "Cookie: COOKIE\r\n"
    answers = await send(front, f"GET {path} HTTP/1.1\r\nHost: THEIR-HOST\r\n{cookie}Connection: close\r\n\r\n")
    assert not front.seen
    assert len(statuses(answers)) == 1
    # 503: what the service reads as the address of a session of this visitor's, it promises to lead to.
    assert statuses(answers)[0] in ({302, 400, 404} if front.settings.sessions_host else {400, 404, 503}), answers


@pytest.mark.parametrize("front", ["origins"], indirect=True)
@pytest.mark.parametrize(
    "lines",
    [
        "GET /s/MINE/ HTTP/1.1\r\nHost: a",
        "GET /s/MINE/ HTTP/1.1\r\nHost: sessions.localhost",
        "GET /s/MINE/ HTTP/1.1\r\nHost: .sessions.localhost",
        "GET /s/MINE/ HTTP/1.1\r\nHost: x.MY-HOST",
        "GET /s/MINE/ HTTP/1.1\r\nHost: MY-HOST.",
        "GET /s/MINE/ HTTP/1.1\r\nHost: MY-HOST.example.org",
        "GET /s/MINE/ HTTP/1.1\r\nHost: MINE-sessions.localhost",
        "GET /s/MINE/ HTTP/1.1\r\nHost: MINE..sessions.localhost",
        "GET /s/MINE/ HTTP/1.1\r\nHost: MINE/.sessions.localhost",
        "GET /s/MINE/ HTTP/1.1\r\nHost: MY-HOST@THEIR-HOST",
        "GET /s/MINE/ HTTP/1.1\r\nHost: MY-HOST, THEIR-HOST",
        "GET /s/MINE/ HTTP/1.1\r\nHost: THEIR-HOST\r\nX-Forwarded-Host: MY-HOST\r\nForwarded: host=MY-HOST",
        "GET /s/MINE/ HTTP/1.1\r\nHost: THEIR-HOST:80@MY-HOST:80",
        "GET /s/MINE/ HTTP/1.1\r\nX-Host: MY-HOST",
        "GET /s/MINE/ HTTP/1.0\r\nX-Host: MY-HOST",
        "GET http://THEIR-HOST/s/MINE/ HTTP/1.1\r\nHost: MY-HOST",
        "GET http://MY-HOST/s/MINE/ HTTP/1.1\r\nHost: THEIR-HOST",
    ],
    ids=range(17),
)
async def test_a_host_that_is_not_quite_a_sessions_gives_no_session(front: TwoSessions, lines: str) -> None:
    answers = await send(front, f"{lines}\r\nCookie: COOKIE\r\nConnection: close\r\n\r\n")
    assert not front.seen, answers
    assert len(statuses(answers)) == 1
    # What only the service could be asked for is one of its pages: never with a session's rights.
    assert statuses(answers)[0] in {302, 400, 404, 503}, answers


@pytest.mark.parametrize("front", ["origins"], indirect=True)
@pytest.mark.parametrize("host", ["MY-HOST:80", "MINE.SESSIONS.LocalHost", "MY-HOST:99999"])
async def test_the_same_host_written_in_another_way_is_the_same_session(front: TwoSessions, host: str) -> None:
    answers = await send(front, f"GET / HTTP/1.1\r\nHost: {host}\r\nCookie: COOKIE\r\nConnection: close\r\n\r\n")
    assert (statuses(answers), who_answered(answers)) == ([200], ["mine"])


async def test_no_second_token_is_tried(front: TwoSessions) -> None:
    """A cookie that is wrong is not made right by what else the request holds: one look at the table decides."""
    planted = f"Authorization: token {front.theirs.token}\r\n"
    answers = await send(
        front,
        f"GET /s/THEIRS/?token={front.theirs.token} HTTP/1.1\r\nHost: THEIR-HOST\r\nCookie: COOKIE\r\n"
        f"{planted}Connection: close\r\n\r\n",
    )
    assert statuses(answers) == [302 if front.settings.sessions_host else 404]
    assert not front.seen
