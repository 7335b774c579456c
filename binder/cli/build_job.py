"""`binder build-job`: one build in a pod of its own, which reads its order and tells of the build on its output.

How the build ended is the last thing that it tells; what it exits with says only whether it told.
"""

import asyncio
import shutil
import signal
import sys
from pathlib import Path

from binder.build_words import words_of_size
from binder.cgroups import Allowance, CgroupFacts, Cgroups, limits_for, processes_lost_to_memory
from binder.errors import BinderError, OperatorFault, RepositoryFault
from binder.lifecycle import BuildState
from binder.log import logger, set_up_logging
from binder.paths import Paths
from binder.process import Account, account_in_container, find_account
from binder.service.builder import running_builder
from binder.service.folders import make_folders, open_lock, try_lock
from binder.settings import Settings, read_settings
from build.buildah import Buildah
from build.cluster.lines import Entered, Event, Made, Planned, failed_by
from build.cluster.order import Order, catalogue_in, host_in, order_in, settings_in, templates_in
from build.cluster.telling import Teller, ToldLog
from build.limits import BuildLimits
from build.log import BuildLog
from build.pipeline import Built
from build.planner import Job

log = logger(__name__)

_ENDED = 128 + signal.SIGTERM
_ROOM = 2
"""A build begins with so many times the reserve free, if it can."""

_STATE, _CACHE = Path("/var/lib/binder"), Path("/var/cache/binder/builds")


def run_build_job(path: Path) -> None:
    """Do the build that a file orders.

    Raises: OperatorFault, where that is no order: then nobody could be told.
    """
    set_up_logging("warning", as_json=True)
    order = order_in(path.read_bytes())
    asyncio.run(_until_ended(order))


async def _until_ended(order: Order) -> None:
    """Do a build until it is done, or the pod is to end: nobody listens any more then."""
    working = asyncio.create_task(_tell(order))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    try:
        await working
    except asyncio.CancelledError:
        raise SystemExit(_ENDED) from None


async def _tell(order: Order) -> None:
    teller = Teller(sys.stdout.buffer, order.mark)
    last: Event
    async with teller.living():
        try:
            last = Made(await _built(order, teller))
        except BinderError as error:
            last = failed_by(error)
        except Exception:
            # Whatever it is, whoever waits for the build must hear of its end.
            log.exception("build_broke")
            last = failed_by(OperatorFault("Something went wrong in the builder; the log of its pod says more."))
    teller.tell(last)


async def _built(order: Order, teller: Teller) -> Built:
    # Pods that share a cache are told apart in it by their folders of state.
    state = _STATE / order.name
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(0o711)
    own = {"templates": templates_in(order, state), **settings_in(order, state)}
    settings = read_settings(state_dir=state, cache_dir=_CACHE, **own)
    host = host_in(order, state)
    account = await account_in_container(find_account(settings.build_account))
    paths = Paths(settings.state_dir, settings.cache_dir)
    make_folders(paths, account)
    await make_room(settings, paths, account)
    secrets = {*host.secrets, order.registry_password, order.source.token or ""}
    notes = BuildLog(ToldLog(teller), secrets=secrets, most_bytes=settings.build_log_bytes)
    try:
        async with running_builder(settings, paths, account, host, catalogue_in(order)) as builder:
            work = paths.work / order.name
            await builder.buildah.remove(work)
            work.mkdir(mode=0o711)
            try:
                async with _limits(settings).within(order.name):
                    return await builder.pipeline.build(_job(order, notes, work, teller))
            finally:
                await builder.buildah.remove(work)
    except RepositoryFault as error:
        if processes_lost_to_memory():
            raise _out_of_memory(error, settings) from error
        raise
    finally:
        await notes.close()


async def make_room(settings: Settings, paths: Paths, account: Account) -> None:
    """Empty a cache that builds share where its disk is nearly full, unless another build is at it.

    All of it can be made again; nobody else collects its garbage.
    """
    if shutil.disk_usage(paths.cache).free >= _ROOM * settings.disk_reserve_bytes:
        return
    buildah = Buildah(paths, account, timeout_seconds=settings.build_timeout_seconds)
    with open_lock(paths.cache / "in-use") as descriptor:
        if try_lock(descriptor):
            log.warning("cache_emptied", folder=str(paths.cache))
            for folder in (paths.git, paths.packages, paths.engine / "storage"):
                await buildah.remove(folder)
    make_folders(paths, account)


def _job(order: Order, notes: BuildLog, work: Path, teller: Teller) -> Job:
    async def enter(state: BuildState) -> None:
        teller.tell(Entered(state))

    async def planned(layers: object) -> None:
        teller.tell(Planned(tuple(layers)))  # type: ignore[arg-type]

    return Job(order.source, order.sha, notes, work, enter, planned, order.name)


def _limits(settings: Settings) -> BuildLimits:
    """Return what a build may use: the pod limits its memory, and its disk is the node's, which is everybody's."""
    no_groups = Cgroups(limits_for(CgroupFacts(is_root=False, v1={}, v2={})), "builds")
    allowed = Allowance(settings.build_memory_bytes, 0, 0)
    return BuildLimits(no_groups, allowed, settings.cache_dir, settings.disk_reserve_bytes)


def _out_of_memory(error: RepositoryFault, settings: Settings) -> RepositoryFault:
    size = words_of_size(settings.build_memory_bytes)
    message = f"The step “{error.step}” wanted more than the {size} of memory that a build may use."
    return RepositoryFault(message, file=error.file, line=error.line, step=error.step)
