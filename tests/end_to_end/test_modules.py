"""Repositories that ask for modules, on podman: their examples run from top to bottom in the sessions of visitors."""

from pathlib import Path

import pytest

from binder.paths import Paths
from binder.process import Account
from deploy.manifests import pod_name
from deploy.podman_calls import Podman
from tests.end_to_end.modules import (
    ALL_COUNT,
    DATABASES,
    EXPECTED,
    FIND,
    KEEP,
    OF_DATABASES,
    OLDER,
    OLDER_DATABASES,
    OLDER_EXPECTED,
    OLDER_SEEDED,
    OWN_MODULES,
    SEEDED,
    Session,
    engines,
    opened,
    pushed,
)
from tests.stage import Stage, running_stage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(1200)]


async def test_what_keeps_data_is_seeded_and_is_each_sessions_own(home: Path, account: Account) -> None:
    async with running_stage(home) as stage:
        link = await pushed(stage, DATABASES, executable="seeds/store")
        mine = await opened(link)
        assert await mine.compute(SEEDED) == EXPECTED
        for module in OF_DATABASES:
            assert await mine.run_example(module)
        await mine.compute(KEEP)

        others = await opened(link)
        assert others.id != mine.id
        assert await others.compute(SEEDED) == EXPECTED
        assert (await others.compute(FIND)).split() == ["0"] * 4
        secrets = "import os; print(os.environ['PGPASSWORD'], os.environ['AWS_SECRET_ACCESS_KEY'])"
        assert not {*(await mine.compute(secrets)).split()} & {*(await others.compute(secrets)).split()}

        # Whatever becomes of a server, what was told to it is still there once it is back.
        for module in OF_DATABASES:
            await _kill(stage, account, mine, f"{module}-server")
        for module in OF_DATABASES:
            name = f'$.services."{module}-server"'
            back = f"json_extract(services, '{name}.restarts') >= 1 and json_extract(services, '{name}.ready')"
            await stage.until(f"select 1 from sessions where id = '{mine.id}' and {back}", timeout_seconds=120)
        assert (await mine.compute(FIND)).split() == ["1"] * 4


async def test_older_versions_stand_beside_the_new(home: Path) -> None:
    async with running_stage(home) as stage:
        session = await opened(await pushed(stage, OLDER_DATABASES))
        assert await session.compute(OLDER_SEEDED) == OLDER_EXPECTED
        for module, version in OLDER.items():
            assert version in await session.run_example(module)


@pytest.mark.parametrize(("mode", "spark", "workers"), [("multi-node", "4.0", 2), ("single-node", "3.5", 1)])
async def test_what_computes_does_so_with_all_of_its_workers(home: Path, mode: str, spark: str, workers: int) -> None:
    async with running_stage(home) as stage:
        session = await opened(await pushed(stage, engines(mode, spark)))
        said = await session.compute(ALL_COUNT.replace("{workers}", str(workers)), timeout_seconds=280)
        assert f"counted 1000000 {[True] * workers} True\n" in said
        printed = await session.run_example("spark")
        assert "1000000" in printed
        assert f"Spark {spark}" in printed
        assert await session.run_example("dask")
        assert "['worker-0', 'worker-1'] 42\n" in await session.compute(OWN_MODULES)
        for path, said in {"8080/": "Spark Master at", "8081/": "Spark Worker at", "8787/status": "Dask"}.items():
            status, text = await session.page(f"proxy/{path}")
            assert (status, said in text) == (200, True), path


async def _kill(stage: Stage, account: Account, session: Session, service: str) -> None:
    """End a service's processes as a crash would."""
    paths = Paths(Path(stage.environment["BINDER_STATE_DIR"]), Path(stage.environment["BINDER_CACHE_DIR"]))
    container = f"{pod_name(paths.instance, session.id)}-{service}"
    done = await Podman(paths, account).call("kill", "--signal", "KILL", container)
    assert done.ok, done.output
