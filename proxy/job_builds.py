"""The builds that jobs of workflows ask for: of commits of their own repository, followed, and given up.

Rights follow from the numbers of the repository and of its owner, which GitHub signed, and from nothing else. Where the
App is installed, private repositories are built as well, if visitors can sign in; elsewhere a job may have built what
anybody's link would. A build is cancelled with the job that asked for it only where nobody else wanted it: no preview,
no visitor, no operator (`Build.for_jobs`), and no other job that is alive.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import quote

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from binder.lifecycle import BuildState, is_final
from binder.notebook_checks import CheckSettings
from binder.store.notebook_runs import want_runs
from binder.store.queries import advance_build, is_own_commit, newest_build, want_build
from binder.store.tables import Build, Decision, NotebookRun, Preview, Repository, utc_now
from binder.workflow_job import WorkflowJob
from proxy.access import Access
from proxy.commits import Commit
from proxy.context import ProxyContext
from proxy.faults import NotAllowedError, NotProvenError
from proxy.job_asks import ask_of, follow_by, is_needed_by_others, is_to_be_noted, use_token
from proxy.launch import may_be_tried_again
from proxy.launches import Launches
from proxy.links import parse_link
from proxy.providers import PROVIDERS
from proxy.viewers import ANYBODY
from proxy.visible import visible_build

_OWN_REFS: Final = ("refs/heads/", "refs/tags/")
_PULL: Final = "refs/pull/"
_LONGEST_REF = 255
_LONGEST_ACTOR = 100
_CANCELLED: Final = "Cancelled: the workflow's job that asked for it needs it no more."


class Tokens(Protocol):
    """Checks what jobs prove themselves with."""

    async def check(self, token: str) -> WorkflowJob:
        """Return the job that brought a token.

        Raises: VisitorFault, where it proves nothing here; WorldFault, where that cannot be found out now.
        """


@dataclass(frozen=True)
class Followed:
    """A build that a job asked for, and its repository; `was_there`: it had been queued before the job asked.

    `runs` are the notebooks that the job wants to see run, empty until the build has succeeded; `awaits`: there will be
    some.
    """

    build: Build
    repository: Repository
    was_there: bool = False
    runs: Sequence[NotebookRun] = ()
    awaits: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more becomes of it."""
        if self.build.state is BuildState.SUCCEEDED and (self.awaits or self.runs):
            return bool(self.runs) and all(run.outcome for run in self.runs)
        return is_final(self.build.state)


class JobBuilds:
    """Works on one service's store; replicas agree by it."""

    def __init__(self, context: ProxyContext) -> None:
        self._store = context.store
        self._context = context
        self._access = Access(context)
        self._commits = Launches(context).commits

    async def start(self, job: WorkflowJob, sha: str, notebooks: Sequence[str] = ()) -> tuple[Followed, str]:
        """Return the build of a commit for a job, and what the job follows it by; `notebooks` are to run in its image.

        Raises: NotProvenError; NotAllowedError; NotVisibleError; TooManyError; WorldFault.
        """
        await self._use(job)
        commit = await self._commit(job, sha)
        now, repository_id = utc_now(), commit.repository.id
        async with self._store.write() as session:
            await session.execute(select(Repository.id).where(Repository.id == repository_id).with_for_update())
            before = await newest_build(session, repository_id=repository_id, sha=sha, untrusted=commit.untrusted)
            # Whoever has a job run once more wants to see it done again.
            again = job.attempt > 1 or (before is not None and may_be_tried_again(before, now))
            build = await want_build(
                session, repository_id=repository_id, sha=sha, again=again, untrusted=commit.untrusted, for_jobs=True
            )
            was_there = before is not None and before.id == build.id
            if not was_there:
                self._context.limits.start([f"jobs of {job.owner_id}"], time.monotonic())
            session.add(_decision(job, build, "known" if was_there else "build"))
            followed_by = await follow_by(session, job, build.id, notebooks, now)
            return Followed(build, commit.repository, was_there, awaits=bool(notebooks)), followed_by

    async def _use(self, job: WorkflowJob) -> None:
        """Use up a token, whatever becomes of what it asks for: nobody who finds it afterwards has it count."""
        try:
            async with self._store.write(tells=False) as session:
                is_new = await use_token(session, job, utc_now())
        except IntegrityError:  # it was used in another replica at this very moment
            is_new = False
        if not is_new:
            raise NotProvenError("This token was used before. Ask GitHub for a new one each time.")

    async def _commit(self, job: WorkflowJob, sha: str) -> Commit:
        async with self._store.read() as session:
            same = (Repository.host == self._context.settings.github_host, Repository.external_id == job.repository_id)
            known = (await session.scalars(select(Repository).where(*same))).one_or_none()
            is_own = known is not None and await is_own_commit(session, repository_id=known.id, sha=sha)
        if known is None or known.installation_id is None:
            return await self._as_a_link_would(job, sha)
        if known.owner_id != job.owner_id:
            raise NotAllowedError(
                f"GitHub says that {job.full_name} belongs to another account than this service knows of. It asks "
                "GitHub again within the hour: try again then."
            )
        if known.private and not self._context.sign_in.is_open:
            raise NotAllowedError(
                f"{job.full_name} is private, and nobody could open it here, where visitors cannot sign in. Ask the "
                "operator for BINDER_GITHUB_CLIENT_ID."
            )
        # GitHub signed what is at a branch or a tag. The commits of forks are had by their sha as well as its own are.
        is_own = is_own or (sha == job.sha and job.ref.startswith(_OWN_REFS))
        if not is_own and not self._context.settings.fork_builds_at_once:
            raise NotAllowedError(
                f"Commit {sha[:7]} may be a fork's, and this service builds none of those. Push it to a branch of "
                f"{job.full_name}, and try again."
            )
        return Commit(known, sha, untrusted=not is_own)

    async def _as_a_link_would(self, job: WorkflowJob, sha: str) -> Commit:
        if job.private:
            raise NotAllowedError(
                f"{job.full_name} is not public, and this service's GitHub App is not installed on it: install the App."
            )
        commit = await self._commits.find(parse_link("gh", quote(f"{job.full_name}/{sha}"), {}))
        if commit.repository.external_id not in {None, job.repository_id}:
            raise NotAllowedError(
                f"This service knows another repository that was called {job.full_name}. Install its GitHub App on "
                "this one, so that it can tell them apart."
            )
        return commit

    async def follow(self, followed_by: str) -> Followed:
        """Return how the build is by now.

        Raises: NotProvenError.
        """
        now = utc_now()
        async with self._store.read() as session:
            ask = await ask_of(session, followed_by, now)
            build = await session.get(Build, ask.build_id) if ask and ask.build_id else None
            repository = await session.get(Repository, build.repository_id) if build else None
        if not ask or not build or not repository or _is_out_of_sight(repository):
            raise NotProvenError("There is no build that is followed by this, or not any more. Ask for it anew.")
        if is_to_be_noted(ask, now) and not is_final(build.state):
            async with self._store.write(tells=False) as session:
                if heard := await ask_of(session, followed_by, now):
                    heard.seen_at = now
        if ask.notebooks and ask.runs is None and build.state is BuildState.SUCCEEDED:
            await self._want_notebooks(followed_by, build, repository)
            ask.runs = []  # they are told of the next time
        async with self._store.read() as session:
            runs = await session.scalars(select(NotebookRun).where(NotebookRun.id.in_(ask.runs or ())))
            return Followed(build, repository, runs=runs.all(), awaits=bool(ask.notebooks))

    async def _want_notebooks(self, followed_by: str, build: Build, repository: Repository) -> None:
        """Have the notebooks run that a job wants to see run, now that there is an image: once.

        Raises: TooManyError.
        """
        async with self._store.write() as session:
            await session.execute(select(Build.id).where(Build.id == build.id).with_for_update())
            ask = await ask_of(session, followed_by, utc_now())
            if ask is None or ask.runs is not None:
                return
            self._context.limits.start([f"notebooks of {repository.id}"], time.monotonic())
            rows = want_runs(session, build, ask.notebooks, CheckSettings())
            await session.flush()
            ask.runs = [row.id for row in rows]

    async def leave(self, followed_by: str) -> str | None:
        """Cancel the build, for a job that needs it no more; return why it goes on, None where it does not.

        What it wanted to see run is nobody else's, and does not run any more.

        Raises: NotProvenError.
        """
        build_id, now = (await self.follow(followed_by)).build.id, utc_now()
        async with self._store.write() as session:
            ask = await ask_of(session, followed_by, now)
            if ask is None:
                return "The job asked for it long ago."
            ask.is_over = True
            ended = update(NotebookRun).where(NotebookRun.id.in_(ask.runs or ()), NotebookRun.outcome.is_(None))
            await session.execute(ended.values(outcome="stopped", finished_at=now, lease_owner=None, lease_until=None))
            build = (await session.scalars(select(Build).where(Build.id == build_id).with_for_update())).one()
            if is_final(build.state):
                return f"It has {build.state} already."
            if not build.for_jobs:
                return "Somebody else wants it, too: a preview, a visitor or an operator."
            if await is_needed_by_others(session, ask, now):
                return "Another job needs it, too."
            build.fault = {"party": "repository", "message": _CANCELLED, "file": None, "line": None, "step": None}
            advance_build(build, BuildState.CANCELLED, now)
        return None

    async def public(self, owner: str, name: str, sha: str) -> tuple[Followed | None, str | None]:
        """Return the newest build of a commit, for anybody, and why there is none. Nothing is queued.

        Raises: VisitorFault, where there is no such repository for anybody.
        """
        link = parse_link("gh", quote(f"{owner}/{name}/{sha}"), {})
        place = PROVIDERS[link.provider].place(link.named, self._context.settings)
        repository = await self._access.repository(ANYBODY, place)
        if repository is None:
            return None, f"This service knows nothing of {link.full_name}."
        async with self._store.read() as session:
            build = await newest_build(session, repository_id=repository.id, sha=sha, untrusted=True)
            held = None if build else await _held(session, repository, sha)
        if build is None:
            return None, held or f"Nobody asked for a build of commit {sha[:7]} yet."
        return Followed(*await visible_build(self._store, self._access, ANYBODY, build.id), was_there=True), None


def _is_out_of_sight(repository: Repository) -> bool:
    """Whether a private repository was taken from the App since the job asked."""
    return repository.private and repository.installation_id is None


async def _held(session: AsyncSession, repository: Repository, sha: str) -> str | None:
    at_head = (Preview.repository_id == repository.id, Preview.head_sha == sha, Preview.live, Preview.held.is_not(None))
    held = (await session.scalars(select(Preview.held).where(*at_head).limit(1))).first()
    return f"It is not built: {held}." if held else None


def _decision(job: WorkflowJob, build: Build, outcome: str) -> Decision:
    """Return a line of the commit's story."""
    number = job.ref.removeprefix(_PULL).partition("/")[0]
    is_pull = job.ref.startswith(_PULL) and number.isdigit()
    name = job.ref.removeprefix(_OWN_REFS[0]).removeprefix(_OWN_REFS[1])
    return Decision(
        repository_id=build.repository_id,
        kind="pull" if is_pull else "branch",
        ref=(number if is_pull else name)[:_LONGEST_REF],
        sha=build.sha,
        cause="job",
        outcome=outcome,
        actor=job.actor[:_LONGEST_ACTOR],
    )
