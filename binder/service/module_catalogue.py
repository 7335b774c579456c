"""The modules that a service offers: ours, and those of the operator's folders."""

from pathlib import Path

from binder.settings import Settings
from modules.catalogue import Catalogue, catalogue_of


def catalogue_in(settings: Settings) -> Catalogue:
    """Return the modules of a service with these settings.

    Raises: OperatorFault, naming file and line of what is wrong with one.
    """
    folders: tuple[Path, ...] = tuple(getattr(settings, "modules", ()) or ())
    return catalogue_of([(folder, str(folder)) for folder in folders])
