"""The stand-in as one object: what people, tests and the demo do with it.

Owns the control surface: each public method here is also an address under `/sandbox/` (see `control`), with the same
arguments. Whoever acts is named by login; a repository by `owner/name`. Running it is left to `server`.

Every method raises `Refusal` where GitHub, or we, would not do it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from githubapp.sandbox import events, installations, registry
from githubapp.sandbox.access import Refusal
from githubapp.sandbox.deliveries import Deliveries
from githubapp.sandbox.faults import DeliveryFault, Fault, Faults, RequestFault
from githubapp.sandbox.plumbing import Plumbing
from githubapp.sandbox.state import State
from githubapp.sandbox.surface import limited
from githubapp.sandbox.surface_actions import ActionsSurface
from githubapp.sandbox.surface_checks import CheckSurface
from githubapp.sandbox.surface_deployments import DeploymentSurface
from githubapp.sandbox.surface_pulls import PullRequestSurface
from githubapp.sandbox.values import (
    Account,
    AccountKind,
    Delivery,
    Installation,
    Repository,
    Role,
    Status,
    StatusState,
)
from githubapp.sandbox.world import World

# What our App asks for; nothing more.
DEFAULT_PERMISSIONS = {
    "metadata": "read",
    "contents": "read",
    "statuses": "write",
    "checks": "write",
    "deployments": "write",
    "pull_requests": "write",
    "issues": "read",
}
DEFAULT_EVENTS = ("push", "create", "delete", "pull_request", "issue_comment", "check_run", "check_suite", "repository")


@dataclass(frozen=True)
class CreatedApp:
    """A new App with the private key that is shown this once."""

    app_id: int
    slug: str
    bot: str
    private_key_pem: str = field(repr=False)
    client_id: str
    client_secret: str = field(repr=False)


class Sandbox(PullRequestSurface, CheckSurface, DeploymentSurface, ActionsSurface):
    """A small GitHub; `url` is where it is found, `root` an existing directory for its git data."""

    def __init__(self, url: str, root: Path) -> None:
        state, faults = State(url), Faults()
        self.world = World(state, Plumbing(root), Deliveries(state, faults), faults)

    @property
    def url(self) -> str:
        return self.world.state.url

    @property
    def api_url(self) -> str:
        """What a client takes as its `base_url`."""
        return f"{self.url}/api/v3"

    def clone_url(self, full_name: str, *, login: str | None = None) -> str:
        """Where git finds a repository, with `login`'s token in the address if one is named."""
        if login is None:
            return f"{self.url}/{full_name}.git"
        scheme, rest = self.url.split("://", 1)
        return f"{scheme}://{login}:{self.world.account(login).token}@{rest}/{full_name}.git"

    # Accounts and Apps

    async def create_user(self, login: str, *, kind: AccountKind = "User") -> Account:
        """A person, with a `token` for git and REST, or an organization."""
        return registry.create_account(self.world, login, kind)

    async def create_app(
        self,
        *,
        webhook_url: str,
        webhook_secret: str,
        owner: str,
        slug: str = "binder",
        permissions: dict[str, str] | None = None,
        events: Sequence[str] = DEFAULT_EVENTS,
        callback_urls: Sequence[str] = (),
    ) -> CreatedApp:
        """Register an App; a `ping` goes to its address at once."""
        app, pem = await registry.create_app(
            self.world,
            slug,
            self.world.account(owner),
            webhook_url=webhook_url,
            webhook_secret=webhook_secret,
            permissions=DEFAULT_PERMISSIONS if permissions is None else permissions,
            events_wanted=events,
            callback_urls=callback_urls,
        )
        return CreatedApp(app.id, app.slug, app.bot, pem, app.client_id, app.client_secret)

    async def set_webhook(self, app_id: int, *, webhook_url: str, webhook_secret: str | None = None) -> None:
        """Move an App's address, and change its secret if one is given."""
        registry.set_webhook(self.world, self._app(app_id), webhook_url, webhook_secret)

    async def set_permissions(self, app_id: int, *, permissions: dict[str, str], events: Sequence[str]) -> None:
        """Let an App ask for something else; each installation keeps what it has until it accepts that."""
        registry.set_permissions(self.world, self._app(app_id), permissions, events)

    # Repositories

    async def create_repository(
        self, full_name: str, *, private: bool = False, description: str | None = None, default_branch: str = "main"
    ) -> Repository:
        """An empty repository."""
        return await registry.create_repository(
            self.world, full_name, private=private, description=description, default_branch=default_branch
        )

    async def fork(self, full_name: str, *, owner: str, name: str | None = None) -> Repository:
        """Copy a repository to another account, with its branches and tags."""
        return await registry.fork(self.world, self.world.repository(full_name), self.world.account(owner), name)

    async def rename_repository(self, full_name: str, *, name: str, sender: str | None = None) -> Repository:
        """Give it another name; old addresses answer 301."""
        repository = self.world.repository(full_name)
        return registry.rename_repository(self.world, repository, name, self._sender(sender, repository))

    async def set_private(self, full_name: str, *, private: bool, sender: str | None = None) -> Repository:
        """Hide it from strangers, or show it to all."""
        repository = self.world.repository(full_name)
        return registry.set_private(self.world, repository, self._sender(sender, repository), private=private)

    async def set_archived(self, full_name: str, *, archived: bool, sender: str | None = None) -> Repository:
        """Make it read-only, or writable again."""
        repository = self.world.repository(full_name)
        return registry.set_archived(self.world, repository, self._sender(sender, repository), archived=archived)

    async def set_default_branch(self, full_name: str, *, branch: str, sender: str | None = None) -> Repository:
        """Make another of its branches the default one."""
        repository = self.world.repository(full_name)
        return await registry.set_default_branch(self.world, repository, branch, self._sender(sender, repository))

    async def transfer_repository(self, full_name: str, *, owner: str, sender: str | None = None) -> Repository:
        """Give it to another account; old addresses answer 301."""
        repository, account = self.world.repository(full_name), self.world.account(owner)
        return registry.transfer_repository(self.world, repository, account, self._sender(sender, repository))

    async def delete_repository(self, full_name: str, *, sender: str | None = None) -> None:
        """Delete it with all that is in it."""
        repository = self.world.repository(full_name)
        await registry.delete_repository(self.world, repository, self._sender(sender, repository))

    async def set_role(self, full_name: str, *, login: str, role: Role | None) -> Repository:
        """Make somebody a collaborator, or (None) nobody any more."""
        return registry.set_role(self.world, self.world.repository(full_name), self.world.account(login), role)

    async def revoke_sign_in(self, app_id: int, *, login: str) -> None:
        """Take back, as a person, that an App acts for them: their tokens end."""
        app, person = self._app(app_id), self.world.account(login)
        tokens = self.world.state.user_tokens
        for token in [one for one in tokens.values() if one.app_id == app.id and one.login == person.login]:
            del tokens[token.value]
        events.sign_in_revoked(self.world, app, person)

    # Installations

    async def install(
        self, app_id: int, *, account: str, repositories: Sequence[str] | None = None, sender: str | None = None
    ) -> Installation:
        """Install an App on `owner/name`s of one account, or (None) on all that it has and will have."""
        chosen = None if repositories is None else [self.world.repository(one) for one in repositories]
        owner = self.world.account(account)
        return installations.install(self.world, self._app(app_id), owner, chosen, self._person(sender or owner.login))

    async def uninstall(
        self, app_id: int, *, account: str, repositories: Sequence[str] | None = None, sender: str | None = None
    ) -> None:
        """Take repositories out of an installation, or (None) end it."""
        installed, who = self._installation(app_id, account), self._person(sender or account)
        if repositories is None:
            installations.uninstall(self.world, installed, who)
        else:
            chosen = [self.world.repository(one) for one in repositories]
            installations.uninstall_from(self.world, installed, chosen, who)

    async def set_suspended(
        self, app_id: int, *, account: str, suspended: bool, sender: str | None = None
    ) -> Installation:
        """Stop an installation's tokens and events, or let them go on."""
        installed, who = self._installation(app_id, account), self._person(sender or account)
        return installations.set_suspended(self.world, installed, who, suspended=suspended)

    async def accept_permissions(self, app_id: int, *, account: str, sender: str | None = None) -> Installation:
        """Grant an App what it asks for by now."""
        installed, who = self._installation(app_id, account), self._person(sender or account)
        return installations.accept_permissions(self.world, installed, who)

    # Deliveries and waiting

    async def deliveries(self, *, app_id: int | None = None) -> list[Delivery]:
        """What was delivered, or was to be, newest first."""
        return self.world.deliveries.newest_first(app_id)

    async def redeliver(self, delivery_id: int) -> None:
        """Deliver it again, under the same guid."""
        found = self.world.deliveries.get(delivery_id)
        if found is None:
            raise Refusal(404, "There is no such delivery")
        self.world.deliveries.redeliver(found)

    async def settled(self, *, timeout_seconds: float = 30.0) -> None:
        """Wait until nothing is on its way to an App.

        Raises: TimeoutError.
        """
        await self.world.deliveries.settled(limited(timeout_seconds))

    async def statuses(self, full_name: str, *, sha: str) -> list[Status]:
        """All statuses of a commit, newest first."""
        return self.world.state.statuses_of(self.world.repository(full_name), sha)

    async def wait_for_status(
        self,
        full_name: str,
        *,
        sha: str,
        context: str,
        states: Sequence[StatusState] = ("success", "failure", "error"),
        timeout_seconds: float = 30.0,
    ) -> Status:
        """The newest status of `sha` in `context`, as soon as it is in one of `states`.

        Raises: TimeoutError.
        """
        repository = self.world.repository(full_name)

        def find() -> Status | None:
            latest = self.world.state.latest_statuses(repository, sha)
            return next((one for one in latest if one.context == context and one.state in states), None)

        return await self.world.state.until(find, limited(timeout_seconds))

    # Faults

    async def add_fault(
        self,
        kind: DeliveryFault | RequestFault,
        *,
        count: int = 1,
        seconds: float = 0.0,
        event: str | None = None,
        method: str | None = None,
        path: str = "",
        status: int = 502,
        message: str = "Server Error",
        retry_after_seconds: int | None = None,
    ) -> Fault:
        """Let something go wrong `count` times; `Fault` says what each argument means."""
        fault = Fault(0, kind, count, seconds, event, method, path, status, message, retry_after_seconds)
        try:
            return self.world.faults.add(fault)
        except ValueError as error:
            raise Refusal(422, str(error)) from None

    async def faults(self) -> list[Fault]:
        """The faults that are still due."""
        return list(self.world.faults.due)

    async def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        self.world.faults.clear()
