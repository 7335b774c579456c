"""`binder backup`: what a service cannot make again, in one file, taken while it runs.

The store and the locks of all that was ever built: links go on to lead where they led, and to the same packages. No
images, git objects or downloads, which are made and fetched again; no settings, which are in the environment.
"""

import asyncio
import io
import tempfile
from pathlib import Path

import typer

import binder
from binder.backup.archive import KEYS, LOCKS, STORE, Manifest, Writing, writing
from binder.backup.rows import copy_of_store
from binder.cli.gc import size
from binder.errors import OperatorFault
from binder.log import set_up_logging
from binder.paths import Paths
from binder.process import find_account
from binder.service.builder import opened_texts
from binder.service.folders import make_folders
from binder.settings import Settings, read_settings
from binder.store import Store
from binder.store.schema import schema_versions
from binder.store.tables import utc_now
from build.garbage.needs import kept_locks
from githubapp.stored_app import app_files, read_app


def back_up(file: Path, *, with_keys: bool) -> None:
    """Write a backup, and say what is in it.

    Raises: OperatorFault, where there is nothing to back up, or no place for it; WorldFault.
    """
    settings = read_settings()
    set_up_logging("warning", as_json=settings.log_json)
    paths = Paths(settings.state_dir, settings.cache_dir)
    if with_keys and read_app(paths.github) is None:
        raise OperatorFault(
            f"There are no keys of an App in {paths.github}. Those that BINDER_GITHUB_… names are kept by you."
        )
    with writing(file) as archive, _work_beside(file) as work:
        copy = Path(work) / STORE
        copy_of_store(settings.store_url, copy)
        make_folders(paths, find_account(settings.build_account))
        missing = asyncio.run(_add_locks(archive, copy, settings, paths))
        for path in app_files(paths.github) if with_keys else ():
            with path.open("rb") as source:
                archive.add(KEYS + path.name, source)
        with copy.open("rb") as source:
            archive.add(STORE, source)
        manifest = archive.finish(version=binder.__version__, schema=schema_versions()[-1], made_at=utc_now())
    _tell(file, manifest, missing)


def _work_beside(file: Path) -> "tempfile.TemporaryDirectory[str]":
    """Return a folder that only this account sees into, where the backup has place, too."""
    return tempfile.TemporaryDirectory(dir=file.parent, prefix=".binder-backup-")


async def _add_locks(archive: Writing, copy: Path, settings: Settings, paths: Paths) -> int:
    """Add the locks of all that was ever built; return how many of them there are none of any more."""
    store = Store(f"sqlite+aiosqlite:///{copy}")
    try:
        tags = sorted(await kept_locks(store))
    finally:
        await store.close()
    missing = 0
    async with opened_texts(settings, paths) as texts:
        for tag in tags:
            text = await texts.read(tag)
            if text is None:
                missing += 1
            else:
                archive.add(LOCKS + tag, io.BytesIO(text.encode()))
    return missing


def _tell(file: Path, manifest: Manifest, missing: int) -> None:
    locks = len(manifest.names(LOCKS))
    typer.echo(f"{file}: {size(file.stat().st_size)}, the store at schema {manifest.schema}, and {locks} locks.")
    if missing:
        typer.echo(f"○ {missing} locks are in no cache any more: what was built of them is resolved anew.")
    if manifest.names(KEYS):
        typer.echo("○ The App's keys are in it: keep it as you keep them.")
    else:
        typer.echo("○ No keys of the App are in it: keep those apart, or add them with `--with-keys`.")
