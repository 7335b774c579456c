"""`binder restore`: a backup becomes a state again, in an empty folder and an empty database.

All is looked at before anything is put in place; the store comes last, in one transaction. Locks that are left of a
restore which failed do no harm: they are known by what they are made of.
"""

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path

import typer

from binder.backup.archive import KEYS, LOCKS, STORE, Backup, reading
from binder.backup.rows import bring_forward, check_store, fill_store
from binder.errors import OperatorFault
from binder.log import set_up_logging
from binder.paths import Paths
from binder.process import find_account
from binder.service.builder import opened_texts
from binder.service.folders import alone_in, make_folders
from binder.settings import Settings, read_settings
from binder.store import Store
from binder.store.schema import schema_versions, upgrade
from build.garbage.needs import forget_images, made_images
from build.garbage.storage import stored_in
from githubapp.stored_app import StoredApp, forget_app, read_app, write_app


def restore_from(file: Path) -> None:
    """Put a backup in place, and say what is there now.

    Raises: OperatorFault, where it cannot be used, or would be put over something; WorldFault.
    """
    settings = read_settings()
    set_up_logging("warning", as_json=settings.log_json)
    paths = Paths(settings.state_dir, settings.cache_dir)
    with reading(file, schemas=schema_versions()) as backup:
        make_folders(paths, find_account(settings.build_account))
        with alone_in(paths.state), tempfile.TemporaryDirectory(dir=paths.state, prefix="restore-") as work:
            _restore(backup, settings, paths, Path(work))
        has_keys = bool(backup.manifest.names(KEYS))
        made_at, locks = backup.manifest.made_at, len(backup.manifest.names(LOCKS))
    typer.echo(f"The store of {made_at:%Y-%m-%d %H:%M} UTC is in place, and {locks} locks.")
    if settings.github_app_id is None and not has_keys:
        typer.echo(f"○ No App's keys were in it: put them into {paths.github / 'app'}, or name them in the settings.")


def _restore(backup: Backup, settings: Settings, paths: Paths, work: Path) -> None:
    store = work / STORE
    backup.unpack(STORE, store)
    check_store(store, backup.manifest.schema)
    bring_forward(store)
    app = _app_in(backup, work)
    if app and read_app(paths.github):
        raise OperatorFault(f"The keys of an App are in {paths.github} already: move them away to have others there.")
    if not settings.registry:
        asyncio.run(_forget_lost_images(store, paths))
    upgrade(settings.store_url)
    asyncio.run(_put_locks(backup, settings, paths, work))
    with ExitStack() as undoing:
        if app:
            write_app(paths.github, app)
            undoing.callback(forget_app, paths.github)
        fill_store(settings.store_url, store)
        undoing.pop_all()


def _app_in(backup: Backup, work: Path) -> StoredApp | None:
    """Return the App whose keys are in a backup, None where there are none."""
    folder = work / "github"
    (folder / "app").mkdir(parents=True, mode=0o700)
    names = backup.manifest.names(KEYS)
    for name in names:
        backup.unpack(name, folder / "app" / name.removeprefix(KEYS))
    return read_app(folder) if names else None


async def _forget_lost_images(path: Path, paths: Paths) -> None:
    """Have links to images that this machine does not have build them again."""
    store = Store(f"sqlite+aiosqlite:///{path}")
    try:
        there = {name for image in stored_in(paths.engine, {}).images for name in image.names}
        await forget_images(store, await made_images(store) - there)
    finally:
        await store.close()


async def _put_locks(backup: Backup, settings: Settings, paths: Paths, work: Path) -> None:
    async with opened_texts(settings, paths) as texts:
        for name in backup.manifest.names(LOCKS):
            copy = work / "lock"
            backup.unpack(name, copy)
            try:
                text = copy.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise OperatorFault(f"{name} in the backup is no text. Take another one.") from error
            copy.unlink()
            tag = name.removeprefix(LOCKS)
            if await texts.read(tag) is None:  # one that is there is the same, or what this cache was built with
                await texts.write(tag, text)
