"""Requests that are made to be read in two ways, against the whole path: real HAProxy, real pages, real upstreams.

Each is refused, or lands where it belongs: never at another session, and never in the service with a session's rights.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from binder.lifecycle import SessionState
from binder.paths import Paths
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import Session
from tests.proxy.front import Proxy, service_in
from tests.proxy.rows import add_build, add_repository, add_session
from tests.proxy.upstreams import mirror

pytestmark = pytest.mark.slow

_ANSWER_SECONDS = 5


class Front:
    """The whole path, with one session of ours and one of another's, whose server calls itself so."""

    def __init__(self, proxy: Proxy, mine: Session, theirs: Session) -> None:
        self.proxy = proxy
        self.mine = mine
        self.theirs = theirs

    async def send(self, text: str) -> str:
        """Send bytes as they stand here, with what names the sessions put in, and return all that comes back."""
        text = text.replace("MINE", self.mine.id).replace("THEIRS", self.theirs.id).replace("TOKEN", self.mine.token)
        reader, writer = await asyncio.open_connection(*self.proxy.listen)
        try:
            writer.write(text.encode("latin-1"))
            async with asyncio.timeout(_ANSWER_SECONDS):
                return (await reader.read()).decode("latin-1")
        except ConnectionResetError:
            return ""
        finally:
            writer.close()


@pytest.fixture
async def front(settings: Settings, paths: Paths, store: Store) -> AsyncIterator[Front]:
    """The whole path, open."""
    build = await add_build(store, await add_repository(store))
    async with AsyncExitStack() as stack:
        targets = [await stack.enter_async_context(mirror(name)) for name in ("mine", "theirs")]
        mine, theirs = [await add_session(store, build, SessionState.OPEN, target=target) for target in targets]
        proxy = await stack.enter_async_context(service_in(settings, paths, store))
        yield Front(proxy, mine, theirs)


def statuses(answers: str) -> list[int]:
    """Return the statuses of the answers that came over a connection."""
    return [int(status) for status in re.findall(r"HTTP/1\.[01] (\d{3}) ", answers)]


def who_answered(answers: str) -> list[str]:
    """Return the sessions that answered, in their order."""
    return re.findall(r'{"name": "(\w+)"', answers)


_LINE = "POST /s/MINE/x HTTP/1.1\r\nHost: a\r\nCookie: binder-session=TOKEN\r\n"
_HIDDEN = "GET /s/THEIRS/ HTTP/1.1\r\nHost: a\r\n\r\n"


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
        "GET http://b/s/MINE/ HTTP/1.1\r\nHost: a\r\nCookie: binder-session=TOKEN\r\n\r\n" + _HIDDEN,
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
async def test_what_can_be_read_in_two_ways_is_refused_once_and_for_all(front: Front, request_: str) -> None:
    answers = await front.send(request_)
    assert len(statuses(answers)) <= 1, answers
    assert set(statuses(answers)) <= {400, 414, 505}, answers
    assert not who_answered(answers)


@pytest.mark.parametrize("encoding", ["chunked", " chunked ", "Chunked", "\tchunked"])
async def test_a_length_beside_chunks_hides_no_request(front: Front, encoding: str) -> None:
    hidden = f"0\r\n\r\n{_HIDDEN}"
    lines = f"Content-Length: {len(hidden)}\r\nTransfer-Encoding:{encoding}\r\nConnection: close\r\n\r\n"
    answers = await front.send(_LINE + lines + hidden)
    assert who_answered(answers) == ["mine"]
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
        _LINE.replace("/s/", "http://a/s/") + "Connection: close\r\n\r\n",
        "\r\n" + _LINE + "Connection: close\r\n\r\n",
        _LINE + 'Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n1;a="b"\r\nx\r\n0\r\nX: trailer\r\n\r\n',
        _LINE + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: close, Upgrade, HTTP2-Settings\r\n\r\n",
        _LINE + "Connection: close, Cookie, Authorization, X-Forwarded-For\r\n\r\n",
        _LINE + "Expect: 100-continue\r\nConnection: close\r\n\r\n",
    ],
    ids=range(11),
)
async def test_what_is_odd_is_carried_in_one_reading_or_refused(front: Front, request_: str) -> None:
    answers = await front.send(request_)
    final = [status for status in statuses(answers) if status != 100]
    assert final in ([200], [400]), answers
    assert who_answered(answers) == (["mine"] if final == [200] else [])
    if final == [200]:
        seen = json.loads(answers[answers.index('{"name"') : answers.rindex("}") + 1])["headers"]
        assert seen["authorization"] == f"token {front.mine.token}"
        assert seen["x-forwarded-for"] == "127.0.0.1"
        assert not seen.keys() & {"upgrade", "http2-settings"}


@pytest.mark.parametrize("target", ["/s/MINE/", "/s/THEIRS/"])
async def test_pipelined_requests_are_answered_in_their_order(front: Front, target: str) -> None:
    """Each by its own session, and by none where the token is another's."""
    tokens = {"MINE": front.mine.token, "THEIRS": front.theirs.token}
    order = ["MINE", "THEIRS", "THEIRS", "MINE", "MINE", "THEIRS"]
    requests = [
        f"GET /s/{name}/ HTTP/1.1\r\nHost: a\r\nCookie: binder-session={tokens[name]}\r\n\r\n" for name in order
    ]
    requests[3:3] = [f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"]
    answers = await front.send("".join(requests) + "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert who_answered(answers) == [name.lower() for name in order]
    assert statuses(answers) == [200, 200, 200, 404, 200, 200, 200, 200]


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
        "/s/MINE/http://a/s/THEIRS/",
        "http://a/s/MINE/../THEIRS/",
        "/s/MINE/%00/s/THEIRS/",
        "/s/MINE/x?token=x",
    ],
)
async def test_a_path_below_a_session_stays_there(front: Front, path: str) -> None:
    answers = await front.send(
        f"GET {path} HTTP/1.1\r\nHost: a\r\nCookie: binder-session=TOKEN\r\nConnection: close\r\n\r\n"
    )
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
async def test_a_path_that_is_not_a_sessions_gives_no_session(front: Front, path: str) -> None:
    cookie = "" if "TOKEN/" in path else "Cookie: binder-session=TOKEN\r\n"
    answers = await front.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n{cookie}Connection: close\r\n\r\n")
    assert not who_answered(answers), answers
    assert len(statuses(answers)) == 1
    # 503: what the service reads as the address of a session of this visitor's, it promises to lead to.
    assert statuses(answers)[0] in {400, 404, 503}, answers


async def test_no_second_token_is_tried(front: Front) -> None:
    """A cookie that is wrong is not made right by what else the request holds: one look at the table decides."""
    planted = f"Authorization: token {front.theirs.token}\r\n"
    answers = await front.send(
        f"GET /s/THEIRS/?token={front.theirs.token} HTTP/1.1\r\nHost: a\r\nCookie: binder-session=TOKEN\r\n"
        f"{planted}Connection: close\r\n\r\n"
    )
    assert (statuses(answers), who_answered(answers)) == ([404], [])
