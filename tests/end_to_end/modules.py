"""Repositories that ask for modules, and their sessions: what the proofs of modules on podman and a cluster share."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import httpx

from binder.cli.visit import Visit, open_link
from deploy.probe import run_cell
from proxy.origins import COOKIE
from tests.stage import NOTEBOOK, REPOSITORY, Stage

_BUILD_SECONDS = 900
_RUN = """\
import nbclient, nbformat, os, pathlib
path = pathlib.Path.home() / "binder-modules" / "{name}.ipynb"
notebook = nbformat.read(path, as_version=4)
nbformat.validate(notebook)
await nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3").async_execute()
for cell in notebook.cells:
    for output in cell.get("outputs", ()):
        print(output.get("text") or output.get("data", {{}}).get("text/plain", ""))
"""

SQL = """\
CREATE TABLE planet (name varchar(20) PRIMARY KEY, moons integer);
INSERT INTO planet VALUES ('Mars', 2), ('Jupiter', 95);
"""
CSV = "name,moons\nMars,2\nJupiter,95\n"

DATABASES: Mapping[str, str] = {
    "index.ipynb": NOTEBOOK,
    "binder.yml": """\
modules:
  postgres:
    seed: seeds/planets.sql
    parameters: {database: sky, connections: 20, memory: 160 MiB}
  mariadb:
    seed: seeds/planets.csv
    parameters: {database: sky}
  redis:
    seed: seeds/planets.redis
    parameters: {eviction: allkeys-lru, memory: 64 MiB}
  s3:
    seed: seeds/store
    parameters: {bucket: sky}
""",
    "seeds/planets.sql": SQL,
    "seeds/planets.csv": CSV,
    "seeds/planets.redis": "HSET planet:mars moons 2\n# a comment\nSET note 'two words'\n",
    "seeds/store": "#!/usr/bin/env python\nfrom binder_modules import s3\ns3.load('seeds/planets.csv')\n",
}
"""A repository that asks for all that keeps data, each with a seed and with parameters; `seeds/store` is executable."""

OF_DATABASES = ("postgres", "mariadb", "redis", "s3")
SEEDED = """\
from binder_modules import mariadb, postgres, redis, s3
with postgres.connect() as connection:
    print(connection.execute("SELECT moons FROM planet WHERE name = 'Jupiter'").fetchone()[0])
    print(connection.execute("SELECT current_database(), current_setting('max_connections')").fetchone())
    print(connection.execute("SELECT current_setting('shared_buffers')").fetchone()[0])
cursor = mariadb.connect().cursor()
cursor.execute("SELECT moons, database() FROM planets WHERE name = 'Jupiter'")
print(cursor.fetchone())
client = redis.connect()
print(client.hget("planet:mars", "moons"), client.get("note"), client.config_get("maxmemory-policy"))
print([entry["Key"] for entry in s3.client().list_objects_v2(Bucket="sky")["Contents"]])
"""
"""Prints what seeds and parameters have made of the services of `DATABASES`."""

EXPECTED = """\
95
('sky', '20')
40MB
(95.0, 'sky')
2 two words {'maxmemory-policy': 'allkeys-lru'}
['planets.csv']
"""

OLDER: Mapping[str, str] = {"postgres": "15", "mariadb": "10.11", "redis": "7.0"}
_SEEDS_OF_OLDER = {"postgres": "planets.csv", "mariadb": "planets.sql", "redis": "planets.csv"}
OLDER_DATABASES: Mapping[str, str] = {
    **DATABASES,
    "binder.yml": "modules:\n"
    + "".join(
        f'  {name}:\n    version: "{version}"\n    mode: multi-node\n    seed: seeds/{_SEEDS_OF_OLDER[name]}\n'
        for name, version in OLDER.items()
    ),
}
"""The same with older versions, each with a seed of another kind, and all that is left to the module."""

OLDER_SEEDED = """\
from binder_modules import mariadb, postgres, redis
with postgres.connect() as connection:
    moons = [row[0] for row in connection.execute("SELECT moons FROM planets ORDER BY moons")]
cursor = mariadb.connect().cursor()
cursor.execute("SELECT moons FROM planet WHERE name = 'Jupiter'")
print(moons, cursor.fetchone(), redis.connect().hgetall("planets:Mars"))
"""
OLDER_EXPECTED = "[2, 95] (95,) {'name': 'Mars', 'moons': '2'}\n"

KEEP = """\
from binder_modules import mariadb, postgres, redis, s3
with postgres.connect() as connection:
    connection.execute("CREATE TABLE mine AS SELECT 42 AS number")
cursor = mariadb.connect(autocommit=True).cursor()
cursor.execute("CREATE TABLE mine AS SELECT 42 AS number")
redis.connect().set("mine", 42)
s3.client().put_object(Bucket="sky", Key="mine", Body=b"42")
"""
FIND = """\
from binder_modules import mariadb, postgres, redis, s3
with postgres.connect() as connection:
    print(connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'mine'").fetchone()[0])
cursor = mariadb.connect().cursor()
cursor.execute("SELECT count(*) FROM information_schema.tables WHERE table_name = 'mine'")
print(cursor.fetchone()[0])
print(redis.connect().exists("mine"))
print(s3.client().list_objects_v2(Bucket="sky", Prefix="mine")["KeyCount"])
"""
"""Print for each of `OF_DATABASES` whether what `KEEP` made is there: 1 or 0."""


def engines(mode: str, spark: str = "4.0") -> Mapping[str, str]:
    """Return a repository that asks for what computes: in a mode, and with a version of Spark."""
    asked = f'modules:\n  spark:\n    version: "{spark}"\n    mode: {mode}\n  dask:\n    mode: {mode}\n'
    return {"index.ipynb": NOTEBOOK, "binder.yml": asked, "factors.py": "def double(number):\n    return 2 * number\n"}


ALL_COUNT = """\
import json, socket, time
from urllib.request import urlopen
from binder_modules import spark
session = spark.session()
context = session.sparkContext
until = time.monotonic() + 120
while len(context._jsc.sc().statusTracker().getExecutorInfos()) <= {workers} and time.monotonic() < until:
    time.sleep(0.2)
def count(rows):
    time.sleep(0.5)
    yield sum(1 for _ in rows)
counted = sum(context.parallelize(range(1_000_000), 8).mapPartitions(count).collect())
address = f"{context.uiWebUrl}/api/v1/applications/{context.applicationId}/executors"
executors = [one for one in json.load(urlopen(address)) if one["id"] != "driver"]
took_part = sorted(one["completedTasks"] > 0 for one in executors)
page = urlopen(context.uiWebUrl + "/jobs/").read().decode()
print(f"counted {counted} {took_part} {'Spark Jobs' in page}")
"""
"""Counts a million rows over so many workers: prints the sum, of each executor whether it took part, and whether the
driver has its page."""

OWN_MODULES = """\
from binder_modules import dask
import factors
client = dask.client()
names = sorted(one["name"] for one in client.scheduler_info(n_workers=-1)["workers"].values())
print(names, client.submit(factors.double, 21).result(timeout=60))
"""
"""Prints the names of Dask's workers, and what a function of the repository's own gives there."""


@dataclass(frozen=True)
class Session:
    """An open session, as a visitor has it."""

    visit: Visit

    @property
    def id(self) -> str:
        """The session's id."""
        return self.visit.base_url.rstrip("/").rpartition("/")[2]

    async def compute(self, code: str, *, timeout_seconds: float = 120) -> str:
        """Run code in a new kernel, and return what it printed."""
        return await run_cell(self.visit.base_url, self.visit.token, code, timeout_seconds=timeout_seconds)

    async def run_example(self, module: str) -> str:
        """Run the example notebook of a module from top to bottom, and return what its cells printed."""
        return await self.compute(_RUN.format(name=module), timeout_seconds=280)

    async def page(self, path: str) -> tuple[int, str]:
        """Return the status and the text of a page below the notebook server's base address."""
        async with httpx.AsyncClient(cookies={COOKIE: self.visit.token}, follow_redirects=True, timeout=30) as client:
            answer = await client.get(f"{self.visit.base_url}{path}")
            return answer.status_code, answer.text


async def pushed(stage: Stage, files: Mapping[str, str], *, executable: str | None = None) -> str:
    """Push a repository, wait until it is green, and return the link to it; the first build takes minutes."""
    sha = await stage.push(files, executable=executable)
    async with asyncio.timeout(_BUILD_SECONDS):
        while True:
            with suppress(TimeoutError):  # the stand-in waits for a few minutes at most
                status = await stage.final_status(sha, timeout_seconds=60)
                break
    # A status has room for the beginning of a fault.
    assert status.state == "success", stage.rows(f"select fault from builds where sha = '{sha}'")
    return f"{stage.url}/v2/gh/{REPOSITORY}/{sha}"


async def opened(link: str) -> Session:
    """Open a session as a visitor does."""
    return Session(await open_link(link, timeout_seconds=280))
