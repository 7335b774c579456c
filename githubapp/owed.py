"""What GitHub is owed: of each commit of a preview a status, a check run and a deployment; of each pull request a
comment.

Reads the rows that `reports` and its neighbours turn into words, inside the caller's transaction, so that a report is
owed as soon as what it tells of is decided. Sending it is left to `reporter`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from binder.lifecycle import BuildState
from binder.store.queries import ACTIVE_BUILDS, owe_anew, want_report
from binder.store.tables import Build, Preview, Report, Repository, utc_now
from githubapp.checks import check_of, ended_check
from githubapp.comments import Comparison, comment_of, state_of_comment
from githubapp.deployments import REMOVED, deployment_of
from githubapp.reports import (
    Addresses,
    CommitFacts,
    ended_status,
    status_of,
    status_of_build,
)
from githubapp.values import Check, Deployment, Status

NOT_PERMITTED: Final = "Resource not accessible by integration"
"""What GitHub says where the App lacks the permission for one kind of report."""


def is_of_preview() -> ColumnElement[bool]:
    """Return the condition that a build's commit was built for a preview, not only for somebody's link."""
    other = aliased(Build)
    same = (other.repository_id == Build.repository_id, other.sha == Build.sha)
    return select(other.id).where(*same, other.preview_id.is_not(None)).exists()


async def owe_reports(session: AsyncSession, repository: Repository, sha: str, addresses: Addresses) -> None:
    """Owe GitHub what a commit should show now, and the comments of the pull requests whose head it is."""
    if repository.installation_id is None or repository.archived:
        return
    facts = await _facts_of(session, repository, sha)
    if status := status_of(facts, addresses):
        await _owe_status(session, facts, status)
    if check := check_of(facts, addresses):
        await _owe_check(session, facts, check)
    if deployment := deployment_of(facts, addresses) or await _end_of_deployment(session, facts):
        wanted = {"ref": sha, **asdict(deployment)}
        await _want(session, repository.id, "deployment", sha, wanted)
    for pull in facts.previews:
        if pull.kind == "pull" and pull.choices.get("comment", True):
            await _owe_comment(session, facts, pull, addresses)


def is_told(build: Build, report: Report | None, addresses: Addresses) -> bool:
    """Whether `report`, of the commit's status, is about this build and where it is.

    What was said of a build that has ended is not said again in other words, as a later version of us might have them.
    """
    if report is None or report.wanted.get("build") != build.id:
        return False
    if build.state in ACTIVE_BUILDS:
        return Status.from_wanted(report.wanted) == status_of_build(build, addresses)
    return bool(report.wanted["state"] != "pending")


async def owe_end(session: AsyncSession, repository: Repository, preview: Preview, sha: str) -> None:
    """Owe an end to what is said of a commit that waits, and that is not built, or left behind by `preview`."""
    facts = await _facts_of(session, repository, sha)
    if facts.build or facts.standing == "waiting":
        return
    shown = await _shown(session, repository.id, sha)
    if "status" in shown and shown["status"].wanted["state"] == "pending":
        await _owe_status(session, facts, ended_status(preview, sha))
    if "check" in shown and shown["check"].wanted["conclusion"] in {None, "action_required"}:
        await _owe_check(session, facts, ended_check(preview, sha))


async def owe_again(session: AsyncSession, repository: Repository, addresses: Addresses) -> None:
    """Owe what could not be told while we had no right to, as far as it still holds, and the ends of what was left."""
    of_repository = Report.repository_id == repository.id
    refused = (of_repository, ~Report.owed, Report.reason.contains(NOT_PERMITTED))
    await session.execute(update(Report).where(*refused).values(reason=None, not_before=None))
    reports = (await session.scalars(select(Report).where(of_repository))).all()
    unsent = [one for one in reports if not one.owed and one.sent != one.wanted]
    for sha in await _shas_to_tell(session, repository, reports, unsent):
        await owe_reports(session, repository, sha, addresses)
        at_head = select(Preview).where(Preview.repository_id == repository.id, Preview.head_sha == sha)
        for preview in (await session.scalars(at_head)).all():
            await owe_end(session, repository, preview, sha)
    for report in unsent:
        if not report.owed and report.sent != report.wanted:
            owe_anew(report)


async def _shas_to_tell(
    session: AsyncSession, repository: Repository, reports: Sequence[Report], unsent: Sequence[Report]
) -> Sequence[str]:
    """Return the commits that are heads, that GitHub shows as pending, or that something unsent is about."""
    heads = select(Preview.head_sha).where(Preview.repository_id == repository.id, Preview.live)
    pending = [
        one.subject for one in reports if one.kind == "status" and (one.sent or one.wanted)["state"] == "pending"
    ]
    of_commits = [one.subject for one in unsent if one.kind != "comment"]
    numbers = [one.subject for one in unsent if one.kind == "comment"]
    of_pulls = select(Preview.head_sha).where(
        Preview.repository_id == repository.id, Preview.kind == "pull", Preview.ref.in_(numbers)
    )
    told = (*(await session.scalars(heads)), *pending, *of_commits, *(await session.scalars(of_pulls)))
    return list(dict.fromkeys(told))


async def owe_nothing(session: AsyncSession, repository: Repository, reason: str) -> None:
    """Owe nothing any more about a repository, since we have no right to tell it."""
    owed = (Report.repository_id == repository.id, Report.owed)
    values = {"owed": False, "reason": reason, "lease_owner": None, "lease_until": None}
    await session.execute(update(Report).where(*owed).values(**values))


async def _facts_of(session: AsyncSession, repository: Repository, sha: str) -> CommitFacts:
    of_commit = (Build.repository_id == repository.id, Build.sha == sha)
    newest = select(Build).where(*of_commit, is_of_preview()).order_by(Build.id.desc()).limit(1)
    at = select(Preview).where(Preview.repository_id == repository.id, Preview.head_sha == sha).order_by(Preview.id)
    return CommitFacts(
        repository, sha, (await session.scalars(newest)).first(), tuple((await session.scalars(at)).all())
    )


async def _shown(session: AsyncSession, repository_id: int, sha: str) -> Mapping[str, Report]:
    """Return what is said of a commit already: kind → report."""
    same = (Report.repository_id == repository_id, Report.subject == sha)
    return {report.kind: report for report in await session.scalars(select(Report).where(*same))}


async def _owe_status(session: AsyncSession, facts: CommitFacts, status: Status) -> None:
    wanted = {**asdict(status), "build": facts.build.id if facts.build else None}
    await want_report(session, repository_id=facts.repository.id, kind="status", subject=facts.sha, wanted=wanted)


async def _owe_check(session: AsyncSession, facts: CommitFacts, check: Check) -> None:
    wanted = asdict(check) | {"annotations": list(check.annotations), "actions": list(check.actions)}
    await _want(session, facts.repository.id, "check", facts.sha, wanted)


async def _end_of_deployment(session: AsyncSession, facts: CommitFacts) -> Deployment | None:
    """Return the end of a deployment, None where there is none, or the commit is still at its preview."""
    is_kept = facts.live and facts.standing in {"queued", "building", "ready", "failed"}
    return REMOVED if not is_kept and "deployment" in await _shown(session, facts.repository.id, facts.sha) else None


async def _owe_comment(session: AsyncSession, facts: CommitFacts, pull: Preview, addresses: Addresses) -> None:
    said = (await _shown(session, pull.repository_id, pull.ref)).get("comment")
    state = state_of_comment(facts, pull)
    # Nothing is said about the end of a pull request to which nothing was said before, nor where nothing is built.
    if said is None and (not pull.live or facts.standing == "held"):
        return
    if said and said.wanted.get("state") == state:
        return
    is_ready = pull.live and facts.standing == "ready"
    good = facts.sha if is_ready else said.wanted.get("good") if said else None
    comparison = Comparison(await _base_of(session, pull), good)
    body = comment_of(facts, pull, comparison, addresses)
    wanted = {"body": body, "create": pull.live, "state": state, "good": good}
    await _want(session, pull.repository_id, "comment", pull.ref, wanted)


async def _base_of(session: AsyncSession, pull: Preview) -> Build | None:
    """Return the newest build of the commit that a pull request is made against, None where none has succeeded."""
    of_base = (Build.repository_id == pull.repository_id, Build.sha == (pull.facts or {}).get("base_sha"))
    newest = select(Build).where(*of_base, Build.state == BuildState.SUCCEEDED).order_by(Build.id.desc()).limit(1)
    return (await session.scalars(newest)).first()


async def _want(session: AsyncSession, repository_id: int, kind: str, subject: str, wanted: dict[str, Any]) -> None:
    """Owe a report, unless GitHub said a moment ago that the App may not send this repository any of its kind."""
    if not await _is_refused(session, repository_id, kind, utc_now()):
        await want_report(session, repository_id=repository_id, kind=kind, subject=subject, wanted=wanted)


async def _is_refused(session: AsyncSession, repository_id: int, kind: str, now: datetime) -> bool:
    refused = (~Report.owed, Report.reason.contains(NOT_PERMITTED), Report.not_before > now)
    same = (Report.repository_id == repository_id, Report.kind == kind)
    return (await session.execute(select(Report.id).where(*same, *refused).limit(1))).first() is not None
