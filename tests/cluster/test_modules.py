"""Repositories that ask for modules, with their sessions on a real cluster: in the session's pod, and in pods apart."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.binder.cli.typed import typed
from tests.cluster.given import Cluster, Namespace, until
from tests.end_to_end.modules import (
    ALL_COUNT,
    DATABASES,
    EXPECTED,
    FIND,
    KEEP,
    OF_DATABASES,
    OWN_MODULES,
    SEEDED,
    engines,
    opened,
    pushed,
)
from tests.end_to_end.notebooks import notebook
from tests.stage import NOTEBOOK, REPOSITORY, Stage, running_stage

# The first time, images are made of nothing: for minutes.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400)]

_TOKEN = "token-of-an-operator"
_DATABASE = """\
from binder_modules import postgres
with postgres.connect() as connection:
    print(connection.execute("SELECT current_database()").fetchone())
"""


async def test_what_computes_does_so_in_both_modes(cluster: Cluster, reachable_root: Path) -> None:
    async with _stage(cluster, reachable_root) as stage:
        await _check_engines(stage, "multi-node", 2)
        await _check_engines(stage, "single-node", 1)


async def test_what_keeps_data_does_so_in_both_modes(cluster: Cluster, reachable_root: Path) -> None:
    async with _stage(cluster, reachable_root) as stage:
        await _check_databases(stage, DATABASES)
        await _check_databases(stage, {**DATABASES, "binder.yml": _apart(DATABASES["binder.yml"])})


async def test_an_operator_deploys_in_another_mode_and_sees_what_becomes_of_it(
    cluster: Cluster, reachable_root: Path
) -> None:
    async with _stage(cluster, reachable_root) as stage:
        await pushed(stage, {"index.ipynb": NOTEBOOK, "binder.yml": "modules: [postgres]\n"})
        there = {"BINDER_URL": stage.url, "BINDER_TOKEN": _TOKEN}
        wishes = ("--mode", "multi-node", "--parameter", "postgres.database=sky")
        made = await typed("deploy", REPOSITORY, *wishes, "--json", env=there, seconds=280)
        assert made.code == 0, made.complaint
        row = json.loads(made.output)
        session = await opened(row["link"])
        assert session.id == row["session"]
        assert await session.compute(_DATABASE) == "('sky',)\n"

        seen = await typed("cluster", "--json", env=there)
        assert seen.code == 0, seen.complaint
        (node,) = json.loads(seen.output)["nodes"]
        assert (node["is_ready"], node["sessions"] >= 1, node["memory_bytes"] > 0) == (True, True, True)
        assert (
            "ready to accept connections"
            in (await typed("logs", session.id, "--service", "postgres-server", env=there)).output
        )

        namespace = Namespace(cluster, stage.environment["BINDER_NAMESPACE"])
        (server,) = (
            pod["metadata"]["name"]
            for pod in namespace.list("pods")
            if pod["metadata"]["labels"].get("binder.service")
            and pod["metadata"]["labels"]["binder.session"] == session.id
        )
        await asyncio.to_thread(namespace.known(server).execute, "sh", "-c", "kill -INT 1")
        back = "json_extract(services, '$.services.\"postgres-server\".restarts') >= 1"
        await stage.until(f"select 1 from sessions where id = '{session.id}' and {back}", timeout_seconds=60)
        ready = "json_extract(services, '$.services.\"postgres-server\".ready')"
        await stage.until(f"select 1 from sessions where id = '{session.id}' and {ready}", timeout_seconds=120)
        assert await session.compute(_DATABASE) == "('sky',)\n"

        assert (await typed("stop", session.id, "--yes", env=there)).code == 0
        until(lambda: not _of(namespace, session.id), "the session's pods are left")


async def test_notebooks_run_there_with_their_modules_before_a_commit_is_green(
    cluster: Cluster, reachable_root: Path
) -> None:
    asked = "modules: [redis]\ncheck:\n  notebooks: [uses.ipynb]\n"
    ask = "from binder_modules import redis\nassert redis.connect().incr('runs') == {}"
    async with _stage(cluster, reachable_root) as stage:
        await pushed(stage, {"uses.ipynb": notebook(ask.format(1)), "binder.yml": asked})
        runs = "select path, outcome from notebook_runs order by id"
        assert stage.rows(runs) == [("uses.ipynb", "passed")]
        sha = await stage.push({"uses.ipynb": notebook(ask.format(2))})
        assert (await stage.final_status(sha)).state == "failure"
        assert stage.rows(runs)[1:] == [("uses.ipynb", "failed")]
        namespace = Namespace(cluster, stage.environment["BINDER_NAMESPACE"])
        (live,) = stage.rows("select count(*) from sessions where state in ('standby', 'open')")
        until(lambda: (len(namespace.list("secrets")),) == live, "a session of a check is left")


def _of(namespace: Namespace, session_id: str) -> list[str]:
    pods = (pod["metadata"] for pod in namespace.list("pods"))
    return [pod["name"] for pod in pods if pod["labels"].get("binder.session") == session_id]


@asynccontextmanager
async def _stage(cluster: Cluster, root: Path) -> AsyncIterator[Stage]:
    """Give a service on this machine, whose sessions are on the cluster; nothing of them is left after the block."""
    home = Path(tempfile.mkdtemp(dir=root, prefix="modules-"))
    home.chmod(0o711)
    with cluster.namespace(pod_security="restricted") as namespace:
        settings = {
            "BINDER_ENGINE": "kubernetes",
            "BINDER_NAMESPACE": namespace.name,
            "BINDER_REGISTRY": f"{cluster.registry}/binder",
            "BINDER_REGISTRY_PLAIN_HTTP": "true",
            "BINDER_SESSION_PROXIES": f"{cluster.host}/32",
            "KUBECONFIG": str(cluster.kubeconfig),
            "BINDER_API_TOKEN": _TOKEN,
        }
        async with running_stage(home, settings=settings) as stage:
            yield stage
        for kind in ("pods", "secrets", "services"):
            until(partial(_is_empty, namespace, kind), f"{kind} are left")


def _is_empty(namespace: Namespace, kind: str) -> bool:
    return not namespace.list(kind)


def _apart(asked: str) -> str:
    """Return a binder.yml whose modules have pods of their own."""
    return asked.replace("    seed:", "    mode: multi-node\n    seed:")


async def _check_databases(stage: Stage, files: Mapping[str, str]) -> None:
    link = await pushed(stage, files, executable="seeds/store")
    mine = await opened(link)
    assert await mine.compute(SEEDED) == EXPECTED
    for module in OF_DATABASES:
        assert await mine.run_example(module)
    await mine.compute(KEEP)
    assert (await mine.compute(FIND)).split() == ["1"] * 4
    others = await opened(link)
    assert others.id != mine.id
    assert (await others.compute(FIND)).split() == ["0"] * 4


async def _check_engines(stage: Stage, mode: str, workers: int) -> None:
    session = await opened(await pushed(stage, engines(mode)))
    said = await session.compute(ALL_COUNT.replace("{workers}", str(workers)), timeout_seconds=280)
    assert f"counted 1000000 {[True] * workers} True\n" in said
    for module in ("spark", "dask"):
        assert await session.run_example(module)
    assert "['worker-0', 'worker-1'] 42\n" in await session.compute(OWN_MODULES)
    where = "import os; print(os.environ['SPARK_MASTER'].split('//')[1].split(':')[0])"
    master = (await session.compute(where)).strip()
    scheduler = master.replace("spark-master", "dask-scheduler")
    for host, port, path, text in ((master, 8080, "", "Spark Master at"), (scheduler, 8787, "status", "Dask")):
        at = str(port) if host == "127.0.0.1" else f"{host}:{port}"
        status, page = await session.page(f"proxy/{at}/{path}")
        assert (status, text in page) == (200, True), at
