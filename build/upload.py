"""Pushes images from this machine's storage to any registry, with a right that no other command has a part in."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from binder.containers import Registries, engine_settings
from binder.errors import OperatorFault
from binder.paths import Paths
from binder.process import Account
from build.buildah import Buildah, explain_registry
from build.registries.registry import Registry

_PUSH = """\
set -e
buildah inspect --type image "$1" >/dev/null 2>&1 || buildah pull --quiet "$1" >/dev/null
exec buildah push --quiet --format oci --compression-format gzip --compression-level 1 \\
    --authfile "$3/auth.json" --cert-dir "$3" --tls-verify="$4" "$1" "docker://$2"
"""


async def upload(buildah: Buildah, registry: Registry, registries: Registries, image: str, folder: Path) -> str:
    """Push an image to `registries.own`, where `registry` asks, under the tag that it has here; return its reference,
    with its digest. What is there already is not sent again. `folder` is from `upload_folder`.

    Raises: BinderError.
    """
    tag = image.rpartition(":")[2]
    reference = f"{registries.own}:{tag}"
    if await registry.digest(tag) is None:
        tls = json.dumps(not registries.plain_http)
        await buildah.run_script(
            _PUSH, image, reference, str(folder), tls, step="registry", take=None, explain=explain_registry
        )
    digest = await registry.digest(tag)
    if digest is None:
        raise OperatorFault(f"The registry does not have {reference}, which was pushed to it.")
    return f"{reference}@{digest}"


@asynccontextmanager
async def upload_folder(paths: Paths, account: Account, registries: Registries, folder: Path) -> AsyncIterator[Path]:
    """Give a folder with what Buildah signs in with, and whom it trusts; only its account can read it."""
    settings = engine_settings(paths, registries)
    files = {"auth.json": settings[".config/containers/auth.json"]}
    files |= {Path(name).name: text for name, text in settings.items() if name.endswith(".crt")}
    folder.mkdir(mode=0o700)
    try:
        for name, text in files.items():
            file = folder / name
            file.touch(mode=0o600)
            file.write_text(text, encoding="utf-8")
            if account.is_other:
                shutil.chown(file, account.uid, account.gid)
        if account.is_other:
            shutil.chown(folder, account.uid, account.gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
