"""Rows for tests of the store."""

from binder.store import Store
from binder.store.tables import Build, Repository

SHA = "0123456789abcdef0123456789abcdef01234567"


async def add_repository(store: Store, name: str = "notebooks") -> Repository:
    """Add a repository of Ada's."""
    repository = Repository(
        host="github.com", owner="ada", name=name, clone_url=f"https://git.example.org/ada/{name}.git"
    )
    async with store.write() as session:
        session.add(repository)
    return repository


async def add_builds(store: Store, count: int) -> list[int]:
    """Add a repository with queued builds, and return the builds' ids."""
    repository = await add_repository(store)
    builds = [Build(repository_id=repository.id, sha=f"{number:040x}") for number in range(count)]
    async with store.write() as session:
        session.add_all(builds)
    return [build.id for build in builds]
