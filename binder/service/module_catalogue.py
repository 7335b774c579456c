"""The modules that a service offers, as they are on this machine: nothing is fetched for whoever only asks."""

from binder.paths import Paths
from binder.service.modules import kept_folders
from binder.settings import Settings
from modules.catalogue import Catalogue, catalogue_of


def catalogue_in(settings: Settings) -> Catalogue:
    """Return the modules of a service with these settings; those of a repository of git, once it was fetched.

    Raises: OperatorFault, naming file and line of what is wrong with one.
    """
    folders = kept_folders(settings, Paths(settings.state_dir, settings.cache_dir))
    return catalogue_of([(folder, origin) for folder, origin in folders if "://" not in origin or folder.is_dir()])
