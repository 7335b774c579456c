"""The versions of the schema: which there are, and how a store is brought to the newest."""

import functools
from collections.abc import Sequence
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL

from binder.log import logger

log = logger(__name__)


def upgrade(url: str | URL, to: str = "head") -> None:
    """Bring a store forward, whatever version it has; one that is not there yet is made."""
    config = _config()
    config.attributes["url"] = url
    try:
        command.upgrade(config, to)
    except CommandError as error:
        if "Can't locate revision" not in str(error):
            raise
        # A newer version has been here, and what it did lets this one go on, as long as both run.
        log.warning("store_is_newer", reason=str(error))


@functools.cache
def schema_versions() -> Sequence[str]:
    """Return all versions that there ever were, the oldest first."""
    return [one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
