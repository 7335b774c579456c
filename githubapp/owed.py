"""What GitHub is owed: for each commit of a preview one status, for each pull request one comment.

Reads the rows that `reports` turns into words, inside the caller's transaction, so that a report is owed as soon as
what it tells of is decided. Sending it is left to `reporter`.
"""

from dataclasses import asdict

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from binder.store.queries import ACTIVE_BUILDS, want_report
from binder.store.tables import Build, Preview, Report, Repository
from githubapp.reports import Addresses, comment_of, ended_status, status_of, waiting_status
from githubapp.values import Status


def is_of_preview() -> ColumnElement[bool]:
    """Return the condition that a build's commit was built for a preview, not only for somebody's link."""
    other = aliased(Build)
    same = (other.repository_id == Build.repository_id, other.sha == Build.sha)
    return select(other.id).where(*same, other.preview_id.is_not(None)).exists()


async def owe_reports(session: AsyncSession, repository: Repository, sha: str, addresses: Addresses) -> None:
    """Owe GitHub what a commit should show now, and the comments of the pull requests whose head it is."""
    if repository.installation_id is None:
        return
    of_commit = (Build.repository_id == repository.id, Build.sha == sha)
    newest = select(Build).where(*of_commit, is_of_preview()).order_by(Build.id.desc()).limit(1)
    build = (await session.scalars(newest)).first()
    pulls = list(await session.scalars(_pulls_at(repository, sha)))
    if build is None:
        if any(pull.live for pull in pulls):
            await _owe_status(session, repository, sha, waiting_status())
        return
    await _owe_status(session, repository, sha, status_of(build, repository, addresses), build.id)
    for pull in pulls:
        await _owe_comment(session, pull, comment_of(build, repository, pull, addresses))


def is_told(build: Build, repository: Repository, report: Report | None, addresses: Addresses) -> bool:
    """Whether `report`, of the commit's status, is about this build and where it is.

    What was said of a build that has ended is not said again in other words, as a later version of us might have them.
    """
    if report is None or report.wanted.get("build") != build.id:
        return False
    if build.state in ACTIVE_BUILDS:
        return Status.from_wanted(report.wanted) == status_of(build, repository, addresses)
    return bool(report.wanted["state"] != "pending")


async def owe_end(session: AsyncSession, repository: Repository, preview: Preview, sha: str) -> None:
    """Owe an end to the status of a commit that waited for approval and that `preview` has left behind."""
    built = select(Build.id).where(Build.repository_id == repository.id, Build.sha == sha, is_of_preview()).limit(1)
    waits = select(Preview.id).where(Preview.repository_id == repository.id, Preview.head_sha == sha, Preview.live)
    if (await session.execute(built)).first() or (await session.execute(waits.limit(1))).first():
        return
    if await _report(session, repository.id, "status", sha):
        await _owe_status(session, repository, sha, ended_status(preview))


async def _owe_status(
    session: AsyncSession, repository: Repository, sha: str, status: Status, build_id: int | None = None
) -> None:
    wanted = {**asdict(status), "build": build_id}
    await want_report(session, repository_id=repository.id, kind="status", subject=sha, wanted=wanted)


async def _owe_comment(session: AsyncSession, pull: Preview, body: str) -> None:
    # Nothing is said about the end of a pull request to which nothing was said before.
    if pull.live or await _report(session, pull.repository_id, "comment", pull.ref):
        wanted = {"body": body, "create": pull.live}
        await want_report(session, repository_id=pull.repository_id, kind="comment", subject=pull.ref, wanted=wanted)


def _pulls_at(repository: Repository, sha: str) -> Select[Preview]:
    of_commit = (Preview.repository_id == repository.id, Preview.head_sha == sha, Preview.kind == "pull")
    return select(Preview).where(*of_commit).order_by(Preview.id)


async def _report(session: AsyncSession, repository_id: int, kind: str, subject: str) -> Report | None:
    same = (Report.repository_id == repository_id, Report.kind == kind, Report.subject == subject)
    return (await session.scalars(select(Report).where(*same))).one_or_none()
