"""Speaking with a notebook server that may say anything. (With a real one: `test_probe`.)"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from binder.errors import RepositoryFault, WorldFault
from deploy.facts import Usage
from deploy.jupyter import Client, Server, ask_kernel, channels_of, compute, new_kernel, text_of, usage_of

KERNEL = "0b8e6e0e-0000-4000-8000-000000000000"


@asynccontextmanager
async def server_that_says(*answers: bytes) -> AsyncIterator[Server]:
    """A server that gives these answers in turn, the last one for ever, and closes after each."""
    turns = itertools.chain(answers, itertools.repeat(answers[-1]))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"authorization: token T0KEN" in head.lower().replace(b"t0ken", b"T0KEN")
        writer.write(next(turns))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield Server.with_token("http://{}:{}/s/x/".format(*server.sockets[0].getsockname()), "T0KEN")


def _answer(body: object, status: str = "200 OK") -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(data), data)


async def test_a_server_is_up_once_it_lets_us_in() -> None:
    async with server_that_says(b"", _answer({}, "403 Forbidden"), _answer({})) as server, Client(server) as client:
        assert [await client.is_up() for _ in range(3)] == [False, False, True]
    async with Client(server) as client:
        assert not await client.is_up()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot JSON!",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        _answer([]),
        _answer({"last_activity": 5}),
        _answer({"last_activity": "now"}),
        _answer({"last_activity": "2026-01-01T00:00:00"}),
        _answer({"last_activity": "2026-01-01T00:00:00Z"}, "500 Oops"),
    ],
)
async def test_a_server_that_does_not_say_when_it_was_used(answer: bytes) -> None:
    async with server_that_says(answer) as server:
        assert await usage_of(server) == Usage(None, is_busy=False)


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b'"' + b"x" * 2**22
    async with server_that_says(endless) as server, Client(server) as client:
        with pytest.raises(RepositoryFault, match="too much"):
            await client.call("GET", "api/status")


async def test_a_call_has_a_time_limit() -> None:
    slow = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    async with server_that_says(slow) as server, Client(server) as client:
        with pytest.raises(WorldFault):
            await client.call("GET", "api/status", timeout_seconds=0.05)


@pytest.mark.parametrize("started", [{}, [], {"id": 5}, {"id": "../../api/shutdown"}, None])
async def test_what_is_no_kernel_is_not_asked(started: object) -> None:
    async with server_that_says(_answer(started)) as server, Client(server) as client:
        with pytest.raises(RepositoryFault, match="cannot start a kernel"):
            async with new_kernel(client):
                pass


async def test_a_server_without_python_gets_another_kernel() -> None:
    kinds: object = {"kernelspecs": {"ir": {}, "octave": {}}}
    answers = (_answer({}, "500 No such kernel"), _answer(kinds), _answer({"id": KERNEL}))
    async with server_that_says(*answers) as server, Client(server) as client, new_kernel(client) as kernel_id:
        assert kernel_id == KERNEL


Say = Callable[[dict[str, Any]], list[object]]


@asynccontextmanager
async def kernel_that_says(say: Say) -> AsyncIterator[Server]:
    """A kernel's WebSocket that answers a request with these messages."""

    async def answer(socket: ServerConnection) -> None:
        request = json.loads(await socket.recv())
        for message in say(request["header"]):
            await socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async with serve(answer, "127.0.0.1", 0) as server:
        yield Server.with_token("http://{}:{}/s/x/".format(*next(iter(server.sockets)).getsockname()), "T0KEN")


def _message(parent: object, kind: str, content: object, channel: str = "iopub") -> object:
    return {"channel": channel, "parent_header": parent, "msg_type": kind, "content": content}


async def _ask(say: Say, kind: str = "execute_request") -> list[str]:
    async with (
        asyncio.timeout(5),
        kernel_that_says(say) as server,
        channels_of(server, KERNEL) as socket,
    ):
        return [message["msg_type"] async for message in ask_kernel(socket, kind, {})]


async def test_all_that_belongs_to_a_request_is_heard() -> None:
    def say(header: dict[str, Any]) -> list[object]:
        return [
            _message({}, "status", {"execution_state": "starting"}),
            _message({"msg_id": "another"}, "stream", {"text": "not ours"}),
            _message(header, "status", {"execution_state": "busy"}),
            _message(header, "execute_reply", {}, "shell"),
            _message(header, "stream", {"text": "late"}),
            _message(header, "status", {"execution_state": "idle"}),
            _message(header, "stream", {"text": "too late"}),
        ]

    assert await _ask(say) == ["status", "execute_reply", "stream", "status"]
    assert await _ask(say, "kernel_info_request") == ["status", "execute_reply"]


@pytest.mark.parametrize("nonsense", ["", "not JSON", "[]", "5", b"\x00\x01", '{"parent_header": 5}', "[" * 100_000])
async def test_a_kernel_that_speaks_nonsense(nonsense: str | bytes) -> None:
    with pytest.raises(RepositoryFault, match="protocol"):
        await _ask(lambda _: [nonsense])


async def test_a_kernel_that_hangs_up() -> None:
    with pytest.raises(RepositoryFault, match="before it had answered"):
        await _ask(lambda _: [])


async def test_a_kernel_that_says_too_much_at_once() -> None:
    with pytest.raises(RepositoryFault, match="larger than 8 MiB"):
        await _ask(lambda _: ["x" * 9 * 2**20])


@pytest.mark.parametrize("state", ["restarting", "autorestarting", "dead"])
async def test_a_kernel_that_died_is_not_waited_for(state: str) -> None:
    with pytest.raises(RepositoryFault, match="The kernel died"):
        await _ask(lambda _: [_message({}, "status", {"execution_state": state})])


async def test_code_has_a_time_limit() -> None:
    slow = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    async with server_that_says(slow) as server:
        with pytest.raises(WorldFault):
            await compute(server, "1", timeout_seconds=0.05)


@pytest.mark.parametrize(
    ("kind", "content", "text"),
    [
        ("stream", {"name": "stdout", "text": "a\n"}, "a\n"),
        ("execute_result", {"data": {"text/plain": "42", "text/html": "<b>42</b>"}}, "42"),
        ("display_data", {"data": {"image/png": "…"}}, ""),
        ("status", {"execution_state": "idle"}, ""),
    ],
)
def test_the_text_of_a_cell(kind: str, content: dict[str, Any], text: str) -> None:
    assert text_of({"msg_type": kind, "content": content}) == text


def test_a_cell_that_fails_says_why() -> None:
    message = {"msg_type": "error", "content": {"ename": "NameError", "evalue": "name 'x' is not defined"}}
    with pytest.raises(RepositoryFault, match="NameError: name 'x' is not defined"):
        text_of(message)
