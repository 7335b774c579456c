"""What GitHub knows, as frozen values in its own words: what the client returns and what the loops tell it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar

Item = TypeVar("Item")

StatusState: TypeAlias = Literal["pending", "success", "failure", "error"]
CheckStatus: TypeAlias = Literal["queued", "in_progress", "completed"]
CheckConclusion: TypeAlias = Literal["success", "failure", "neutral", "cancelled", "action_required"]
DeploymentState: TypeAlias = Literal["in_progress", "success", "failure", "inactive"]

# Source: https://docs.github.com/en/rest/commits/statuses#create-a-commit-status
LONGEST_DESCRIPTION_CHARACTERS = 140


@dataclass(frozen=True)
class Place:
    """Where a call goes: to a repository, by the number that outlives its name, as one installation of the App."""

    installation_id: int
    repository_id: int


@dataclass(frozen=True)
class RepositoryFacts:
    """A repository, as it is named today; `owner_id` is GitHub's number of the account that it belongs to."""

    place: Place
    owner: str
    name: str
    private: bool
    default_branch: str
    archived: bool = False
    owner_id: int | None = None


@dataclass(frozen=True)
class InstallationFacts:
    """The App on one account."""

    id: int
    account: str
    suspended: bool


@dataclass(frozen=True)
class Commit:
    """A commit."""

    sha: str
    message: str


@dataclass(frozen=True)
class Listed(Generic[Item]):
    """A list as far as it was read; `is_whole` tells that nothing was left out."""

    items: Sequence[Item]
    is_whole: bool


@dataclass(frozen=True)
class PullRequest:
    """A pull request. `head_repository_id` is None where the repository that it came from is gone."""

    number: int
    is_open: bool
    head_sha: str
    head_repository_id: int | None
    base_repository_id: int
    author: str
    base_ref: str
    base_sha: str
    draft: bool
    labels: tuple[str, ...]

    @property
    def is_from_fork(self) -> bool:
        """Whether its head was pushed by somebody who need not have a right to the base."""
        return self.head_repository_id != self.base_repository_id


@dataclass(frozen=True)
class Status:
    """A commit's status. `target_url` is None where there is nothing to open."""

    state: StatusState
    description: str
    target_url: str | None
    context: str = "binder"

    @classmethod
    def from_wanted(cls, wanted: Mapping[str, Any]) -> "Status":
        """Return the part of a report that GitHub is shown."""
        return cls(wanted["state"], wanted["description"], wanted["target_url"], wanted["context"])


@dataclass(frozen=True)
class HookDelivery:
    """One attempt of GitHub's to deliver an event; all attempts at one event share its `guid`.

    `status` is GitHub's word for how it went, and `status_code` the answer's, 0 where none came.
    """

    id: int
    guid: str
    event: str
    delivered_at: datetime
    status: str
    status_code: int


@dataclass(frozen=True)
class DeliveryPage:
    """A page of deliveries, the newest first; `cursor` leads to the next one, None where this is the last."""

    items: Sequence[HookDelivery]
    cursor: str | None


@dataclass(frozen=True)
class AppFacts:
    """What GitHub knows of the App: its address there, what it may do (name → level), and what it hears."""

    page: str
    permissions: Mapping[str, str]
    events: Sequence[str]


@dataclass(frozen=True)
class Check:
    """A check run. `annotations` and `actions` are as GitHub's API words them.

    `external_id` is our own name for one attempt: another attempt is another run. An end that only closes what was said
    before has none.
    """

    status: CheckStatus
    conclusion: CheckConclusion | None
    title: str
    summary: str
    annotations: Sequence[Mapping[str, Any]] = ()
    actions: Sequence[Mapping[str, str]] = ()
    details_url: str | None = None
    external_id: str | None = None

    @classmethod
    def from_wanted(cls, wanted: Mapping[str, Any]) -> "Check":
        """Return the check run of a report."""
        return cls(**wanted)


@dataclass(frozen=True)
class ShownCheck:
    """A check run as GitHub shows it."""

    number: int
    status: str
    conclusion: str | None
    title: str | None
    summary: str | None

    def shows(self, check: Check) -> bool:
        """Whether it tells what `check` tells."""
        told = (self.status, self.conclusion, self.title, self.summary)
        return told == (check.status, check.conclusion, check.title, check.summary)


@dataclass(frozen=True)
class Deployment:
    """What a deployment says. `environment_url` opens the notebook."""

    state: DeploymentState
    description: str
    environment_url: str | None
    log_url: str | None

    @classmethod
    def from_wanted(cls, wanted: Mapping[str, Any]) -> "Deployment":
        """Return the part of a report that GitHub is shown."""
        return cls(wanted["state"], wanted["description"], wanted["environment_url"], wanted["log_url"])
