"""Requests of HTTP/2 that are made to be read in another way once they are HTTP/1.1, against the whole path.

Each is refused, or reaches one server as one clean request: never another session's, and never with another's rights.
What never ends is ended, and others are served meanwhile.
"""

import asyncio
import csv
import ssl
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from hpack import Encoder
from hyperframe.frame import ContinuationFrame, HeadersFrame, RstStreamFrame

from binder.settings import read_settings
from binder.store import open_store
from tests.build.registry_servers import write_certificate
from tests.proxy.conftest import free_port, made_folder, made_paths
from tests.proxy.two_sessions import TwoSessions, two_sessions, with_origins

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

Headers = list[tuple[str, str]]

_ANSWER_SECONDS = 5
_HEADERS_SECONDS = 10  # `timeout http-request`
_STREAMS_AT_ONCE = 100  # `tune.h2.max-concurrent-streams`, which nobody sets
_HIDDEN = "GET /s/THEIRS/ HTTP/1.1\r\nHost: THEIR-HOST\r\n\r\n"
_METHOD, _SCHEME, _HOST = (":method", "POST"), (":scheme", "https"), (":authority", "MY-HOST")
_PATH, _COOKIE = (":path", "/s/MINE/x"), ("cookie", "COOKIE")
_LINE = [_METHOD, _SCHEME, _HOST, _PATH, _COOKIE]


@dataclass
class Answer:
    """What came back: a status and a body, or none where the stream or the connection was broken off."""

    status: int | None = None
    body: bytes = b""
    is_over: bool = False

    def take(self, event: Event) -> None:
        """Take what happened."""
        match event:
            case ResponseReceived():
                self.status = next(int(value) for name, value in event.headers if name == b":status")
            case DataReceived():
                self.body += event.data
            case StreamEnded() | StreamReset() | ConnectionTerminated():
                self.is_over = True
            case _:
                pass


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["paths", "origins"])
async def front(request: pytest.FixtureRequest) -> AsyncIterator[TwoSessions]:
    """The whole path with TLS, open, with sessions at paths, and with sessions at origins of their own."""
    with made_folder() as folder:
        certificate, key = write_certificate(folder)
        pem = folder / "site.pem"
        pem.write_text(certificate.read_text() + key.read_text())
        listen = f"127.0.0.1:{free_port()}"
        settings = read_settings(
            state_dir=folder / "state",
            cache_dir=folder / "cache",
            listen=listen,
            url=f"https://{listen}",
            certificates=pem,
        )
        paths = made_paths(settings)
        async with (
            open_store(settings.store_url) as store,
            two_sessions(with_origins(settings, request.param), paths, store) as front,
        ):
            yield front


async def _connect(front: TwoSessions) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return await asyncio.open_connection(*front.proxy.listen, ssl=context)


def _speaker() -> H2Connection:
    """Return a connection that says whatever it is told to."""
    config = H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    connection = H2Connection(config)
    connection.initiate_connection()
    return connection


async def send(
    front: TwoSessions, headers: Headers, *, body: str | None = None, trailers: Headers | None = None
) -> Answer:
    """Send a request as it stands here, with what names the sessions put in; return what came back, if anything."""
    reader, writer = await _connect(front)
    speaker, answer = _speaker(), Answer()
    try:
        speaker.send_headers(1, _filled(front, headers), end_stream=body is None and trailers is None)
        if body is not None:
            speaker.send_data(1, front.filled(body).encode("latin-1"), end_stream=trailers is None)
        if trailers is not None:
            speaker.send_headers(1, _filled(front, trailers), end_stream=True)
        writer.write(speaker.data_to_send())
        async with asyncio.timeout(_ANSWER_SECONDS):
            while not answer.is_over and (data := await reader.read(2**16)):
                for event in speaker.receive_data(data):
                    answer.take(event)
    except (ConnectionResetError, ProtocolError):
        pass  # what comes after the end of a connection is nothing
    finally:
        writer.close()
    return answer


def _filled(front: TwoSessions, headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(front.filled(name).encode("latin-1"), front.filled(value).encode("latin-1")) for name, value in headers]


def _with(*headers: tuple[str, str], instead_of: str = "") -> Headers:
    return [*(one for one in _LINE if one[0] != instead_of), *headers]


def _first(*headers: tuple[str, str], instead_of: str = "") -> Headers:
    return [*headers, *(one for one in _LINE if one[0] != instead_of)]


ATTACKS: dict[str, tuple[Headers, str | None]] = {
    "no length": (_LINE, "hello"),
    "length too small": (_with(("content-length", "5")), "hello" + _HIDDEN),
    "length of nothing": (_with(("content-length", "0")), _HIDDEN),
    "length too large": (_with(("content-length", "500")), "hello"),
    "length without a body": (_with(("content-length", "5")), None),
    "two lengths": (_with(("content-length", "5"), ("content-length", "6")), "hello!"),
    "a list of lengths": (_with(("content-length", "5, 5")), "hello"),
    "a signed length": (_with(("content-length", "+5")), "hello"),
    "a length of base 16": (_with(("content-length", "0x5")), "hello"),
    "a length and a space": (_with(("content-length ", "0")), _HIDDEN),
    "chunks": (_with(("transfer-encoding", "chunked")), "0\r\n\r\n" + _HIDDEN),
    "chunks, written otherwise": (_with(("transfer-encoding", "\tchunked")), "0\r\n\r\n" + _HIDDEN),
    "no encoding": (_with(("transfer-encoding", "identity")), _HIDDEN),
    "te of trailers": (_with(("te", "trailers")), "hello"),
    "te of chunks": (_with(("te", "chunked")), "hello"),
    "te of both": (_with(("te", "trailers, chunked;q=1")), "hello"),
    "connection": (_with(("connection", "close, authorization, x-forwarded-for")), None),
    "keep-alive": (_with(("keep-alive", "timeout=1000")), None),
    "proxy-connection": (_with(("proxy-connection", "keep-alive")), None),
    "upgrade": (_with(("upgrade", "h2c"), ("http2-settings", "AAMAAABk")), None),
    "two methods": (_first((":method", "GET")), None),
    "two schemes": (_first((":scheme", "http")), None),
    "two paths": (_first((":path", "/s/THEIRS/")), None),
    "two authorities": (_first((":authority", "THEIR-HOST")), None),
    "no method": (_LINE[1:], None),
    "no scheme": (_first(instead_of=":scheme"), None),
    "no path": (_first(instead_of=":path"), None),
    "no authority": (_first(instead_of=":authority"), None),
    "an empty path": (_first((":path", ""), instead_of=":path"), None),
    "an empty method": (_first((":method", ""), instead_of=":method"), None),
    "late path": (_with((":path", "/s/THEIRS/")), None),
    "unknown pseudo": (_first((":x", "y")), None),
    "a status": (_first((":status", "200")), None),
    "another host": (_with(("host", "THEIR-HOST")), None),
    "host without authority": (_with(("host", "MY-HOST"), instead_of=":authority"), None),
    "two hosts": (_with(("host", "MY-HOST"), ("host", "THEIR-HOST"), instead_of=":authority"), None),
    "upper case": (_with(("X-Upper", "a")), None),
    "upper cookie": (_with(("Cookie", "COOKIE")), None),
    "line in a value": (_with(("x", "a\r\ncontent-length: 50")), None),
    "request in a value": (_with(("x", "a\r\n\r\n" + _HIDDEN)), None),
    "line feed in a value": (_with(("x", "a\nauthorization: token x")), None),
    "return in a value": (_with(("x", "a\rauthorization: token x")), None),
    "nothing in a value": (_with(("x", "a\0b")), None),
    "spaces about a value": (_with(("x", " a ")), None),
    "line in a name": (_with(("x\r\nauthorization: token x\r\ny", "a")), None),
    "colon in a name": (_with(("x: y", "a")), None),
    "space in a name": (_with(("x y", "a")), None),
    "no name": (_with(("", "a")), None),
    "line in the cookie": (_with(("cookie", "a\r\nauthorization: token x")), None),
    "line in the path": (_first((":path", f"/s/MINE/x HTTP/1.1\r\n\r\n{_HIDDEN}"), instead_of=":path"), None),
    "space in the path": (_first((":path", "/s/MINE/x /s/THEIRS/ HTTP/1.1"), instead_of=":path"), None),
    "tab in the path": (_first((":path", "/s/MINE/x\tHTTP/1.0"), instead_of=":path"), None),
    "an absolute path": (_first((":path", "https://MY-HOST/s/THEIRS/"), instead_of=":path"), None),
    "an absolute path of mine": (_first((":path", "https://THEIR-HOST/s/MINE/x"), instead_of=":path"), None),
    "two slashes": (_first((":path", "//s/MINE/x"), instead_of=":path"), None),
    "no slash": (_first((":path", "s/MINE/x"), instead_of=":path"), None),
    "asterisk": (_first((":path", "*"), instead_of=":path"), None),
    "fragment": (_first((":path", "/s/MINE/x#/s/THEIRS/"), instead_of=":path"), None),
    "line in the method": (_first((":method", f"{_HIDDEN}GET"), instead_of=":method"), None),
    "space in the method": (_first((":method", "GET /s/THEIRS/ HTTP/1.1"), instead_of=":method"), None),
    "line in the scheme": (_first((":scheme", f"https\r\n\r\n{_HIDDEN}"), instead_of=":scheme"), None),
    "an address as scheme": (_first((":scheme", "https://THEIR-HOST/s/THEIRS/?"), instead_of=":scheme"), None),
    "line in the authority": (_first((":authority", f"MY-HOST\r\n\r\n{_HIDDEN}"), instead_of=":authority"), None),
    "path in the authority": (_first((":authority", "MY-HOST/s/THEIRS/?"), instead_of=":authority"), None),
    "user in the authority": (_first((":authority", "MY-HOST@THEIR-HOST"), instead_of=":authority"), None),
    "CONNECT": ([(":method", "CONNECT"), (":authority", "127.0.0.1:22"), _COOKIE], None),
    "CONNECT with a path": (_first((":method", "CONNECT"), instead_of=":method"), None),
    "CONNECT for another protocol": (
        [(":method", "CONNECT"), (":protocol", "connect-udp"), _SCHEME, _HOST, _PATH, _COOKIE],
        None,
    ),
    "a protocol without CONNECT": (_first((":protocol", "websocket")), None),
    "TRACE": (_first((":method", "TRACE"), instead_of=":method"), None),
    "a large header": (_with(("x", "x" * 15_000)), None),
    "many headers": (_with(*[("x", "x")] * 300), None),
    "headers that say who asks": (
        _with(("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "http"), ("forwarded", "for=1.2.3.4")),
        None,
    ),
}

MUST_ARRIVE = {"no length", "te of trailers", "headers that say who asks"}


@pytest.mark.parametrize("name", ATTACKS)
async def test_each_is_refused_or_is_one_clean_request(front: TwoSessions, name: str) -> None:
    headers, body = ATTACKS[name]
    front.seen.clear()
    answer = await send(front, headers, body=body)
    asked = list(front.seen)
    assert asked or name not in MUST_ARRIVE, answer
    if asked:
        (came,) = asked
        assert answer.status == 200
        _is_clean(front, came, len(front.filled(body or "")))
    else:
        assert answer.status is None or 300 <= answer.status < 500 or answer.status in {501, 503}, answer
        assert b'"name"' not in answer.body
    await _next_request_is_its_own(front, len(asked))


def _is_clean(front: TwoSessions, came: dict[str, Any], body_bytes: int) -> None:
    assert came["name"] == "mine"
    assert came["path"].startswith(f"/s/{front.mine.id}/x") or front.settings.sessions_host
    assert " " not in came["path"]
    assert came["body_bytes"] == body_bytes
    headers = came["headers"]
    assert headers["authorization"] == f"token {front.mine.token}"
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.0.0.1", "https")
    assert headers["host"] == front.host(front.mine) or not front.settings.sessions_host
    assert not headers.keys() & {"upgrade", "http2-settings", "forwarded", "keep-alive", "proxy-connection"}
    assert headers.get("te", "trailers") == "trailers"
    assert headers["cookie"] == front.filled("COOKIE")


async def _next_request_is_its_own(front: TwoSessions, asked: int) -> None:
    """Nothing that was hidden in a request is waiting on the connections behind: the next one gets its own answer."""
    answer = await send(front, [*_LINE, ("x-next", "1")])
    assert (answer.status, len(front.seen)) == (200, asked + 1)
    assert front.seen[-1]["headers"]["x-next"] == "1"
    assert b'"x-next": "1"' in answer.body


@pytest.mark.parametrize(
    "trailers",
    [
        [("x", "y")],
        [("content-length", "0")],
        [("transfer-encoding", "chunked")],
        [("authorization", "token x"), ("cookie", "COOKIE"), ("host", "THEIR-HOST")],
        [(":path", "/s/THEIRS/")],
        [("x", "a\r\n\r\n" + _HIDDEN)],
        [("X", "y")],
    ],
    ids=["plain", "length", "encoding", "rights", "pseudo", "line", "case"],
)
async def test_what_comes_after_the_body_changes_nothing(front: TwoSessions, trailers: Headers) -> None:
    front.seen.clear()
    answer = await send(front, _LINE, body="hello", trailers=trailers)
    asked = list(front.seen)
    assert len(asked) == (1 if answer.status == 200 else 0), answer
    for came in asked:
        _is_clean(front, came, len("hello"))
    await _next_request_is_its_own(front, len(asked))


@pytest.mark.parametrize("part", [b"", b"x" * 16_000], ids=["empty", "full"])
async def test_headers_without_an_end_are_broken_off(front: TwoSessions, part: bytes) -> None:
    front.seen.clear()
    more = ContinuationFrame(1, Encoder().encode([(b"x", part)]) if part else b"").serialize() * 64
    reader, writer = await _connect(front)
    waits: list[float] = []
    began = time.monotonic()
    try:
        writer.write(_speaker().data_to_send() + HeadersFrame(1, Encoder().encode(_filled(front, _LINE))).serialize())
        async with asyncio.timeout(_HEADERS_SECONDS + _ANSWER_SECONDS):
            while not reader.at_eof():
                writer.write(more)
                await writer.drain()
                await asyncio.sleep(0)
                if time.monotonic() - began > len(waits):
                    waits.append(await _wait(front))
    except ConnectionError:
        pass
    finally:
        writer.close()
    assert max(waits) < _ANSWER_SECONDS / 2
    assert not front.seen
    await _next_request_is_its_own(front, 0)


async def test_streams_that_are_reset_at_once_hold_nobody_up(front: TwoSessions) -> None:
    front.seen.clear()
    encoder = Encoder()
    _, writer = await _connect(front)
    writer.write(_speaker().data_to_send())
    waits: list[float] = []
    try:
        for first in range(1, 10_000, 1000):
            for stream in range(first, first + 1000, 2):
                begin = HeadersFrame(stream, encoder.encode(_filled(front, _LINE)), flags=["END_HEADERS", "END_STREAM"])
                writer.write(begin.serialize() + RstStreamFrame(stream, error_code=8).serialize())
            async with asyncio.timeout(_ANSWER_SECONDS):
                await writer.drain()
            waits.append(await _wait(front))
    except ConnectionError:
        pass  # it may as well be broken off
    finally:
        writer.close()
    assert max(waits) < _ANSWER_SECONDS / 2
    assert await _most_at_once(front) <= _STREAMS_AT_ONCE + 1
    assert {came["name"] for came in front.seen} <= {"mine"}


async def _wait(front: TwoSessions) -> float:
    """Return how long HAProxy takes for an answer of its own, in seconds."""
    asks = [("access-control-request-method", "GET"), ("origin", "https://example.org")]
    began = time.monotonic()
    answer = await send(front, [*_first((":method", "OPTIONS"), instead_of=":method"), *asks])
    assert answer.status == 204
    return time.monotonic() - began


async def _most_at_once(front: TwoSessions) -> int:
    """Return how many requests were with sessions at the same time, at most."""
    reader, writer = await asyncio.open_unix_connection(str(front.paths.run / "haproxy" / "admin.sock"))
    writer.write(b"show stat sessions 2 -1\n")
    rows = csv.DictReader((await reader.read()).decode().splitlines())
    writer.close()
    return max(int(row["smax"]) for row in rows)
