"""The App that was set up here: its number, key and secrets, in a folder that only the service's account can read.

Owns how they are kept: all of them at once or none, once and for all. How they are come by is `setup`'s. They are
nowhere else: in no log, no page, no address.
"""

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from binder.errors import OperatorFault
from binder.settings import Settings

_FACTS, _KEY, _WEBHOOK_SECRET, _CLIENT_SECRET = "app.json", "private-key.pem", "webhook-secret", "client-secret"


@dataclass(frozen=True)
class StoredApp:
    """An App with all that it is known by. `page` is its address at GitHub."""

    app_id: int
    slug: str
    client_id: str
    page: str
    private_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    client_secret: str = field(repr=False)

    @classmethod
    def from_conversion(cls, answer: Mapping[str, Any]) -> "StoredApp":
        """Return the App that GitHub traded a manifest's code for.

        Raises: KeyError, TypeError or ValueError, where the answer is not what GitHub describes.
        Source: https://docs.github.com/en/rest/apps/apps#create-a-github-app-from-a-manifest
        """
        texts = [answer[name] for name in ("slug", "client_id", "html_url", "pem", "webhook_secret", "client_secret")]
        if not all(isinstance(text, str) and text for text in texts):
            raise ValueError("a field is empty")
        return cls(int(answer["id"]), *texts)


def read_app(folder: Path) -> StoredApp | None:
    """Return the App that is kept below `folder`, or None where none was set up.

    Raises: OperatorFault, where it cannot be read.
    """
    home = _home(folder)
    try:
        if not home.exists():
            return None
        facts = json.loads((home / _FACTS).read_text(encoding="utf-8"))
        kept = [(home / name).read_text(encoding="utf-8") for name in (_KEY, _WEBHOOK_SECRET, _CLIENT_SECRET)]
        return StoredApp(int(facts["id"]), facts["slug"], facts["client_id"], facts["page"], *kept)
    except PermissionError as error:
        raise OperatorFault(f"Only the service's account can read {home}: run this as it.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OperatorFault(
            f"The GitHub App in {home} cannot be read. Restore the folder from the backup, or remove it and run "
            "`binder setup` again."
        ) from error


def write_app(folder: Path, app: StoredApp) -> None:
    """Keep an App below `folder`: whole, durably, and only if none is kept there yet.

    Raises: OperatorFault.
    """
    new = folder / f"new-{secrets.token_hex(8)}"
    facts = {"id": app.app_id, "slug": app.slug, "client_id": app.client_id, "page": app.page}
    try:
        new.mkdir(mode=0o700)
        _write(new / _FACTS, json.dumps(facts, indent=2))
        _write(new / _KEY, app.private_key)
        _write(new / _WEBHOOK_SECRET, app.webhook_secret)
        _write(new / _CLIENT_SECRET, app.client_secret)
        _sync(new)
        new.rename(_home(folder))  # fails where there is one: a folder with something in it is never replaced
        _sync(folder)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        raise OperatorFault(f"The App could not be kept in {_home(folder)}: {error.strerror}.") from error


def app_files(folder: Path) -> list[Path]:
    """Return the files in which the App below `folder` is kept; none, where none was set up."""
    return [path for name in (_FACTS, _KEY, _WEBHOOK_SECRET, _CLIENT_SECRET) if (path := _home(folder) / name).exists()]


def forget_app(folder: Path) -> None:
    """Remove the App that is kept below `folder`: for whoever kept it and could not go on."""
    shutil.rmtree(_home(folder), ignore_errors=True)


def with_stored_app(settings: Settings, folder: Path) -> Settings:
    """Return the settings with the App that is kept below `folder` where they name none; what they name wins.

    Raises: OperatorFault.
    """
    if settings.github_app_id is not None or (app := read_app(folder)) is None:
        return settings
    return settings.model_copy(
        update={
            "github_app_id": app.app_id,
            "github_private_key_file": settings.github_private_key_file or _home(folder) / _KEY,
            "github_webhook_secrets": settings.github_webhook_secrets or (SecretStr(app.webhook_secret),),
            "github_client_id": settings.github_client_id or app.client_id,
            "github_client_secret": settings.github_client_secret
            if settings.github_client_secret.get_secret_value()
            else SecretStr(app.client_secret),
        }
    )


def _home(folder: Path) -> Path:
    return folder / "app"


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
