"""What people want of a commit: by a comment on its pull request, or by a button of its check run.

Who may is GitHub's answer at that moment, and which commit is meant is held against the head of that moment: an
approval is of one commit, and says nothing of the next push.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.lifecycle import DeliveryState
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import Build, Preview, Repository
from githubapp.decisions import Cause, note
from githubapp.endings import cancel_builds, end_sessions
from githubapp.events import Button, Command, Look
from githubapp.looks import Finding, Looker, Wish, Write
from githubapp.lookups import Lookups
from githubapp.owed import owe_reports
from githubapp.reports import Addresses
from githubapp.repositories import stored_repository, unseen
from githubapp.values import PullRequest, RepositoryFacts


class Commands:
    """Does what those with write access ask for."""

    def __init__(self, store: Store, github: Lookups, looker: Looker, settings: Settings) -> None:
        self._store = store
        self._github = github
        self._looker = looker
        self._host = settings.github_host
        self._signs_in = settings.signs_in
        self._addresses = Addresses(settings.url, settings.github_url)

    async def comment(self, command: Command) -> Finding:
        """Return what becomes of a comment that is a command."""
        look = _look(command, "pull", str(command.number))
        facts = await self._looker.repository(command.repository_id, command.installation_id)
        if isinstance(facts, str):
            return self._looker.ends(command.repository_id, facts)
        if reason := unseen(facts, signs_in=self._signs_in) or await self._no_right(facts, command.actor):
            return self._refuse(look, None, reason)
        pull = await self._github.pull_request(facts.place, command.number)
        if pull is None or not pull.is_open:
            return self._refuse(look, None, "the pull request is not open")
        return await self._obey(command, look, pull)

    async def _obey(self, command: Command, look: Look, pull: PullRequest) -> Finding:
        sha = pull.head_sha
        match command.word:
            case "ok-to-test":
                if reason := _not_approvable(pull, command.argument):
                    return self._refuse(look, sha, reason)
                return await self._looker.look(look, Wish(command.actor, sha, approves=True))
            case "build":
                return await self._looker.look(look, Wish(command.actor, sha, approves=False))
            case "cancel":
                return Finding(DeliveryState.ACTED, None, self._cancel(look, sha, command.actor))
            case "stop":
                return Finding(DeliveryState.ACTED, None, self._stop(look, sha, command.actor))

    async def press(self, button: Button) -> Finding:
        """Return what becomes of a button that was pressed."""
        facts = await self._looker.repository(button.repository_id, button.installation_id)
        if isinstance(facts, str):
            return self._looker.ends(button.repository_id, facts)
        looks = [_look(button, one.kind, one.ref) for one in await self._previews_at(button)]
        if not looks:
            return Finding(DeliveryState.IGNORED, f"commit {button.sha[:7]} is not the head of any preview")
        if reason := unseen(facts, signs_in=self._signs_in) or await self._no_right(facts, button.actor):
            return self._refuse(looks[0], button.sha, reason)
        return _all_of([await self._answer(button, look, facts) for look in looks])

    async def _answer(self, button: Button, look: Look, facts: RepositoryFacts) -> Finding:
        if button.action == "cancel":
            return Finding(DeliveryState.ACTED, None, self._cancel(look, button.sha, button.actor))
        if button.action == "rerun" and look.kind == "branch":
            commit = await self._github.branch(facts.place, look.ref)
            head = commit.sha if commit else None
        else:
            pull = await self._github.pull_request(facts.place, int(look.ref))
            head = pull.head_sha if pull and pull.is_open else None
        if head != button.sha:
            now = f"commit {head[:7]}" if head else "gone"
            return self._refuse(look, button.sha, f"the button was for commit {button.sha[:7]}, and the head is {now}")
        return await self._looker.look(look, Wish(button.actor, button.sha, approves=button.action == "approve"))

    async def _previews_at(self, button: Button) -> Sequence[Preview]:
        """Return the previews that a button is about: an approval is for what comes from forks."""
        async with self._store.read() as session:
            repository = await stored_repository(session, self._host, button.repository_id)
            if repository is None:
                return []
            at_head = (Preview.repository_id == repository.id, Preview.head_sha == button.sha, Preview.live)
            rows = list(await session.scalars(select(Preview).where(*at_head).order_by(Preview.id)))
        return [row for row in rows if row.from_fork or button.action != "approve"]

    async def _no_right(self, facts: RepositoryFacts, actor: str) -> str | None:
        may = await self._github.may_write(facts.place, actor)
        return None if may else f"{actor} has no write access to the repository"

    def _refuse(self, look: Look, sha: str | None, reason: str) -> Finding:
        async def write(session: AsyncSession, cause: Cause, _: datetime) -> None:
            repository = await stored_repository(session, self._host, look.repository_id)
            if repository:
                about = Preview(repository_id=repository.id, kind=look.kind, ref=look.ref)
                note(session, cause, about, "refuse", reason, sha=sha)

        return Finding(DeliveryState.IGNORED, reason, write)

    def _cancel(self, look: Look, sha: str, actor: str) -> Write:
        async def write(session: AsyncSession, cause: Cause, now: datetime) -> None:
            repository = await stored_repository(session, self._host, look.repository_id, to_write=True)
            previews = await _at_head(session, repository, sha) if repository else []
            if repository is None or not previews:
                return
            of_commit = (Build.repository_id == repository.id, Build.sha == sha, Build.preview_id.is_not(None))
            cancelled = await cancel_builds(session, of_commit, f"Cancelled by {actor}", now)
            for preview in previews:
                if not cancelled:
                    note(session, cause, preview, "refuse", "no build of it is running", sha=sha)
                    continue
                preview.held, preview.updated_at = f"cancelled by {actor}", now
                note(session, cause, preview, "cancel", f"Cancelled by {actor}", sha=sha)
            await session.flush()
            await owe_reports(session, repository, sha, self._addresses)

        return write

    def _stop(self, look: Look, sha: str, actor: str) -> Write:
        async def write(session: AsyncSession, cause: Cause, now: datetime) -> None:
            repository = await stored_repository(session, self._host, look.repository_id, to_write=True)
            previews = await _at_head(session, repository, sha) if repository else []
            for preview in previews:
                if (preview.kind, preview.ref) == (look.kind, look.ref):
                    of_preview = or_(Build.preview_id == preview.id, Build.sha == sha)
                    shown = (Build.repository_id == preview.repository_id, of_preview)
                    count = await end_sessions(session, shown, f"{actor} stopped it.", now, open_ones=True)
                    note(session, cause, preview, "stop", f"{count} sessions ended", sha=sha)

        return write


def _not_approvable(pull: PullRequest, argument: str | None) -> str | None:
    """Return why a commit cannot be allowed, None where it can."""
    if not pull.is_from_fork:
        return "the pull request is not from a fork: it needs no approval"
    if argument is None:
        return f"an approval names the commit: /ok-to-test {pull.head_sha[:7]}"
    if not pull.head_sha.startswith(argument):
        return f"the approval was for commit {argument[:7]}, and the head is commit {pull.head_sha[:7]}"
    return None


def _look(hint: Command | Button, kind: str, ref: str) -> Look:
    return Look(
        "pull" if kind == "pull" else "branch",
        ref,
        None,
        hint.repository_id,
        hint.installation_id,
        hint.actor,
        sha_known=False,
    )


async def _at_head(session: AsyncSession, repository: Repository, sha: str) -> Sequence[Preview]:
    at_head = (Preview.repository_id == repository.id, Preview.head_sha == sha, Preview.live)
    return (await session.scalars(select(Preview).where(*at_head).with_for_update())).all()


def _all_of(findings: Sequence[Finding]) -> Finding:
    """Return several findings as one."""
    reasons = dict.fromkeys(one.reason for one in findings if one.reason)
    writes = [one.write for one in findings if one.write]

    async def write(session: AsyncSession, cause: Cause, now: datetime) -> None:
        for part in writes:
            await part(session, cause, now)

    return Finding(findings[0].state, "; ".join(reasons) or None, write)
