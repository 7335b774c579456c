"""`binder lock`: resolves what a folder's repository asks for, and writes the lock beside its configuration files."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console

from binder.cli.git import git
from binder.cli.preview import copy_commit
from binder.cli.steps import Steps, until_interrupted
from binder.containers import prepare_engine
from binder.errors import BinderError, OperatorFault, VisitorFault
from binder.lifecycle import BuildState
from binder.log import set_up_logging
from binder.names import digest_of
from binder.paths import Paths
from binder.process import Account, find_account
from binder.service.builder import Builder, registries_of, wired_builder, wired_git
from binder.service.modules import operators_catalogue
from binder.settings import Settings, read_settings
from build.commits.git import Source
from build.host import find_host_settings, write_host_folder
from build.lock import Lock, lock_text
from build.log import BuildLog, FileLog
from build.planner import Job

_TAIL_LINES = 20


def run_lock(folder: Path) -> None:
    """Write the lock of a repository's working tree.

    Raises: BinderError.
    """
    defaults = read_settings()
    settings = read_settings(state_dir=defaults.state_dir / f"lock-{digest_of(str(folder.resolve()))[:8]}")
    set_up_logging("error", as_json=False)
    steps = Steps(Console(file=sys.stdout))
    asyncio.run(until_interrupted(_lock(settings, folder, steps), steps))


async def _lock(settings: Settings, folder: Path, steps: Steps) -> None:
    account = find_account(settings.build_account)
    paths = Paths(settings.state_dir, settings.cache_dir)
    try:
        paths.make(account)
        async with steps.step(f"{folder} is read"):
            top, source, sha = await _snapshot(folder, settings.state_dir / "snapshot.git", account)
        async with steps.step("What it asks for is resolved"), _builder(settings, paths, account) as builder:
            place, lock = await _resolved(builder, source, sha, steps)
        await asyncio.to_thread((top / place).write_text, lock_text(lock), encoding="utf-8")
        packages = len(lock.pins) + len(lock.conda)
        steps.note(f"{place} names {packages} packages. Commit it: builds install just these, until you lock again.")
    finally:
        await asyncio.to_thread(shutil.rmtree, settings.state_dir, ignore_errors=True)


async def _snapshot(folder: Path, mirror: Path, account: Account) -> tuple[Path, Source, str]:
    """Copy the files as they are now, committed or not, to where the build account can read them."""
    try:
        top = Path(await git(folder, "rev-parse", "--show-toplevel"))
    except (OperatorFault, OSError) as error:
        raise VisitorFault(f"{folder} is not a folder of a git repository.") from error
    # With an index of our own: the person's is left as it is.
    own = {"GIT_INDEX_FILE": str(mirror.with_suffix(".index"))}
    await git(top, "add", "--all", env=own)
    tree = await git(top, "write-tree", env=own)
    sha = await git(top, "commit-tree", "-m", "As it is now", tree)
    return top, await copy_commit(top, sha, mirror, account), sha


@asynccontextmanager
async def _builder(settings: Settings, paths: Paths, account: Account) -> AsyncIterator[Builder]:
    await prepare_engine(paths, account, registries_of(settings))
    host = await find_host_settings(cran=settings.cran_url, cran_snapshot=settings.cran_snapshot_url)
    await asyncio.to_thread(write_host_folder, host, paths)
    objects = Paths(paths.state, paths.state / "fetched")
    objects.make(account)
    git = wired_git(settings, objects, account, host.certificates)
    catalogue = await operators_catalogue(settings, paths, git)
    builder = wired_builder(settings, paths, account, host, objects=objects, catalogue=catalogue)
    try:
        await builder.prepare()
        yield builder
    finally:
        await builder.close()


async def _resolved(builder: Builder, source: Source, sha: str, steps: Steps) -> tuple[str, Lock]:
    work = builder.paths.state / "work"
    work.mkdir(mode=0o711)
    log = work / "log"
    notes = BuildLog(FileLog(log), secrets=builder.host.secrets, most_bytes=2**24)
    try:
        return await builder.planner.lock(Job(source, sha, notes, work, _entered))
    except BinderError:
        await notes.close()
        steps.note("\n".join(log.read_text(encoding="utf-8").splitlines()[-_TAIL_LINES:]))
        raise
    finally:
        await notes.close()


async def _entered(state: BuildState) -> None:
    """Take no notice: a lock is no build."""
