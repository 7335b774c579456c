"""`binder images`: makes the images that a cluster runs us from, and says which they are as values of the chart."""

import asyncio
import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import TYPE_CHECKING

import typer

import binder
from binder.containers import Registries, prepare_engine
from binder.errors import OperatorFault
from binder.log import set_up_logging
from binder.paths import Paths
from binder.process import Command, find_account, run
from binder.settings import Settings, read_settings
from build.alone import Alone
from build.buildah import Buildah
from build.host import find_host_settings, write_host_folder
from build.own_images import OwnImages, Step, image_steps
from build.own_requirements import locked_lines, needed_packages
from build.registries.registry import Registry
from templates.replacing import replace_from

if TYPE_CHECKING:
    from collections.abc import Iterator

_WHEEL_SECONDS = 120.0
_CHECKOUT = Path(binder.__file__).resolve().parents[1]


@dataclass(frozen=True)
class Sources:
    """What images of ours are made of: the wheel, and the packages that it needs, as locked."""

    wheel_name: str
    wheel: bytes
    requirements: str


def make_images(push: str | None) -> None:
    """Make our images, push them to below `push` (`host/path`), and print their names as YAML."""
    settings = read_settings()
    set_up_logging("warning", as_json=settings.log_json)
    replace_from(settings.templates)
    names = asyncio.run(_make(settings, push))
    typer.echo("images:")
    for name, reference in names.items():
        typer.echo(f"  {name}: {reference}")


async def _make(settings: Settings, push: str | None) -> Mapping[str, str]:
    account = find_account(settings.build_account)
    folder = settings.cache_dir / "images"
    # A storage of its own: no other service's settings of registries are touched, nor does its garbage go by our rules.
    paths = Paths(folder / "state", folder)
    paths.make(account)
    with _folder_in(paths.work) as work:
        sources = await sources_in(_CHECKOUT, work)
        steps = image_steps(sources.wheel_name, sources.wheel, sources.requirements)
        async with Alone(paths.making).at("images"):
            await prepare_engine(paths, account, _registries(settings, push))
            host = await find_host_settings()
            await asyncio.to_thread(write_host_folder, host, paths)
            buildah = Buildah(paths, account, timeout_seconds=settings.build_timeout_seconds)
            await buildah.remove_leftovers()
            images = OwnImages(buildah, host, work, _show)
            for step in steps.values():
                await images.make(step)
            names: dict[str, str] = {name: step.image for name, step in steps.items()}
            if push:
                names = {name: await _pushed(settings, images, step, f"{push}/{name}") for name, step in steps.items()}
            await images.keep_only(steps.values())
    return names


async def _pushed(settings: Settings, images: OwnImages, step: Step, repository: str) -> str:
    """Return what a registry calls an image, by its digest; it is pushed if the registry does not have it."""
    registry = Registry(
        repository,
        username=settings.registry_username,
        password=settings.registry_password,
        certificates=settings.registry_certificates,
        plain_http=settings.registry_plain_http,
    )
    tag = f"{binder.__version__}-{step.key[:12]}"
    try:
        digest = await registry.digest(tag)
        if digest is None:
            await _show(f"pushing {repository}:{tag}")
            await images.push(step, f"{repository}:{tag}")
            digest = await registry.digest(tag)
    finally:
        await registry.close()
    if digest is None:
        raise OperatorFault(f"The registry does not have {repository}:{tag}, which was pushed to it.")
    return f"{repository}:{tag}@{digest}"


async def sources_in(checkout: Path, work: Path) -> Sources:
    """Return what is to be in the images, of a checkout of this project; `work` is a folder for what is made meanwhile.

    Raises: OperatorFault.
    """
    try:
        project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        lock = (checkout / "requirements.lock").read_text(encoding="utf-8")
    except OSError as error:
        raise OperatorFault(
            f"Images are made from a checkout of this project, and {checkout} is none: get one with git, and run "
            "`make set-up` and `.venv/bin/binder images` there."
        ) from error
    argv = [sys.executable, "-I", "-m", "hatchling", "build", "--target", "wheel", "--directory", str(work / "wheel")]
    done = await run(Command(argv, env=dict(os.environ), cwd=checkout), timeout_seconds=_WHEEL_SECONDS)
    if not done.ok:
        raise OperatorFault(f"No wheel could be made of {checkout}: {done.output[-300:]}")
    wheel = next((work / "wheel").glob("*.whl"))
    needed = needed_packages(project["dependencies"], _requirements_of)
    return Sources(wheel.name, wheel.read_bytes(), locked_lines(lock, needed))


def _requirements_of(package: str) -> list[str]:
    try:
        return requires(package) or []
    except PackageNotFoundError:
        return []  # one that only another Python wants; what an image lacks is found when it is made


def _registries(settings: Settings, push: str | None) -> Registries:
    return Registries(
        push or "",
        settings.registry_username,
        settings.registry_password.get_secret_value(),
        settings.registry_plain_http,
        settings.registry_certificates,
    )


async def _show(line: str) -> None:
    typer.echo(line, err=True)


@contextmanager
def _folder_in(parent: Path) -> "Iterator[Path]":
    """Give an empty folder that the build account can get through."""
    folder = Path(tempfile.mkdtemp(prefix="own-", dir=parent))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
