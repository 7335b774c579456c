"""What the stand-in remembers: one in-memory `State`, guarded by the event loop (nothing awaits while it writes).

Owns accounts, Apps, repositories, installations, tokens, pull requests, comments and statuses, and how each is found.
Git's own data is left to `plumbing`, deliveries to `deliveries`. Nothing here survives the process.
"""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from githubapp.sandbox.values import (
    Account,
    App,
    CheckRun,
    CheckSuite,
    Comment,
    Deployment,
    Environment,
    Installation,
    InstallationToken,
    ManifestCode,
    PullRequest,
    Repository,
    Role,
    SignInCode,
    Status,
    UserToken,
)

T = TypeVar("T")

# GitHub's numbers have left 32 bits behind; ours begin there too, so that a client with a narrow column fails here.
_FIRST_LARGE_ID = 3_000_000_001


class State:
    """All that is known, by id; names are compared without regard to case, as GitHub does."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.accounts: dict[str, Account] = {}
        self.apps: dict[int, App] = {}
        self.repositories: dict[int, Repository] = {}
        self.installations: dict[int, Installation] = {}
        self.tokens: dict[str, InstallationToken] = {}
        self.pulls: dict[tuple[int, int], PullRequest] = {}
        self.comments: dict[int, Comment] = {}
        self.statuses: dict[tuple[int, str], list[Status]] = {}
        self.check_suites: dict[int, CheckSuite] = {}
        self.check_runs: dict[int, CheckRun] = {}
        self.deployments: dict[int, Deployment] = {}
        self.environments: dict[tuple[int, str], Environment] = {}
        self.labels: dict[tuple[int, str], int] = {}
        self.manifest_codes: dict[str, ManifestCode] = {}
        self.sign_in_codes: dict[str, SignInCode] = {}
        self.user_tokens: dict[str, UserToken] = {}
        self.renamed: dict[tuple[str, str], int] = {}
        self._small_ids = itertools.count(1001)
        self._large_ids = itertools.count(_FIRST_LARGE_ID)
        self._changed = asyncio.Event()

    def now(self) -> datetime:
        """The present, in whole seconds, which is as fine as GitHub's times are."""
        return datetime.now(UTC).replace(microsecond=0)

    def next_id(self) -> int:
        return next(self._small_ids)

    def next_large_id(self) -> int:
        return next(self._large_ids)

    def changed(self) -> None:
        """Wake everyone who waits in `until`."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, find: Callable[[], T | None], timeout_seconds: float) -> T:
        """Wait for `find` to return something.

        Raises: TimeoutError.
        """
        async with asyncio.timeout(timeout_seconds):
            while (found := find()) is None:
                await self._changed.wait()
            return found

    # Finding

    def account(self, login: str) -> Account | None:
        return self.accounts.get(login.lower())

    def account_with_token(self, token: str) -> Account | None:
        return next((account for account in self.accounts.values() if account.token and account.token == token), None)

    def repository(self, owner: str, name: str) -> Repository | None:
        """The repository of that name today; an old name finds nothing (see `repository_once_named`)."""
        wanted = f"{owner}/{name}".lower()
        return next((one for one in self.repositories.values() if one.full_name.lower() == wanted), None)

    def repository_once_named(self, owner: str, name: str) -> Repository | None:
        """The repository that had that name before it was renamed."""
        return self.repositories.get(self.renamed.get((owner.lower(), name.lower()), 0))

    def installations_of(self, repository: Repository) -> list[Installation]:
        """The installations that cover `repository`, suspended ones left out."""
        return [one for one in self.installations.values() if one.suspended_at is None and self.covers(one, repository)]

    def covers(self, installation: Installation, repository: Repository) -> bool:
        if installation.account.lower() != repository.owner.lower():
            return False
        return installation.repository_ids is None or repository.id in installation.repository_ids

    def installed_repositories(self, installation: Installation) -> list[Repository]:
        return [one for one in self.repositories.values() if self.covers(installation, one)]

    def installation(self, app_id: int, account: str) -> Installation | None:
        for one in self.installations.values():
            if one.app_id == app_id and one.account.lower() == account.lower():
                return one
        return None

    def role(self, login: str, repository: Repository) -> Role | None:
        """What `login` may do there; None where a stranger may do nothing, that is in a private repository."""
        if login.lower() == repository.owner.lower():
            return "admin"
        role = repository.collaborators.get(login.lower())
        return role or (None if repository.private else "read")

    def pulls_of(self, repository: Repository) -> list[PullRequest]:
        """Newest first."""
        found = [pull for (owner_id, _), pull in self.pulls.items() if owner_id == repository.id]
        return sorted(found, key=lambda pull: pull.number, reverse=True)

    def open_pulls_with_head(self, repository: Repository, branch: str) -> list[PullRequest]:
        return [
            pull
            for pull in self.pulls.values()
            if pull.state == "open" and pull.head_id == repository.id and pull.head_ref == branch
        ]

    def change_pull(self, pull: PullRequest, **changes: Any) -> PullRequest:
        """Change some fields of a pull request as it is now, not as `pull` was when somebody began to wait."""
        place = (pull.repository_id, pull.number)
        changed = replace(self.pulls[place], **changes, updated_at=self.now())
        self.pulls[place] = changed
        return changed

    def take_from_installations(self, repository_id: int) -> None:
        """Drop a repository from those that installations were given one by one."""
        for number, one in list(self.installations.items()):
            if one.repository_ids and repository_id in one.repository_ids:
                self.installations[number] = replace(one, repository_ids=one.repository_ids - {repository_id})

    def forget_repository(self, repository: Repository) -> None:
        """Drop a repository and what belongs to it; heads of other repositories' pull requests lose theirs."""
        gone = repository.id
        del self.repositories[gone]
        self.take_from_installations(gone)
        self.pulls = {place: pull for place, pull in self.pulls.items() if place[0] != gone}
        self.comments = {number: one for number, one in self.comments.items() if one.repository_id != gone}
        self.statuses = {place: kept for place, kept in self.statuses.items() if place[0] != gone}
        self.check_suites = {number: one for number, one in self.check_suites.items() if one.repository_id != gone}
        self.check_runs = {number: one for number, one in self.check_runs.items() if one.repository_id != gone}
        self.deployments = {number: one for number, one in self.deployments.items() if one.repository_id != gone}
        self.environments = {place: one for place, one in self.environments.items() if place[0] != gone}
        self.labels = {place: number for place, number in self.labels.items() if place[0] != gone}
        self.renamed = {name: number for name, number in self.renamed.items() if number != gone}
        for place, pull in self.pulls.items():
            if pull.head_id == gone:
                self.pulls[place] = replace(pull, head_id=None)
        self.changed()

    def comments_of(self, repository: Repository, number: int) -> list[Comment]:
        """Oldest first."""
        return [
            comment
            for comment in self.comments.values()
            if comment.repository_id == repository.id and comment.number == number
        ]

    def statuses_of(self, repository: Repository, sha: str) -> list[Status]:
        """Newest first."""
        return list(reversed(self.statuses.get((repository.id, sha), [])))

    def latest_statuses(self, repository: Repository, sha: str) -> list[Status]:
        """The newest status of each context, newest first; contexts differ only by more than case."""
        latest: dict[str, Status] = {}
        for status in self.statuses_of(repository, sha):
            latest.setdefault(status.context.lower(), status)
        return list(latest.values())

    def check_suites_of(self, repository: Repository, sha: str) -> list[CheckSuite]:
        """One for each App that has checked the commit, oldest first."""
        return [one for one in self.check_suites.values() if (one.repository_id, one.sha) == (repository.id, sha)]

    def check_runs_of(self, repository: Repository, sha: str) -> list[CheckRun]:
        """Newest first."""
        found = [one for one in self.check_runs.values() if (one.repository_id, one.sha) == (repository.id, sha)]
        return sorted(found, key=lambda run: run.id, reverse=True)

    def latest_check_runs(self, repository: Repository, sha: str) -> list[CheckRun]:
        """The newest check run of each name of each App, newest first."""
        latest: dict[tuple[int, str], CheckRun] = {}
        for run in self.check_runs_of(repository, sha):
            latest.setdefault((run.app_id, run.name), run)
        return list(latest.values())

    def deployments_of(self, repository: Repository, sha: str | None = None) -> list[Deployment]:
        """Newest first; of one commit, if it is named."""
        found = [one for one in self.deployments.values() if one.repository_id == repository.id]
        return [one for one in reversed(found) if sha in {None, one.sha}]
