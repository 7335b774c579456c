"""How a registry lets us in: real ones that want a password or a token, and what they may ask for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from binder.errors import OperatorFault, WorldFault
from build.registries.access import Access, read_challenge, read_token
from tests.build.registry_servers import (
    ARTIFACT,
    PASSWORD,
    SECRET,
    USERNAME,
    RunningRegistry,
    opened,
    running_registry,
    running_token_server,
)


@pytest.fixture(scope="module")
def safe_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry that wants a password, over TLS."""
    with running_registry(tmp_path_factory.mktemp("registry"), password=True, tls=True) as server:
        yield server


async def test_a_password_over_tls(safe_server: RunningRegistry) -> None:
    settings: dict[str, Any] = {"plain_http": False, "certificates": safe_server.certificates}
    async with opened(safe_server.host, username=USERNAME, password=SECRET, **settings) as registry:
        await registry.put_artifact("lock-1", b"document", ARTIFACT)
        assert await registry.artifact("lock-1") == b"document"
        assert safe_server.methods("").count(("HEAD", 401)) == 1
        assert sum(status == 401 for _, status in safe_server.methods("")) == 1
        assert PASSWORD not in repr(vars(registry)) + repr(vars(registry._connection))


@pytest.mark.parametrize("who", [{}, {"username": USERNAME, "password": SecretStr("wrong-password")}])
async def test_who_is_not_let_in_reads_the_names_of_the_settings(
    safe_server: RunningRegistry, who: dict[str, Any]
) -> None:
    settings: dict[str, Any] = {"plain_http": False, "certificates": safe_server.certificates}
    async with opened(safe_server.host, **settings, **who) as registry:
        for ask in (registry.tags, registry.tags):
            with pytest.raises(OperatorFault, match=r"BINDER_REGISTRY_USERNAME.*BINDER_REGISTRY_PASSWORD") as raised:
                await ask()
            assert "wrong-password" not in str(raised.value)


async def test_tokens_are_got_for_the_password_and_used_until_they_expire(tmp_path: Path) -> None:
    with running_token_server(tmp_path) as tokens, running_registry(tmp_path, auth=tokens.auth) as server:
        async with opened(server.host, "test/x", username=USERNAME, password=SECRET) as registry:
            digest = await registry.put_artifact("lock-1", b"document", ARTIFACT)
            assert await registry.artifact("lock-1") == b"document"
            assert await registry.delete_manifest(digest)
        scopes = [scope for scope, allowed in tokens.asked if allowed]
    kinds = [frozenset(scope.rpartition(":")[2].split(",")) for scope in scopes]
    assert kinds == [{"pull"}, {"pull", "push"}, {"delete"}]


async def test_an_expired_token_is_got_anew(tmp_path: Path) -> None:
    with (
        running_token_server(tmp_path, token_seconds=-3600) as tokens,
        running_registry(tmp_path, auth=tokens.auth) as server,
    ):
        async with opened(server.host, "test/x", username=USERNAME, password=SECRET) as registry:
            with pytest.raises(OperatorFault):
                await registry.tags()
            tokens.token_seconds = 1
            assert await registry.tags() == []
            before = len(tokens.asked)
            registry._connection._access._tokens["pull"] = read_token(b'{"token": "old"}', now=-1e6)
            assert await registry.tags() == []
            assert len(tokens.asked) == before + 1


async def test_no_token_without_the_password(tmp_path: Path) -> None:
    with running_token_server(tmp_path) as tokens, running_registry(tmp_path, auth=tokens.auth) as server:
        async with opened(server.host, "test/x", username=USERNAME, password=SecretStr("wrong-password")) as registry:
            with pytest.raises(OperatorFault, match="BINDER_REGISTRY_USERNAME"):
                await registry.tags()
        assert tokens.asked == [("repository:test/x:pull", False)]


@pytest.mark.parametrize(
    ("header", "scheme", "parameters"),
    [
        ('Basic realm="a, b"', "basic", {"realm": "a, b"}),
        ("basic", "basic", {}),
        ('Bearer realm="https://x/t",service="s",scope="repository:a:pull,push"', "bearer", None),
        ('Basic realm="x", Bearer realm="https://x/t", service="s", scope="repository:a:pull,push"', "bearer", None),
        ('Bearer realm="https://x/t" , service=s , scope="repository:a:pull,push", Basic', "bearer", None),
    ],
)
def test_what_a_registry_asks_for(header: str, scheme: str, parameters: dict[str, str] | None) -> None:
    challenge = read_challenge(header)
    assert challenge
    assert challenge.scheme == scheme
    token = {"realm": "https://x/t", "service": "s", "scope": "repository:a:pull,push"}
    assert challenge.parameters == (token if parameters is None else parameters)


@pytest.mark.parametrize("header", ["", "Negotiate", 'Digest realm="Basic"', '"Basic', "," * 100_000])
def test_what_nobody_here_can_answer(header: str) -> None:
    assert read_challenge(header) is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"token": "a\\nb"}', b'{"token": "a", "expires_in": "x"}'])
def test_what_is_no_token(body: bytes) -> None:
    with pytest.raises(WorldFault):
        read_token(body, 0)


async def test_the_password_is_not_given_to_a_place_where_others_can_listen() -> None:
    async def never(*_: object) -> bytes:
        raise AssertionError("was asked")

    for realm in ("http://other.example.org/t", "http://registry.example.org/t", "//x/t", "file:///t", ""):
        access = Access("registry.example.org", USERNAME, SECRET, plain_http=False)
        with pytest.raises(OperatorFault, match="not https"):
            await access.meet(f'Bearer realm="{realm}",service="s"', "GET", None, never)
