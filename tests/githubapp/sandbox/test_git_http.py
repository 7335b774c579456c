"""Git over HTTP, with the real git at the other end."""

import asyncio
import gzip
import os
from pathlib import Path

import httpx
import pytest

from tests.githubapp.sandbox.conftest import Stage
from tests.githubapp.sandbox.git_checkout import GitFailedError, git


async def _clone(stage: Stage, folder: Path, url: str) -> str:
    await git(stage.checkout.folder, "clone", "--quiet", url, str(folder))
    return await git(folder, "rev-parse", "HEAD")


async def test_anybody_clones_a_public_repository(stage: Stage, tmp_path: Path) -> None:
    assert await _clone(stage, tmp_path / "one", stage.sandbox.clone_url("ada/demo")) == stage.first_sha
    without_suffix = stage.sandbox.clone_url("ada/demo").removesuffix(".git")
    assert await _clone(stage, tmp_path / "two", without_suffix) == stage.first_sha


async def test_only_those_who_may_push(stage: Stage) -> None:
    for login, message in ((None, "could not read Username"), ("bob", "denied")):
        with pytest.raises(GitFailedError, match=message):
            await stage.checkout.push(stage.sandbox.clone_url("ada/demo", login=login), "HEAD:refs/heads/other")


async def test_a_collaborator_pushes(stage: Stage) -> None:
    await stage.sandbox.set_role("ada/demo", login="bob", role="write")
    await stage.checkout.push(stage.sandbox.clone_url("ada/demo", login="bob"), "HEAD:refs/heads/bobs")
    assert "push" in await stage.heard()
    assert stage.receiver.of("push")[0]["pusher"]["name"] == "bob"


async def test_a_private_repository_is_hidden(stage: Stage, tmp_path: Path) -> None:
    await stage.sandbox.set_private("ada/demo", private=True)
    with pytest.raises(GitFailedError, match="could not read Username"):
        await _clone(stage, tmp_path / "nobody", stage.sandbox.clone_url("ada/demo"))
    with pytest.raises(GitFailedError, match="not found"):
        await _clone(stage, tmp_path / "bob", stage.sandbox.clone_url("ada/demo", login="bob"))
    assert await _clone(stage, tmp_path / "ada", stage.url) == stage.first_sha


async def test_a_missing_repository_looks_like_a_hidden_one(stage: Stage) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        path = "/info/refs?service=git-upload-pack"
        answer = await client.get(f"{stage.sandbox.url}/ada/missing.git{path}")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Basic realm="GitHub"')
        auth = ("bob", stage.sandbox.world.account("bob").token or "")
        assert (await client.get(f"{stage.sandbox.url}/ada/missing.git{path}", auth=auth)).status_code == 404


async def test_an_installation_clones_a_private_repository(stage: Stage, tmp_path: Path) -> None:
    await stage.sandbox.set_private("ada/demo", private=True)
    token = await asyncio.to_thread(stage.installation_token, contents="read")
    url = stage.sandbox.clone_url("ada/demo").replace("://", f"://x-access-token:{token}@")
    assert await _clone(stage, tmp_path / "app", url) == stage.first_sha
    with pytest.raises(GitFailedError, match="denied"):
        await stage.checkout.push(url, "HEAD:refs/heads/app")


async def test_an_installation_without_contents_clones_nothing(stage: Stage, tmp_path: Path) -> None:
    await stage.sandbox.set_private("ada/demo", private=True)
    token = await asyncio.to_thread(stage.installation_token, statuses="write")
    url = stage.sandbox.clone_url("ada/demo").replace("://", f"://x-access-token:{token}@")
    with pytest.raises(GitFailedError, match="denied"):
        await _clone(stage, tmp_path / "app", url)


async def test_a_wrong_token_is_refused_even_for_a_public_repository(stage: Stage) -> None:
    """git itself sends a token only when it is asked for one; others send it at once."""
    address = f"{stage.sandbox.url}/ada/demo.git/info/refs?service=git-upload-pack"
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(address, auth=("ada", "ghp_wrong"))).status_code == 401
        assert (await client.get(address, headers={"authorization": "Bearer x"})).status_code == 401
        assert (await client.get(address, headers={"authorization": "Basic %%%"})).status_code == 401


async def test_a_sha_is_fetched_though_no_branch_has_it_any_more(stage: Stage, tmp_path: Path) -> None:
    lost = await stage.push("Lost", "topic")
    await stage.checkout.push(stage.url, ":refs/heads/topic")
    await git(tmp_path, "init", "--quiet", "fresh")
    fresh = tmp_path / "fresh"
    await git(fresh, "fetch", "--quiet", "--depth=1", stage.sandbox.clone_url("ada/demo"), lost)
    assert await git(fresh, "rev-parse", "FETCH_HEAD") == lost


async def test_a_large_push_comes_whole(stage: Stage, tmp_path: Path) -> None:
    """Above `http.postBuffer` git sends the pack in chunks, without a length."""
    (stage.checkout.folder / "large.bin").write_bytes(
        bytes(range(256)) * 1 + b"".join(index.to_bytes(8, "little") for index in range(400_000))
    )
    await stage.checkout.git("config", "core.compression", "0")
    sha = await stage.push("Large")
    assert await _clone(stage, tmp_path / "copy", stage.sandbox.clone_url("ada/demo")) == sha


async def test_a_compressed_request_is_understood(stage: Stage) -> None:
    lines = [f"0032want {stage.first_sha}\n".encode(), b"0000", b"0009done\n"]
    headers = {"content-encoding": "gzip", "content-type": "application/x-git-upload-pack-request"}
    async with httpx.AsyncClient(trust_env=False) as client:
        address = f"{stage.sandbox.url}/ada/demo.git/git-upload-pack"
        answer = await client.post(address, content=gzip.compress(b"".join(lines)), headers=headers)
    assert answer.status_code == 200
    assert b"PACK" in answer.content


async def test_nobody_writes_the_refs_of_pull_requests(stage: Stage) -> None:
    with pytest.raises(GitFailedError, match="hidden ref"):
        await stage.checkout.push(stage.url, "HEAD:refs/pull/1/head")


async def test_an_archived_repository_takes_no_push(stage: Stage) -> None:
    await stage.sandbox.set_archived("ada/demo", archived=True)
    with pytest.raises(GitFailedError, match="read-only"):
        await stage.checkout.push(stage.url, "HEAD:refs/heads/late")


async def test_an_old_name_leads_to_the_new_one(stage: Stage, tmp_path: Path) -> None:
    await stage.sandbox.rename_repository("ada/demo", name="renamed")
    assert await _clone(stage, tmp_path / "one", stage.sandbox.clone_url("ada/demo")) == stage.first_sha


async def test_nothing_else_is_served(stage: Stage) -> None:
    paths = [
        "/ada/demo.git/HEAD",
        "/ada/demo.git/objects/info/packs",
        "/ada/demo.git/config",
        "/ada/..%2Fdemo.git/info/refs?service=git-upload-pack",
        "/../ada/demo.git/info/refs?service=git-upload-pack",
        "/ada/%2e%2e/info/refs?service=git-upload-pack",
        "/-/demo.git/info/refs?service=git-upload-pack",
    ]
    for path in paths:
        assert await _status_of(stage, path) in {b"404", b"401"}, path


async def _status_of(stage: Stage, path: str) -> bytes:
    """The answer's code to a path that no client would send as it is."""
    host, port = stage.sandbox.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line.split()[1]


async def test_dumb_http_is_refused(stage: Stage) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{stage.sandbox.url}/ada/demo.git/info/refs")).status_code == 403


async def test_a_client_that_hangs_up_leaves_no_child(stage: Stage) -> None:
    host, port = stage.sandbox.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    kind = "Content-Type: application/x-git-upload-pack-request"
    head = f"POST /ada/demo.git/git-upload-pack HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: 1000\r\n\r\n0032want "
    writer.write(head.encode())
    await _until_children_are(1)
    writer.close()
    await writer.wait_closed()
    await _until_children_are(0)


async def _until_children_are(number: int) -> None:
    async with asyncio.timeout(5):
        while _children() != number:  # noqa: ASYNC110 - processes tell nobody that they began
            await asyncio.sleep(0.02)


def _children() -> int:
    """How many `git http-backend` run below this process."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    commands = [Path(f"/proc/{child}/cmdline") for child in children]
    return sum(b"http-backend" in command.read_bytes() for command in commands if command.exists())
