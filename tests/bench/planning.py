"""`planning-50k`: what planning costs where a repository has 50,000 files, in time and in memory."""

import resource
from pathlib import Path
from time import monotonic

from binder.lifecycle import BuildState
from build.commits.content import Tar
from build.log import BuildLog, FileLog
from build.planner import Job
from tests.bench.figures import Figure
from tests.builds import Builder
from tests.repositories import new_repository

_FILES = 50_000
_ROUNDS = 5


async def planning(builder: Builder, home: Path) -> Figure:
    """List, read and plan a commit that was fetched."""
    repository = new_repository(home / "large", builder.account)
    stream = ["commit refs/heads/main", "committer a <a@example.org> 1700000000 +0000", "data 0", ""]
    for number in range(_FILES):
        stream += [f"M 100644 inline folder-{number // 100}/file-{number}.csv", "data 2", "1", ""]
    repository.git("fast-import", "--quiet", stdin="\n".join(stream).encode())
    sha = repository.git("rev-parse", "main")
    planner = builder.wired.planner
    times: list[float] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with builder.work() as work:
        notes = BuildLog(FileLog(work / "log"), secrets=(), most_bytes=2**20)
        job = Job(repository.source, sha, notes, work, _nothing)
        await planner.fetch(job)
        for _ in range(_ROUNDS):
            began = monotonic()
            commit = await planner.fetch(job)
            recipe = await planner.recipe_of(job, commit)
            await planner.plan(job, commit, recipe, _no_archive)
            times.append(monotonic() - began)
        await notes.close()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return Figure("planning-50k", times, f"list, read and plan 50,000 files, which takes {grown:.0f} MB of memory")


async def _nothing(state: BuildState) -> None:
    """Hear of a state."""


async def _no_archive() -> Tar:
    raise AssertionError("what is asked for can be read without the files")
