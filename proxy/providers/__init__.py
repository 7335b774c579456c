"""Where links lead: one module for each provider, all behind one small interface.

Pure: how a link's specification names a repository or a record, which row of the store is its, and where it is found.
All are asked for a ref in the same way (`proxy.commits`); whether a host may be asked at all is checked where it is
asked.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from binder.errors import VisitorFault
from binder.store.tables import Repository
from proxy.providers.gists import Gists
from proxy.providers.git import Git
from proxy.providers.github import GitHub
from proxy.providers.gitlab import GitLab
from proxy.providers.interface import Named, Place, Provider, shown
from proxy.providers.local import Local
from proxy.providers.records import DATAVERSE, FIGSHARE, ZENODO, Ckan, HydroShare

__all__ = ["FORM", "PROVIDERS", "Named", "Place", "Provider", "named_of", "provider_called", "provider_of", "shown"]

_REPOSITORIES: Final[Sequence[Provider]] = (GitHub(), Gists(), GitLab(), Git())
_RECORDS: Final[Sequence[Provider]] = (ZENODO, FIGSHARE, DATAVERSE, HydroShare(), Ckan())
PROVIDERS: Final[Mapping[str, Provider]] = {provider.id: provider for provider in (*_REPOSITORIES, *_RECORDS, Local())}
FORM: Final = "A link looks like /v2/gh/OWNER/REPOSITORY/REF."


def provider_called(name: str) -> Provider:
    """Return the provider that a link names.

    Raises: VisitorFault, where there is none.
    """
    if name in PROVIDERS:
        return PROVIDERS[name]
    known = ", ".join(f"{provider.id} ({provider.title})" for provider in PROVIDERS.values())
    raise VisitorFault(f"There is no provider {shown(name)}. Supported are {known}. {FORM}")


def provider_of(repository: Repository) -> Provider:
    """Return the provider whose repository a row is."""
    return next((one for one in PROVIDERS.values() if one.has(repository.host)), PROVIDERS["gh"])


def named_of(repository: Repository) -> Named:
    """Return a row's repository as a link names it."""
    return provider_of(repository).named_as(repository.host, repository.owner, repository.name)
