"""Blobs on their way into a real registry, over wires that break."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import respx

from binder.errors import OperatorFault, WorldFault
from build.registries import blobs, http
from build.registries.oci import (
    digest_of_bytes,
)
from tests.build.registry_servers import (
    RunningRegistry,
    opened,
    put,
    running_registry,
)
from tests.build.wires import Break, broken_wire

CHUNK = 64 * 2**10
BASE = "https://registry.example.org/v2/x"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry that lets everybody in."""
    with running_registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_PAUSES_SECONDS", (0.01, 0.02, 0.03))
    monkeypatch.setattr(blobs, "_PAUSE_SECONDS", 0.01)


async def test_a_large_blob_goes_in_chunks(server: RunningRegistry, tmp_path: Path) -> None:
    data = os.urandom(CHUNK * 3 + 5)
    (tmp_path / "blob").write_bytes(data)
    async with opened(server.host, "test/chunks", chunk_bytes=CHUNK) as registry:
        await registry.upload_blob(tmp_path / "blob", digest_of_bytes(data), len(data))
        assert await registry.blob(digest_of_bytes(data)) == data
    methods = [method for method, _ in server.methods("/v2/test/chunks/blobs/uploads/")]
    assert methods == ["POST", "PATCH", "PATCH", "PATCH", "PUT"]


@pytest.mark.parametrize("broken", [Break("PATCH", "503", 3), Break("PATCH", "cut", 3), Break("PUT", "503")])
async def test_what_has_arrived_is_not_sent_again(server: RunningRegistry, broken: Break) -> None:
    """The third chunk meets a registry in trouble, or a wire that is cut before it."""
    name = f"test/resumed-{broken.method.lower()}-{broken.kind}"
    data = os.urandom(CHUNK * 4 + 5)
    async with broken_wire(server.host, broken) as wire, opened(wire.host, name, chunk_bytes=CHUNK) as registry:
        await put(registry, data)
        assert wire.breaks == []
        assert len(data) <= wire.arrived_bytes < len(data) + CHUNK / 2
        assert await registry.blob(digest_of_bytes(data)) == data
    answered = server.methods(f"/v2/{name}/blobs/uploads/")
    assert answered.count(("POST", 202)) == 1
    assert answered.count(("GET", 204)) == 1
    assert answered.count(("PATCH", 202)) == 4


async def test_an_upload_that_breaks_within_a_chunk_still_arrives(server: RunningRegistry) -> None:
    """Debian's registry cannot say how much of a chunk it has: the upload begins anew."""
    data = os.urandom(CHUNK * 4)
    broken = Break("PATCH", "cut", 2, after_bytes=CHUNK // 2)
    async with (
        broken_wire(server.host, broken) as wire,
        opened(wire.host, "test/anew", chunk_bytes=CHUNK) as registry,
    ):
        await put(registry, data)
        assert wire.breaks == []
        assert await registry.blob(digest_of_bytes(data)) == data
    assert server.methods("/v2/test/anew/blobs/uploads/").count(("POST", 202)) == 2


async def test_a_blob_of_which_only_the_last_answer_was_lost_is_not_sent_again(server: RunningRegistry) -> None:
    data = os.urandom(CHUNK)
    async with broken_wire(server.host, Break("PUT", "lost")) as wire, opened(wire.host, "test/lost") as registry:
        await put(registry, data)
        assert wire.breaks == []
        assert wire.arrived_bytes < 2 * CHUNK
    assert server.methods("/v2/test/lost/blobs/uploads/") == [("POST", 202), ("PUT", 201)]


async def test_an_upload_is_given_up_in_the_end(server: RunningRegistry) -> None:
    breaks = [Break("PUT", "503", 1) for _ in range(6)]
    async with broken_wire(server.host, *breaks) as wire, opened(wire.host) as registry:
        with pytest.raises(WorldFault, match="503"):
            await put(registry, os.urandom(100))
        assert wire.breaks == []


@respx.mock
async def test_an_upload_goes_on_where_the_registry_says(server: RunningRegistry) -> None:
    """A registry that keeps to the specification knows how much of a chunk it has."""
    data, got = os.urandom(100), bytearray()

    def take(request: httpx.Request) -> httpx.Response:
        if not got:
            got.extend(request.content[:17])
            raise httpx.WriteError("cut")
        assert request.headers["Content-Range"] == f"{len(got)}-{len(got) + len(request.content) - 1}"
        got.extend(request.content)
        return httpx.Response(202, headers={"Range": f"0-{len(got) - 1}", "Location": f"u{len(got)}"})

    digest = digest_of_bytes(data)
    respx.head(f"{BASE}/blobs/{digest}").respond(404)
    respx.post(f"{BASE}/blobs/uploads/").respond(202, headers={"Location": "u0"})
    respx.patch(url__startswith=f"{BASE}/blobs/uploads/u").side_effect = take
    respx.get(f"{BASE}/blobs/uploads/u0").respond(204, headers={"Range": "0-16"})
    last = respx.put(url__regex=rf"{BASE}/blobs/uploads/u\d+\?digest=").respond(201)
    async with opened("registry.example.org", "x", plain_http=False, chunk_bytes=40) as registry:
        assert await put(registry, data) == 100
    assert bytes(got) + last.calls[0].request.content == data


@respx.mock
@pytest.mark.parametrize("headers", [{"Range": "0-0"}, {"Range": "0-9"}])
async def test_a_registry_that_takes_nothing_is_not_fed_for_ever(headers: dict[str, str]) -> None:
    data = os.urandom(100)
    respx.head(f"{BASE}/blobs/{digest_of_bytes(data)}").respond(404)
    respx.post(f"{BASE}/blobs/uploads/").respond(202, headers={"Location": "u"})
    respx.patch(f"{BASE}/blobs/uploads/u").respond(202, headers=headers)
    async with opened("registry.example.org", "x", plain_http=False, chunk_bytes=10) as registry:
        with pytest.raises(WorldFault, match="does not keep"):
            await put(registry, data)


@respx.mock
async def test_an_upload_that_has_arrived_whole_is_only_closed() -> None:
    data = os.urandom(100)
    respx.head(f"{BASE}/blobs/{digest_of_bytes(data)}").respond(404)
    respx.post(f"{BASE}/blobs/uploads/").respond(202, headers={"Location": "u"})
    respx.get(f"{BASE}/blobs/uploads/u").respond(204, headers={"Range": "0-99"})
    last = respx.put(url__startswith=f"{BASE}/blobs/uploads/u?digest=")
    last.side_effect = [httpx.ReadError("cut"), httpx.Response(201)]
    async with opened("registry.example.org", "x", plain_http=False) as registry:
        await put(registry, data)
    assert last.calls[1].request.content == b""
    assert "Content-Range" not in last.calls[1].request.headers


async def test_a_file_that_is_gone_is_the_operators(server: RunningRegistry, tmp_path: Path) -> None:
    async with opened(server.host) as registry:
        with pytest.raises(OperatorFault, match="cannot be read"):
            await registry.upload_blob(tmp_path / "gone", digest_of_bytes(b"gone"), 4)
