"""A repository of a real registry: what is put there is found again, and layers are laid on images."""

import gzip
import hashlib
import json
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import respx

from binder.errors import OperatorFault, WorldFault
from binder.paths import Paths
from binder.process import Account
from build.buildah import Buildah
from build.registries import blobs
from build.registries.oci import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    digest_of_bytes,
)
from build.registries.registry import Registry
from tests.build.registry_servers import (
    ARTIFACT,
    CHANGE,
    SECRET,
    USERNAME,
    RunningRegistry,
    opened,
    put,
    put_parent,
    running_registry,
    tar_of,
)

BASE = "https://registry.example.org/v2/x"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry that lets everybody in."""
    with running_registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
async def registry(server: RunningRegistry, request: pytest.FixtureRequest) -> AsyncIterator[Registry]:
    """A repository of this test's own, in the registry that lets everybody in."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    async with opened(server.host, f"test/{name}") as registry:
        yield registry


@pytest.fixture
async def remote() -> AsyncIterator[Registry]:
    """A repository of a registry that is driven by the test."""
    who = {"username": USERNAME, "password": SECRET}
    async with opened("registry.example.org", "x", plain_http=False, **who) as registry:
        yield registry


async def test_what_is_put_there_is_found_and_deleted(registry: Registry) -> None:
    assert await registry.manifest("parent") is None
    assert await registry.digest("parent") is None
    assert await registry.tags() == []
    digest = await put_parent(registry)
    assert await registry.digest("parent") == digest
    by_tag, by_digest = await registry.manifest("parent"), await registry.image_manifest(digest)
    assert by_tag == by_digest
    assert by_tag
    assert (by_tag.digest, by_tag.media_type) == (digest, OCI_MANIFEST)
    assert await registry.tags() == ["parent"]
    assert await registry.delete_manifest(digest)
    assert not await registry.delete_manifest(digest)
    assert await registry.manifest("parent") is None


async def test_a_blob_that_is_there_is_not_sent(registry: Registry, server: RunningRegistry) -> None:
    data = os.urandom(1000)
    assert not await registry.has_blob(digest_of_bytes(data))
    assert await put(registry, data) == 1000
    before = len(server.requests())
    assert await put(registry, data) == 0
    assert await registry.blob(digest_of_bytes(data)) == data
    assert [method for method, _, _ in server.requests()[before:]] == ["HEAD", "GET"]


@pytest.mark.parametrize("in_memory_bytes", [2**20, 0])
async def test_a_layer_is_laid_on_an_image(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory_bytes: int
) -> None:
    monkeypatch.setattr(blobs, "_IN_MEMORY_BYTES", in_memory_bytes)
    await put_parent(registry)
    plain = tar_of(notebook=os.urandom(5000))
    (tmp_path / "content.tar").write_bytes(plain)
    diff_id = digest_of_bytes(plain)
    made = await registry.append("parent", tmp_path / "content.tar", diff_id, len(plain), CHANGE, "content-1")
    assert made
    assert made.sent_bytes == made.layer.size
    manifest = await registry.manifest("content-1")
    assert manifest
    assert manifest.digest == made.digest
    tree = json.loads(manifest.data)
    assert len(tree["layers"]) == 2
    assert gzip.decompress(await registry.blob(tree["layers"][1]["digest"])) == plain
    config = json.loads(await registry.blob(tree["config"]["digest"]))
    assert config["rootfs"]["diff_ids"][1] == diff_id
    assert config["config"] == {"Cmd": ["jupyter-lab"], "Labels": {"a": "b"}}
    assert [path.name for path in tmp_path.iterdir()] == ["content.tar"]
    again = await registry.append("parent", tmp_path / "content.tar", diff_id, len(plain), CHANGE, "content-2")
    assert again == replace(made, sent_bytes=0)


async def test_nothing_is_laid_on_an_image_that_is_gone(registry: Registry, tmp_path: Path) -> None:
    assert await registry.append("parent", tmp_path / "none.tar", "", 0, CHANGE, "content-1") is None


async def test_a_layer_that_cannot_be_read_is_the_operators(registry: Registry, tmp_path: Path) -> None:
    await put_parent(registry)
    for size in (0, 2**30):
        with pytest.raises(OperatorFault, match="compressed"):
            await registry.append("parent", tmp_path / "none.tar", digest_of_bytes(b""), size, CHANGE, "content-1")


async def test_of_an_index_the_image_for_us_is_built_on(registry: Registry) -> None:
    digest = await put_parent(registry)
    manifest = await registry.manifest(digest)
    assert manifest
    platform = {"os": "linux", "architecture": "amd64"}
    entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(manifest.data), "platform": platform}
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
    await registry.put_manifest("several", index, OCI_INDEX)
    assert await registry.image_manifest("several") == manifest


async def test_documents_are_kept_under_tags(registry: Registry) -> None:
    assert await registry.artifact("lock-1") is None
    await registry.put_artifact("lock-1", b'{"pypi": []}', ARTIFACT)
    assert await registry.artifact("lock-1") == b'{"pypi": []}'
    await registry.put_artifact("lock-1", b"new", ARTIFACT)
    assert await registry.artifact("lock-1") == b"new"
    with pytest.raises(WorldFault, match="more than"):
        await registry.artifact("lock-1", most_bytes=2)


async def test_an_image_is_no_document(registry: Registry, tmp_path: Path) -> None:
    await put_parent(registry)
    (tmp_path / "tar").write_bytes(tar_of())
    await registry.append("parent", tmp_path / "tar", digest_of_bytes(b""), 1, CHANGE, "content-1")
    with pytest.raises(WorldFault, match="no document"):
        await registry.artifact("content-1")


async def test_a_manifest_whose_blobs_are_not_there_is_refused(registry: Registry) -> None:
    config = {"mediaType": OCI_CONFIG, "digest": digest_of_bytes(b"nowhere"), "size": 7}
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
    with pytest.raises(WorldFault, match="MANIFEST_BLOB_UNKNOWN"):
        await registry.put_manifest("bad", json.dumps(manifest).encode())


async def test_a_blob_that_is_not_what_it_says_is_refused(registry: Registry) -> None:
    with pytest.raises(WorldFault, match="DIGEST_INVALID"):
        await registry.upload_blob(b"something", digest_of_bytes(b"other"), 9)


@pytest.mark.parametrize("tag", ["", "../x", "a/b", "a?b", "-a", "a" * 129, "sha256:1", "é"])
async def test_what_is_no_tag_is_never_asked_for(registry: Registry, tag: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        await registry.manifest(tag)


@pytest.mark.parametrize(
    "reference", ["", "host", "host/", "/path", "host/UPPER", "https://host/path", "host:x/path", "u:p@host/path"]
)
def test_a_wrong_reference_names_its_setting(reference: str) -> None:
    with pytest.raises(OperatorFault, match=r"BINDER_REGISTRY\b"):
        Registry(reference)


@respx.mock
@pytest.mark.parametrize(
    "following", ["/v2/x/tags/list?n=1000&last=b", "list?last=b", "https://other.example.org/v2/x/tags/list?last=b"]
)
async def test_a_list_in_pages(remote: Registry, following: str) -> None:
    pages = respx.get(f"{BASE}/tags/list")
    pages.side_effect = [
        httpx.Response(200, json={"tags": ["a", "b"]}, headers={"Link": f'<{following}>; rel="next"'}),
        httpx.Response(200, json={"tags": ["c"]}),
    ]
    assert await remote.tags() == ["a", "b", "c"]
    assert pages.calls[1].request.url.params["last"] == "b"


@respx.mock
@pytest.mark.parametrize("following", ["?last=b", "http://["])
async def test_a_list_without_end(remote: Registry, following: str) -> None:
    respx.get(f"{BASE}/tags/list").respond(json={"tags": ["a"]}, headers={"Link": f'<{following}>; rel="next"'})
    with pytest.raises(WorldFault, match="list of tags"):
        await remote.tags()


@respx.mock
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"tags": 1}', b"[" * 10_000])
async def test_a_list_that_cannot_be_read(remote: Registry, body: bytes) -> None:
    respx.get(f"{BASE}/tags/list").respond(content=body)
    with pytest.raises(WorldFault, match="cannot be read"):
        await remote.tags()


@respx.mock
async def test_another_thing_than_what_was_asked_for(remote: Registry) -> None:
    digest = digest_of_bytes(b"data")
    respx.get(f"{BASE}/blobs/{digest}").respond(content=b"other")
    respx.get(f"{BASE}/manifests/{digest}").respond(content=b"other")
    respx.get(f"{BASE}/manifests/t").respond(content=b"other", headers={"Docker-Content-Digest": digest})
    respx.put(f"{BASE}/manifests/t").respond(201, headers={"Docker-Content-Digest": digest})
    for ask in (remote.blob(digest), remote.manifest(digest), remote.manifest("t"), remote.put_manifest("t", b"{}")):
        with pytest.raises(WorldFault):
            await ask


@pytest.mark.slow
async def test_podmans_store_takes_what_was_laid_on_an_image(
    registry: Registry, tmp_path: Path, engine_paths: Paths, account: Account
) -> None:
    await put_parent(registry)
    plain = tar_of(notebook=b"of the commit")
    (tmp_path / "content.tar").write_bytes(plain)
    made = await registry.append(
        "parent", tmp_path / "content.tar", digest_of_bytes(plain), len(plain), CHANGE, "content-1"
    )
    assert made
    buildah = Buildah(engine_paths, account, timeout_seconds=60)
    lines: list[str] = []

    async def take(line: str) -> None:
        lines.append(line)

    image = f"{registry.reference}:content-1"
    script = """
        set -eu
        buildah pull --quiet --tls-verify=false "docker://$1" >/dev/null
        container=$(buildah from --pull-never "$1")
        trap 'buildah rm "$container" >/dev/null; buildah rmi "$1" >/dev/null' EXIT
        folder=$(buildah mount "$container")
        cat "$folder/home/jovyan/below" "$folder/home/jovyan/notebook"
    """
    try:
        await buildah.run_script(script, image, step="pull", take=take)
    finally:
        assert image not in await buildah.images()
    assert lines == ["1of the commit"]
