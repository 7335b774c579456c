"""Builds at the same time: each gets its own image, whatever the others do meanwhile."""

import asyncio
from collections.abc import Callable

import pytest

from tests.builds import Builder
from tests.repositories import Files, LocalRepository

pytestmark = pytest.mark.slow

MakeRepository = Callable[[Files], LocalRepository]

_AT_ONCE = 6
_TURNS = 3


async def test_builds_at_the_same_time_get_each_its_own_files(
    builder: Builder, make_repository: MakeRepository
) -> None:
    repositories = [make_repository({"whose.txt": f"{number}\n"}) for number in range(_AT_ONCE)]
    await builder.build(repositories[0].source, repositories[0].commit({"first.txt": ""}))
    for turn in range(_TURNS):
        shas = [repository.commit({"turn.txt": f"{turn}\n"}) for repository in repositories]
        built = await asyncio.gather(
            *(builder.build(one.source, sha) for one, sha in zip(repositories, shas, strict=True))
        )
        assert {one.way for one in built} == {"content"}
        found = [await builder.inside(one.image, "cat whose.txt turn.txt") for one in built]
        await builder.forget([one.image for one in built])
        assert found == [[str(number), str(turn)] for number in range(_AT_ONCE)]
