"""What an operator can keep from the code of repositories: the network, once what they depend on is there."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from binder.errors import RepositoryFault
from binder.paths import Paths
from binder.process import Account
from tests.builds import Builder, new_builder
from tests.repositories import Files, LocalRepository, Script

pytestmark = pytest.mark.slow


@pytest.fixture
async def listener() -> AsyncIterator[int]:
    """The port of a server on this host's loopback, which builds with a network can reach."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def asking(port: int) -> Script:
    return Script(f"#!/bin/sh\nexec python -c \"import socket; socket.create_connection(('127.0.0.1', {port}), 5)\"\n")


async def test_post_build_has_the_network_that_the_operator_gives(
    builder: Builder,
    paths: Paths,
    account: Account,
    make_repository: Callable[[Files], LocalRepository],
    listener: int,
) -> None:
    repository = make_repository({"postBuild": asking(listener)})
    sha = repository.git("rev-parse", "HEAD")
    built = await builder.build(repository.source, sha)
    await builder.forget([built.image])
    cut_off = await new_builder(paths, account, settings={"build_network": "dependencies"})
    with pytest.raises(RepositoryFault, match="postBuild") as caught:
        await cut_off.build(repository.source, sha)
    assert "Network is unreachable" in str(caught.value) or "status 1" in caught.value.message
