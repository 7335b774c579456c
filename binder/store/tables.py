"""The rows of the store. All times are UTC; a lease says which worker is at a row, and until when."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from binder.lifecycle import BuildState, DeliveryState, SessionState


def utc_now() -> datetime:
    """Return the time: the one clock of the adapters and loops; pure functions are given `now`."""
    return datetime.now(UTC)


def _from_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)


def _in_utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A time that is always aware and always UTC; SQLite has no time zones of its own."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time of no zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone was given to the store")
        return value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """Give SQLite's times, which are texts, their zone; this is done tens of thousands of times a second."""
        return _from_text if dialect.name == "sqlite" else _in_utc


class StateType(TypeDecorator[Any]):
    """A state, written as its word."""

    impl = String(16)
    cache_ok = True

    def __init__(self, kind: type[DeliveryState | BuildState | SessionState]) -> None:
        super().__init__()
        self.kind = kind

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Return the state of that word."""
        return None if value is None else self.kind(value)


class Row(DeclarativeBase):
    """What all rows share."""

    type_annotation_map = {  # noqa: RUF012
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        DeliveryState: StateType(DeliveryState),
        BuildState: StateType(BuildState),
        SessionState: StateType(SessionState),
    }


class Leased:
    """A row that a worker takes before it works on it."""

    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[datetime | None]


class Identity(Row):
    """The one row that says which service this is: what it owns on a cluster bears this name, whoever made it."""

    __tablename__ = "identity"

    instance: Mapped[str] = mapped_column(String(8), primary_key=True)


class Installation(Row):
    """The App on one account. `external_id` is its host's number. One that was deleted has no row any more."""

    __tablename__ = "installations"
    __table_args__ = (UniqueConstraint("host", "external_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    external_id: Mapped[int] = mapped_column(BigInteger)
    account: Mapped[str] = mapped_column(String(100))
    suspended: Mapped[bool] = mapped_column(default=False)
    compared_at: Mapped[datetime | None]
    """When the heads of its repositories were last compared with GitHub's, whole."""


class Repository(Row):
    """A repository that a delivery or a link named. `external_id` is its host's number, which outlives a rename.

    `installation_id` is GitHub's number of the installation that covers it, None where the App is not installed on it
    (any more). `owner_id` is GitHub's number of the account that it belongs to, None where GitHub did not say yet.
    """

    __tablename__ = "repositories"
    __table_args__ = (UniqueConstraint("host", "owner", "name"), UniqueConstraint("host", "external_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    external_id: Mapped[int | None] = mapped_column(BigInteger)
    owner: Mapped[str] = mapped_column(String(100))
    owner_id: Mapped[int | None] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(100))
    clone_url: Mapped[str] = mapped_column(String(1000))
    default_branch: Mapped[str | None] = mapped_column(String(255))
    private: Mapped[bool] = mapped_column(default=False)
    archived: Mapped[bool] = mapped_column(default=False)
    access_epoch: Mapped[int] = mapped_column(default=0)
    """Counts up whenever somebody may have lost the right to read it: what was granted before is asked again."""
    installation_id: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    @property
    def full_name(self) -> str:
        """`owner/name`; a git server may have a repository of no owner."""
        return f"{self.owner}/{self.name}".lstrip("/")


class Delivery(Row, Leased):
    """A webhook's delivery, stored before it is answered. Two Apps can share one `guid`, so it is unique per App."""

    __tablename__ = "deliveries"
    __table_args__ = (UniqueConstraint("host", "app_id", "guid"), Index("ix_deliveries_state", "state"))

    id: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    app_id: Mapped[int] = mapped_column(BigInteger)
    guid: Mapped[str] = mapped_column(String(100))
    event: Mapped[str] = mapped_column(String(50))
    payload: Mapped[dict[str, Any]]
    state: Mapped[DeliveryState] = mapped_column(default=DeliveryState.STORED)
    reason: Mapped[str | None] = mapped_column(String(1000))
    attempts: Mapped[int] = mapped_column(default=0)
    received_at: Mapped[datetime] = mapped_column(default=utc_now)
    acted_at: Mapped[datetime | None]


class Preview(Row):
    """A branch or pull request that is kept live. `ref` is the branch's name, or the pull request's number.

    `held` says, in a sentence, why its head is not built, None where it is. `approved_sha` is the commit of a fork that
    somebody with write access allowed. `facts` is what GitHub said of a pull request: {author, base_ref, base_sha,
    notebooks (paths of those changed), draft, labels}. `choices` is what the repository's binder.yml says of reports:
    {comment (bool), deployment (bool)}.
    """

    __tablename__ = "previews"
    __table_args__ = (UniqueConstraint("repository_id", "kind", "ref"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id"))
    kind: Mapped[str] = mapped_column(String(8))
    ref: Mapped[str] = mapped_column(String(255))
    head_sha: Mapped[str] = mapped_column(String(40))
    live: Mapped[bool] = mapped_column(default=True)
    from_fork: Mapped[bool] = mapped_column(default=False)
    held: Mapped[str | None] = mapped_column(String(1000))
    approved_sha: Mapped[str | None] = mapped_column(String(40))
    approved_by: Mapped[str | None] = mapped_column(String(100))
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    choices: Mapped[dict[str, Any]] = mapped_column(default=dict)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)


class Decision(Row):
    """Why something was done about a commit, or not done: one line of its story, never changed.

    `cause` is `delivery` (then `delivery_id` says which), `command`, `button`, `comparison`, `start`, `visitor`, `job`.
    `outcome` is one word: `build`, `hold`, `stale`, `end`, `approve`, `cancel`, `stop`, `refuse`, `known`.
    """

    __tablename__ = "decisions"
    __table_args__ = (Index("ix_decisions_commit", "repository_id", "sha"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id"))
    kind: Mapped[str] = mapped_column(String(8))
    ref: Mapped[str] = mapped_column(String(255))
    sha: Mapped[str | None] = mapped_column(String(40))
    cause: Mapped[str] = mapped_column(String(16))
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("deliveries.id"))
    outcome: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(1000))
    actor: Mapped[str | None] = mapped_column(String(100))
    decided_at: Mapped[datetime] = mapped_column(default=utc_now)


class Build(Row, Leased):
    """One attempt to turn a commit into an image. `preview_id` is None where a link asked for it.

    `for_jobs`: it was queued for jobs of workflows, and nobody else has wanted it since.

    `untrusted`: of a fork's commit, or of one that may be; it is given no secrets, a cache of its own, and less of the
    machine.
    `result` holds, once known: `image` (name), `digest`, `way`, `layers` (list of {kind, key, reused}: these are known
    before they are made), `seconds` (phase → s), `changed` (packages that were exchanged), `notebooks` (list
    of {id, path, outcome, seconds, message, line, traceback}: how far those are that have to run).
    `fault` holds {party, message, file, line, step}.
    """

    __tablename__ = "builds"
    __table_args__ = (
        Index("ix_builds_state", "state"),
        Index("ix_builds_commit", "repository_id", "sha"),
        Index("ix_builds_preview", "preview_id", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id"))
    preview_id: Mapped[int | None] = mapped_column(ForeignKey("previews.id"))
    sha: Mapped[str] = mapped_column(String(40))
    untrusted: Mapped[bool] = mapped_column(default=False)
    for_jobs: Mapped[bool] = mapped_column(default=False)
    state: Mapped[BuildState] = mapped_column(default=BuildState.QUEUED)
    result: Mapped[dict[str, Any] | None]
    fault: Mapped[dict[str, Any] | None]
    awaits_check: Mapped[bool] = mapped_column(default=False)
    """Whether notebooks have to run before a session of its image is started for visitors (`NotebookRun`)."""
    queued_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class NotebookRun(Row, Leased):
    """A notebook that is to run in the image of a build, in a session of its own that is nobody else's.

    `settings` is how (`binder.notebook_checks.CheckSettings`). `key` digests all that its end depends on, once that is
    known. `session_id` is the session of the last attempt. `outcome` is `passed`, `failed` or `stopped`, None before
    its end; `reused`: it is that of an earlier run of the same key. `fault` holds {party, message, line, traceback}.
    `executed` is the notebook as it ran: nbformat's JSON, deflated.
    """

    __tablename__ = "notebook_runs"
    __table_args__ = (
        Index("ix_notebook_runs_build", "build_id"),
        Index("ix_notebook_runs_key", "key"),
        Index("ix_notebook_runs_finished", "finished_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    build_id: Mapped[int] = mapped_column(ForeignKey("builds.id", ondelete="CASCADE"))
    path: Mapped[str] = mapped_column(String(4000))
    settings: Mapped[dict[str, Any]]
    key: Mapped[str | None] = mapped_column(String(64))
    session_id: Mapped[str | None] = mapped_column(String(40))
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(8))
    reused: Mapped[bool] = mapped_column(default=False)
    seconds: Mapped[float | None]
    fault: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    executed: Mapped[bytes | None] = mapped_column(deferred=True)


class BuildLogPart(Row):
    """A part of a build's log, from the byte `begin` on: UTF-8 text, secrets masked. Parts are not cut at lines."""

    __tablename__ = "build_log_parts"

    build_id: Mapped[int] = mapped_column(ForeignKey("builds.id", ondelete="CASCADE"), primary_key=True)
    begin: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    data: Mapped[bytes]


class BuildBill(Row):
    """The software bill of materials of a build's image: CycloneDX, JSON."""

    __tablename__ = "build_bills"

    build_id: Mapped[int] = mapped_column(ForeignKey("builds.id", ondelete="CASCADE"), primary_key=True)
    data: Mapped[bytes]


class Visitor(Row):
    """Somebody who signed in with GitHub. `external_id` is the host's number of the account, `login` its name.

    `tokens` is what GitHub gave to act in this name, sealed; None once nobody is signed in as this visitor any more.
    """

    __tablename__ = "visitors"
    __table_args__ = (UniqueConstraint("host", "external_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    external_id: Mapped[int] = mapped_column(BigInteger)
    login: Mapped[str] = mapped_column(String(100))
    tokens: Mapped[str | None] = mapped_column(String(4000))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class SignedIn(Row):
    """A browser in which a visitor is signed in, until `ends_at`. `digest` is that of its cookie, SHA-256."""

    __tablename__ = "signed_in"
    __table_args__ = (Index("ix_signed_in_visitor", "visitor_id"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    visitor_id: Mapped[int] = mapped_column(ForeignKey("visitors.id"))
    ends_at: Mapped[datetime]


class Grant(Row):
    """That GitHub said, at `asked_at`, that a visitor may read a private repository.

    It is good for a few minutes, and no longer than the repository's `access_epoch` is the one of `epoch`.
    """

    __tablename__ = "grants"

    visitor_id: Mapped[int] = mapped_column(ForeignKey("visitors.id"), primary_key=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id"), primary_key=True)
    epoch: Mapped[int]
    asked_at: Mapped[datetime]


class Session(Row, Leased):
    """One running binder, for one visitor; a standby until it is claimed. `target` is its upstream, `host:port`.

    `visitor_id` is who opened it, None where that was somebody who is not signed in.
    `activity_at` is the last time that somebody used it, by the proxy's account or Jupyter's, whichever is later.
    `deployed` is what an operator deployed it with, {modules}: it is open as soon as it runs, and nobody else's. None
    where it is for visitors.
    `services` is what its modules are at, and their pages, once it is ready (`deploy.service_words.kept_at_start`).
    """

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_state", "state", "ended_at"),
        Index("ix_sessions_build", "build_id"),
        Index("ix_sessions_image", "image", "state"),
        Index("ix_sessions_opened", "opened_at"),
        Index("ix_sessions_repository", "repository_id", "state"),
    )

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id"))
    build_id: Mapped[int] = mapped_column(ForeignKey("builds.id"))
    image: Mapped[str] = mapped_column(String(255))
    token: Mapped[str] = mapped_column(String(43))
    visitor_id: Mapped[int | None] = mapped_column(ForeignKey("visitors.id", name="fk_sessions_visitor_id"))
    state: Mapped[SessionState] = mapped_column(default=SessionState.WANTED)
    target: Mapped[str | None] = mapped_column(String(100))
    reason: Mapped[str | None] = mapped_column(String(1000))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    ready_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    activity_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    services: Mapped[dict[str, Any] | None]
    deployed: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class JobAsk(Row):
    """That a job of a workflow asked for a build, once with each of its tokens, until `ends_at`.

    `token` is the SHA-256 of what GitHub numbered the job's token with; `digest` that of what the job follows the build
    by; that and `build_id` are None until there is one. `is_over`: it needs the build no more. `notebooks` are those
    that it wants to see run in the image, and `runs` the ids of their `NotebookRun`s, None before the build succeeded.
    """

    __tablename__ = "job_asks"
    __table_args__ = (Index("ix_job_asks_build", "build_id"), Index("ix_job_asks_ends", "ends_at"))

    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    build_id: Mapped[int | None] = mapped_column(ForeignKey("builds.id", ondelete="CASCADE"))
    seen_at: Mapped[datetime] = mapped_column(default=utc_now)
    ends_at: Mapped[datetime]
    is_over: Mapped[bool] = mapped_column(default=False)
    notebooks: Mapped[list[str]] = mapped_column(JSON, default=list)
    runs: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))


class ApiToken(Row):
    """What opens the operator's API, until `ends_at` where that is set. `digest` is the token's, SHA-256."""

    __tablename__ = "api_tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    made_at: Mapped[datetime] = mapped_column(default=utc_now)
    ends_at: Mapped[datetime | None]


class Report(Row, Leased):
    """What GitHub should show (`wanted`) and what it was last told (`sent`): owed while they differ.

    | `kind` | `subject` | `wanted` | `remote_id` |
    |---|---|---|---|
    | `status` | the sha | {state, description, target_url, context, build} | (none) |
    | `check` | the sha | {status, conclusion, title, summary, annotations, actions, details_url, external_id} | a run |
    | `deployment` | the sha | {ref, state, description, environment_url, log_url} | the deployment |
    | `comment` | the pull request's number | {body, create, state, good} | the comment |

    A check run of another `external_id` is another attempt's. No comment is created where `create` is false; it is
    edited only where its `state` changes, and `good` is the last commit that it told to be ready.
    `reason` says why the last attempt failed: for good, where it is not `owed` any more.
    """

    __tablename__ = "reports"
    __table_args__ = (UniqueConstraint("repository_id", "kind", "subject"), Index("ix_reports_owed", "owed"))

    id: Mapped[int] = mapped_column(primary_key=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id"))
    kind: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(String(40))
    wanted: Mapped[dict[str, Any]]
    sent: Mapped[dict[str, Any] | None]
    owed: Mapped[bool] = mapped_column(default=True)
    remote_id: Mapped[int | None] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(String(1000))
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)
