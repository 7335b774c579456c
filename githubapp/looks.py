"""Looks at one ref: asks GitHub how it is now, decides, and gives what is to be written down.

Writes nothing by itself: whoever asked puts it into the transaction that ends what they were at.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy.ext.asyncio import AsyncSession

from binder.lifecycle import DeliveryState
from binder.preview_policy import PreviewPolicy
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import utc_now
from githubapp.decisions import Cause
from githubapp.endings import end_repository
from githubapp.events import Look
from githubapp.heads import Decision, Head, Known, decide
from githubapp.lookups import Lookups
from githubapp.policies import policy_at
from githubapp.records import Mark, MovedError, Observation, known_of, mark_of, record
from githubapp.reports import Addresses
from githubapp.repositories import record_repository, stored_repository, unseen
from githubapp.values import RepositoryFacts

_MOST_NOTEBOOKS = 20

Write: TypeAlias = Callable[[AsyncSession, Cause, datetime], Awaitable[None]]


@dataclass(frozen=True)
class Finding:
    """What becomes of a hint, and what is to be written down, None where there is nothing."""

    state: DeliveryState
    reason: str | None = None
    write: Write | None = None


@dataclass(frozen=True)
class Wish:
    """What somebody with write access wants of a ref's head, which must be at `sha`: to have it built, or allowed."""

    actor: str
    sha: str
    approves: bool


class Looker:
    """Looks at the refs of one host's repositories."""

    def __init__(self, store: Store, github: Lookups, settings: Settings) -> None:
        self._store = store
        self._github = github
        self._host = settings.github_host
        self._signs_in = settings.signs_in
        self._addresses = Addresses(settings.url, settings.github_url)

    async def look(self, look: Look, wish: Wish | None = None) -> Finding:
        """Return what GitHub says now about a ref, and what to do about it.

        Raises: MovedError, where the head is not the one that is wished for; what `Connection.call` raises.
        """
        async with self._store.read() as session:
            mark = await mark_of(session, self._host, look)
        facts = await self.repository(look.repository_id, look.installation_id)
        if isinstance(facts, str):
            return self._unless_moved(look, mark, self.ends(look.repository_id, facts))
        if unseen(facts, signs_in=self._signs_in):
            return self._unless_moved(look, mark, self.hides(facts))
        seen = await self._observe(look, facts, mark, wish)
        return Finding(
            seen.decision.state,
            seen.decision.reason,
            lambda session, cause, now: record(session, self._host, seen, self._addresses, cause, now),
        )

    def _unless_moved(self, look: Look, mark: Mark, finding: Finding) -> Finding:
        """Return the same finding, that is written only if nobody wrote about the ref since the mark was taken."""

        async def write(session: AsyncSession, cause: Cause, now: datetime) -> None:
            if await mark_of(session, self._host, look) != mark:
                raise MovedError("The ref changed while it was looked at.")
            if finding.write:
                await finding.write(session, cause, now)

        return replace(finding, write=write)

    async def write(self, finding: Finding, cause: Cause) -> None:
        """Write down what was found, in a transaction of its own.

        Raises: MovedError.
        """
        if finding.write:
            async with self._store.write() as session:
                await finding.write(session, cause, utc_now())

    async def repository(self, repository_id: int, installation_id: int | None) -> RepositoryFacts | str:
        """Return what GitHub says of a repository, or why it says nothing; the installation may be an old one."""
        facts = await self._github.repository(installation_id, repository_id) if installation_id else None
        if facts:
            return facts
        current = await self._github.installation_of(repository_id)
        if current is None:
            return "the App is not installed on the repository"
        return await self._github.repository(current, repository_id, anew=True) or "the App cannot see the repository"

    def ends(self, repository_id: int, reason: str) -> Finding:
        """Return that a repository is out of our sight, with all that it had ended."""

        async def write(session: AsyncSession, cause: Cause, now: datetime) -> None:
            row = await stored_repository(session, self._host, repository_id, to_write=True)
            if row:
                row.installation_id = None
                await end_repository(session, row, reason, self._addresses, cause, now, taken=True)

        return Finding(DeliveryState.IGNORED, reason, write)

    def hides(self, facts: RepositoryFacts) -> Finding:
        """Return that a repository has no previews now, with all that it had ended."""
        reason = unseen(facts, signs_in=self._signs_in) or ""

        async def write(session: AsyncSession, cause: Cause, now: datetime) -> None:
            row = await record_repository(session, self._host, facts, self._addresses)
            await end_repository(session, row, reason, self._addresses, cause, now, taken=facts.private)

        return Finding(DeliveryState.ACTED, reason, write)

    async def _observe(self, look: Look, facts: RepositoryFacts, mark: Mark, wish: Wish | None) -> Observation:
        head = await self._head(look, facts)
        if wish and wish.sha != head.sha:
            raise MovedError("The head changed while somebody asked for it.")
        policy, notice, known = PreviewPolicy(), None, Known()
        if head.sha:
            ref = head.pull.base_ref if head.pull else facts.default_branch
            policy, notice = await policy_at(self._github, facts.place, ref)
            head, known = await self._known(look, facts, head, policy)
        approves = wish is not None and wish.approves
        if approves:
            known = replace(known, approved_sha=head.sha)
        decision = decide(look, head, policy, known, asked=wish is not None, notice=notice)
        return Observation(
            look,
            facts,
            head,
            decision,
            mark,
            choices={"comment": policy.comment, "deployment": policy.deployments},
            facts=await self._facts_of_pull(facts, head, decision),
            asked=wish is not None,
            approved_by=wish.actor if wish and approves else None,
        )

    async def _head(self, look: Look, facts: RepositoryFacts) -> Head:
        if look.kind == "branch":
            commit = await self._github.branch(facts.place, look.ref)
            return Head(commit.sha, commit.message) if commit else Head(None)
        pull = await self._github.pull_request(facts.place, int(look.ref))
        if pull is None or not pull.is_open:
            return Head(None)
        return Head(pull.head_sha, await self._github.commit_message(facts.place, pull.head_sha), pull)

    async def _known(self, look: Look, facts: RepositoryFacts, head: Head, policy: PreviewPolicy) -> tuple[Head, Known]:
        """Return what the store knows of a head, and the head with what changed, where the policy asks for that."""
        sha = head.sha or ""
        async with self._store.read() as session:
            known, good = await known_of(session, self._host, look, sha)
        if policy.paths is None or good is None or known.is_wanted:
            return head, known
        return replace(head, changed=await self._github.changed_since(facts.place, good, sha)), known

    async def _facts_of_pull(self, facts: RepositoryFacts, head: Head, decision: Decision) -> dict[str, Any]:
        pull = head.pull
        if pull is None:
            return {}
        notebooks: list[str] = []
        if decision.action != "end":
            changed = await self._github.changed_by_pull(facts.place, pull.number)
            notebooks = [path for path in changed.items if path.endswith(".ipynb")][:_MOST_NOTEBOOKS]
        return {
            "author": pull.author,
            "base_ref": pull.base_ref,
            "base_sha": pull.base_sha,
            "notebooks": notebooks,
            "draft": pull.draft,
            "labels": list(pull.labels),
        }
