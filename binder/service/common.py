"""What the parts of a service are given alike."""

from dataclasses import dataclass

from binder.figures import Figures
from binder.paths import Paths
from binder.process import Account
from binder.service.github import GitHubSide
from binder.service.views import Views
from binder.settings import Settings
from binder.store import Store


@dataclass(frozen=True)
class Common:
    """What both parts work with; `account` is the one that runs tools, `views` is what operators see of the engine."""

    settings: Settings
    paths: Paths
    account: Account
    store: Store
    github: GitHubSide
    figures: Figures
    views: Views
