"""What GitHub is owed: for each commit of a preview one status, for each pull request one comment.

Reads the rows that `reports` turns into words, inside the caller's transaction, so that a report is owed as soon as
what it tells of is decided. Sending it is left to `reporter`.
"""

from dataclasses import asdict

from sqlalchemy import ColumnElement, Select, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from binder.store.queries import ACTIVE_BUILDS, want_report
from binder.store.tables import Build, Preview, Report, Repository
from githubapp.heads import WAITS_FOR_APPROVAL
from githubapp.reports import Addresses, comment_of, ended_status, status_of, waiting_status
from githubapp.values import Status


def is_of_preview() -> ColumnElement[bool]:
    """Return the condition that a build's commit was built for a preview, not only for somebody's link."""
    other = aliased(Build)
    same = (other.repository_id == Build.repository_id, other.sha == Build.sha)
    return select(other.id).where(*same, other.preview_id.is_not(None)).exists()


async def owe_reports(session: AsyncSession, repository: Repository, sha: str, addresses: Addresses) -> None:
    """Owe GitHub what a commit should show now, and the comments of the pull requests whose head it is."""
    if repository.installation_id is None or repository.archived:
        return
    of_commit = (Build.repository_id == repository.id, Build.sha == sha)
    newest = select(Build).where(*of_commit, is_of_preview()).order_by(Build.id.desc()).limit(1)
    build = (await session.scalars(newest)).first()
    pulls = list(await session.scalars(_pulls_at(repository, sha)))
    if build is None:
        if any(pull.live and pull.held == WAITS_FOR_APPROVAL for pull in pulls):
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
    """Owe an end to the status of a commit that was pending, and that is not built, or left behind by `preview`."""
    built = select(Build.id).where(Build.repository_id == repository.id, Build.sha == sha, is_of_preview()).limit(1)
    at_head = (Preview.repository_id == repository.id, Preview.head_sha == sha, Preview.live)
    waits = select(Preview.id).where(*at_head, Preview.held == WAITS_FOR_APPROVAL).limit(1)
    if (await session.execute(built)).first() or (await session.execute(waits)).first():
        return
    if await _report(session, repository.id, "status", sha):
        await _owe_status(session, repository, sha, ended_status(preview, sha))


async def owe_again(session: AsyncSession, repository: Repository, addresses: Addresses) -> None:
    """Owe what could not be told while we had no right to: what was wanted, and the ends of what was left pending."""
    reports = list(await session.scalars(select(Report).where(Report.repository_id == repository.id)))
    for report in reports:
        if report.kind == "status" and (report.sent or report.wanted)["state"] == "pending":
            await owe_reports(session, repository, report.subject, addresses)
            await _owe_ends(session, repository, report.subject)
        if report.sent != report.wanted:
            report.owed, report.attempts, report.not_before = True, 0, None


async def _owe_ends(session: AsyncSession, repository: Repository, sha: str) -> None:
    of_commit = (Preview.repository_id == repository.id, Preview.head_sha == sha)
    for preview in list(await session.scalars(select(Preview).where(*of_commit))):
        await owe_end(session, repository, preview, sha)


async def owe_nothing(session: AsyncSession, repository: Repository, reason: str) -> None:
    """Owe nothing any more about a repository, since we have no right to tell it."""
    owed = (Report.repository_id == repository.id, Report.owed)
    values = {"owed": False, "reason": reason, "lease_owner": None, "lease_until": None}
    await session.execute(update(Report).where(*owed).values(**values))


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
