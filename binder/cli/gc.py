"""`binder gc`: shows which images and files nobody needs any more, and removes them when it is told to."""

import asyncio
from datetime import timedelta

from rich.console import Console
from rich.table import Table

from binder.containers import prepare_engine
from binder.errors import OperatorFault
from binder.log import set_up_logging
from binder.paths import Paths
from binder.process import find_account
from binder.settings import Settings, read_settings
from binder.store import open_store
from binder.store.tables import utc_now
from build.buildah import Buildah
from build.garbage.choice import Policy, span
from build.garbage.collector import Collector, Garbage, Kept, name_of, policy_of
from build.garbage.registry_collector import RegistryCollector, RegistryGarbage
from build.registries.registry import Registry

_DAY_SECONDS = 86_400
_DEFAULT_AGE_SECONDS = 30 * _DAY_SECONDS
_FILE_WORDS = {
    "git": "git objects",
    "lock": "lock or record",
    "work": "leftovers of a build",
    "mark": "mark of an image that is gone",
}


def collect_garbage(*, delete: bool, older_than_days: float | None, disk_budget_gb: float | None) -> None:
    """Show what would go, and why; with `delete`, remove it. It may run while services do."""
    settings = read_settings()
    set_up_logging("warning", as_json=settings.log_json)
    console = Console()
    policy = _policy(settings, older_than_days, disk_budget_gb)
    garbage, kept = asyncio.run(_collect(settings, policy, delete=delete))
    _show(console, garbage, kept, delete=delete)


def collect_registry_garbage(*, delete: bool, older_than_days: float | None) -> None:
    """Show what would go from the registry; with `delete`, remove it.

    Raises: OperatorFault, where there is no registry.
    """
    settings = read_settings()
    if not settings.registry:
        raise OperatorFault("There is no registry: set BINDER_REGISTRY.")
    set_up_logging("warning", as_json=settings.log_json)
    age = (
        settings.images_age_seconds or _DEFAULT_AGE_SECONDS
        if older_than_days is None
        else older_than_days * _DAY_SECONDS
    )
    policy = policy_of(settings, age_seconds=age)
    console = Console()
    garbage, removed = asyncio.run(_collect_registry(settings, policy, delete=delete))
    now = utc_now()
    for tag in garbage.gone:
        console.print(f"{tag.tag}: not used for {span(now - tag.used_at)}", highlight=False)
    what = f"{len(garbage.gone)} of {garbage.stored} tags"
    console.print(
        f"Removed {removed}, of {what} that were to go." if delete else f"Would remove {what}. `--delete` does it.",
        highlight=False,
    )


async def _collect_registry(settings: Settings, policy: Policy, *, delete: bool) -> tuple[RegistryGarbage, int]:
    paths = Paths(settings.state_dir, settings.cache_dir)
    paths.make(find_account(settings.build_account))
    registry = Registry(
        settings.registry,
        username=settings.registry_username,
        password=settings.registry_password,
        certificates=settings.registry_certificates,
        plain_http=settings.registry_plain_http,
    )
    try:
        async with open_store(settings.store_url) as store:
            collector = RegistryCollector(store, registry, paths, policy)
            garbage = await collector.look()
            return garbage, await collector.remove(garbage) if delete else 0
    finally:
        await registry.close()


def _policy(settings: Settings, older_than_days: float | None, disk_budget_gb: float | None) -> Policy:
    """Return what the operator asked for, or has set; where that is nothing, an age, so that something is shown."""
    age = None if older_than_days is None else older_than_days * _DAY_SECONDS
    budget = None if disk_budget_gb is None else int(disk_budget_gb * 10**9)
    policy = policy_of(settings, age_seconds=age, disk_bytes=budget)
    is_empty = policy.age is None and policy.disk_bytes is None
    return policy_of(settings, age_seconds=_DEFAULT_AGE_SECONDS) if is_empty else policy


async def _collect(settings: Settings, policy: Policy, *, delete: bool) -> tuple[Garbage, tuple[Kept, ...]]:
    account = find_account(settings.build_account)
    paths = Paths(settings.state_dir, settings.cache_dir)
    paths.make(account)
    await prepare_engine(paths, account)
    buildah = Buildah(paths, account, timeout_seconds=settings.build_timeout_seconds)
    async with open_store(settings.store_url) as store:
        collector = Collector(store, buildah, account, policy, has_registry=bool(settings.registry))
        garbage = await collector.look()
        return garbage, await collector.remove(garbage) if delete else ()


def _show(console: Console, garbage: Garbage, kept: tuple[Kept, ...], *, delete: bool) -> None:
    if garbage.images or garbage.files:
        console.print(_table(garbage))
    freed = size(garbage.image_bytes + garbage.file_bytes)
    count = f"{len(garbage.images)} of {garbage.stored} images and {len(garbage.files)} files or folders"
    console.print(f"Images take {size(garbage.stored_bytes)}.", highlight=False)
    if garbage.over_bytes:
        over = f"What is in use or needed exceeds the disk budget by {size(garbage.over_bytes)}, and stays."
        console.print(over, highlight=False)
    if not delete:
        console.print(f"Would remove {count}: {freed}. `--delete` does it.", highlight=False)
        return
    for one in kept:
        console.print(f"Kept {one.name}: {one.reason}", highlight=False)
    console.print(f"Removed {count}, except {len(kept)} that stayed: up to {freed}.", highlight=False)


def _table(garbage: Garbage) -> Table:
    table = Table("What", "Why", box=None)
    table.add_column("Frees", justify="right")
    for removal in garbage.images:
        table.add_row(name_of(removal.image), removal.reason, size(removal.frees_bytes))
    now = utc_now()
    for file in garbage.files:
        unused: timedelta = now - file.used_at
        why = f"{_FILE_WORDS[file.kind]}, not used for {span(unused)}"
        table.add_row(file.path.name, why, size(file.bytes))
    return table


def size(number: int) -> str:
    """Say a number of bytes to a person: `1.2 GB`."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} B"
