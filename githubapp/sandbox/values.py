"""The things that GitHub knows, as frozen values; a change is a new value put in place of the old one.

Owns their shapes only: where they are kept is `state`, what they look like from outside is `payloads`.
All times are aware and in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias, get_args

Json: TypeAlias = dict[str, object]
AccountKind: TypeAlias = Literal["User", "Organization", "Bot"]
Role: TypeAlias = Literal["read", "triage", "write", "maintain", "admin"]
Level: TypeAlias = Literal["read", "write"]
StatusState: TypeAlias = Literal["error", "failure", "pending", "success"]
CheckStatus: TypeAlias = Literal["queued", "in_progress", "completed"]
CheckConclusion: TypeAlias = Literal[
    "action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"
]
DeploymentState: TypeAlias = Literal["error", "failure", "inactive", "in_progress", "queued", "pending", "success"]

STATUS_STATES: tuple[StatusState, ...] = ("error", "failure", "pending", "success")
ROLES: tuple[Role, ...] = ("read", "triage", "write", "maintain", "admin")

CHECK_STATUSES: tuple[CheckStatus, ...] = get_args(CheckStatus)
CHECK_CONCLUSIONS: tuple[CheckConclusion, ...] = get_args(CheckConclusion)
DEPLOYMENT_STATES: tuple[DeploymentState, ...] = get_args(DeploymentState)


@dataclass(frozen=True)
class Account:
    """A person, an organization or an App's bot; `token` is what a person signs in with."""

    id: int
    login: str
    kind: AccountKind
    created_at: datetime
    token: str | None = field(default=None, repr=False)

    @property
    def email(self) -> str:
        return f"{self.id}+{self.login}@users.noreply.example.org".replace("[bot]", "-bot")


@dataclass(frozen=True)
class App:
    """A registered GitHub App; its private half of the key is known to nobody here."""

    id: int
    slug: str
    owner: str
    webhook_url: str
    webhook_secret: str = field(repr=False)
    hook_id: int
    public_key_pem: str
    permissions: Mapping[str, str]
    events: tuple[str, ...]
    bot: str
    created_at: datetime
    client_secret: str = field(repr=False)
    name: str
    homepage: str
    callback_urls: tuple[str, ...] = ()
    setup_url: str | None = None

    @property
    def client_id(self) -> str:
        """What the App is called where a person signs in through it."""
        return f"Iv23{self.id:016d}"


@dataclass(frozen=True)
class Repository:
    """A repository; its git data lies under its `id`. `collaborators` maps a login, in lower case, to a role."""

    id: int
    owner: str
    name: str
    private: bool
    description: str | None
    default_branch: str
    parent_id: int | None
    collaborators: Mapping[str, Role]
    created_at: datetime
    updated_at: datetime
    pushed_at: datetime
    archived: bool = False

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True)
class Installation:
    """An App on an account; `repository_ids` of None means all of the account's repositories, new ones too."""

    id: int
    app_id: int
    account: str
    repository_ids: frozenset[int] | None
    permissions: Mapping[str, str]
    events: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    suspended_at: datetime | None = None


@dataclass(frozen=True)
class InstallationToken:
    """What an App acts with for an hour; `repository_ids` of None means all that the installation covers."""

    value: str = field(repr=False)
    installation_id: int
    repository_ids: frozenset[int] | None
    permissions: Mapping[str, str]
    expires_at: datetime


@dataclass(frozen=True)
class Manifest:
    """What an App shall be, as somebody's form asks for it."""

    name: str
    url: str
    webhook_url: str
    redirect_url: str
    callback_urls: tuple[str, ...]
    setup_url: str | None
    permissions: Mapping[str, str]
    events: tuple[str, ...]


@dataclass(frozen=True)
class ManifestCode:
    """A manifest that `owner` agreed to: whoever has the code may make an App of it once."""

    code: str = field(repr=False)
    manifest: Manifest
    owner: str
    expires_at: datetime


@dataclass(frozen=True)
class SignInCode:
    """A person's consent that an App acts for them; `challenge` is PKCE's, where there was one."""

    code: str = field(repr=False)
    app_id: int
    login: str
    redirect_uri: str
    challenge: str | None
    expires_at: datetime


@dataclass(frozen=True)
class UserToken:
    """What an App acts with in the name of a person; with `refresh`, once, it gets the next one."""

    value: str = field(repr=False)
    app_id: int
    login: str
    expires_at: datetime
    refresh: str = field(repr=False)
    refresh_expires_at: datetime


@dataclass(frozen=True)
class PullRequest:
    """A pull request; `head_id` is the repository of the head, and None once that has been deleted."""

    id: int
    number: int
    repository_id: int
    base_ref: str
    base_sha: str
    head_id: int | None
    head_owner: str
    head_ref: str
    head_sha: str
    title: str
    body: str | None
    author: str
    draft: bool
    state: Literal["open", "closed"]
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comment:
    """A comment on a pull request; `app_id` says which App wrote it, when one did."""

    id: int
    repository_id: int
    number: int
    author: str
    body: str
    created_at: datetime
    updated_at: datetime
    app_id: int | None = None


@dataclass(frozen=True)
class Status:
    """A commit's status in one context; the newest of a context is the one that counts."""

    id: int
    repository_id: int
    sha: str
    context: str
    state: StatusState
    description: str | None
    target_url: str | None
    creator: str
    created_at: datetime


@dataclass(frozen=True)
class CheckAction:
    """A button below a check run; what it does is the App's, which is sent the `identifier`."""

    label: str
    description: str
    identifier: str


@dataclass(frozen=True)
class CheckSuite:
    """All check runs of one App for one commit; `branch` is one that the commit was the tip of."""

    id: int
    repository_id: int
    app_id: int
    sha: str
    branch: str | None
    created_at: datetime


@dataclass(frozen=True)
class CheckRun:
    """A check of a commit; `annotations` are in GitHub's shape. Only a completed one has a conclusion."""

    id: int
    repository_id: int
    suite_id: int
    app_id: int
    sha: str
    name: str
    started_at: datetime
    status: CheckStatus = "queued"
    conclusion: CheckConclusion | None = None
    completed_at: datetime | None = None
    details_url: str | None = None
    external_id: str = ""
    title: str | None = None
    summary: str | None = None
    text: str | None = None
    annotations: tuple[Json, ...] = ()
    actions: tuple[CheckAction, ...] = ()


@dataclass(frozen=True)
class Environment:
    """Where deployments go; it appears with the first one, and stays."""

    id: int
    repository_id: int
    name: str
    created_at: datetime


@dataclass(frozen=True)
class DeploymentStatus:
    """How a deployment stood at a time; the newest one counts."""

    id: int
    state: DeploymentState
    creator: str
    app_id: int | None
    description: str
    environment: str
    environment_url: str
    log_url: str
    created_at: datetime


@dataclass(frozen=True)
class Deployment:
    """A commit that is brought somewhere; `statuses` are the oldest first."""

    id: int
    repository_id: int
    sha: str
    ref: str
    task: str
    payload: Json | str
    original_environment: str
    environment: str
    description: str | None
    transient: bool
    production: bool
    creator: str
    app_id: int | None
    created_at: datetime
    statuses: tuple[DeploymentStatus, ...] = ()

    @property
    def state(self) -> DeploymentState:
        """How it stands; `pending` until somebody has said something."""
        return self.statuses[-1].state if self.statuses else "pending"


@dataclass(frozen=True)
class GitPerson:
    """Who a commit says made it, and when (ISO 8601 with offset, as git prints it)."""

    name: str
    email: str
    date: str


@dataclass(frozen=True)
class GitCommit:
    """A commit as git knows it."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: GitPerson
    committer: GitPerson
    message: str

    @property
    def title(self) -> str:
        return self.message.split("\n", 1)[0]


@dataclass(frozen=True)
class FileChange:
    """One file that differs between two commits; `blob` is None when the file is gone."""

    path: str
    previous_path: str | None
    status: Literal["added", "removed", "modified", "renamed"]
    additions: int
    deletions: int
    blob: str | None


@dataclass(frozen=True)
class TreeEntry:
    """What lies at a path of a commit; a `commit` is a submodule, and only a `blob` has a size."""

    path: str
    kind: Literal["blob", "tree", "commit"]
    sha: str
    size: int


@dataclass(frozen=True)
class Delivery:
    """One attempt to deliver an event, as GitHub keeps it; `status_code` is 0 when no answer came."""

    id: int
    guid: str
    app_id: int
    event: str
    action: str | None
    installation_id: int | None
    repository_id: int | None
    delivered_at: datetime
    redelivery: bool
    duration_seconds: float
    status: str
    status_code: int
    request_headers: Mapping[str, str]
    payload: Json
    response_headers: Mapping[str, str]
    response_body: str

    @property
    def ok(self) -> bool:
        return 200 <= self.status_code < 300
