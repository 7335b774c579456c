"""What jobs of workflows asked for, in the store: each token counts once, and what needs a build is known by its asks.

Rows only, in the caller's transaction. A job is given something to follow its build by, of which the digest is kept.
It says when it needs the build no more; one that says nothing for a while is taken for dead.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.store.tables import JobAsk
from binder.workflow_job import WorkflowJob

FOLLOWED_FOR: Final = timedelta(hours=24)
"""How long a job may follow its build; no token of GitHub's is good for longer."""
_SILENT_FOR: Final = timedelta(minutes=2)
_NOTED_EVERY: Final = timedelta(seconds=20)
_MOST_REMOVED = 1000


def digest_of_ask(text: str) -> str:
    """Return what is stored in place of a token's number, or of what a build is followed by."""
    return hashlib.sha256(text.encode()).hexdigest()


async def use_token(session: AsyncSession, job: WorkflowJob, now: datetime) -> bool:
    """Note that a job's token is used, and return whether it was not before. Those that are over are forgotten."""
    over = select(JobAsk.token).where(JobAsk.ends_at < now).limit(_MOST_REMOVED)
    await session.execute(delete(JobAsk).where(JobAsk.token.in_(over)))
    token = digest_of_ask(job.token_id)
    if await session.get(JobAsk, token):
        return False
    session.add(JobAsk(token=token, seen_at=now, ends_at=max(job.ends_at, now) + FOLLOWED_FOR))
    return True


async def follow_by(
    session: AsyncSession, job: WorkflowJob, build_id: int, notebooks: Sequence[str], now: datetime
) -> str:
    """Return what the job of a used token follows its build by, and its notebooks: shown this once."""
    ask = await session.get_one(JobAsk, digest_of_ask(job.token_id))
    followed_by = secrets.token_urlsafe(32)
    ask.digest, ask.build_id, ask.notebooks, ask.seen_at = digest_of_ask(followed_by), build_id, list(notebooks), now
    return followed_by


async def ask_of(session: AsyncSession, followed_by: str, now: datetime) -> JobAsk | None:
    """Return the ask that a job follows its build by, None where there is none, or none any more."""
    same = (JobAsk.digest == digest_of_ask(followed_by), JobAsk.ends_at > now)
    return (await session.scalars(select(JobAsk).where(*same))).one_or_none()


def is_to_be_noted(ask: JobAsk, now: datetime) -> bool:
    """Whether the store is to know that a job was heard of: not each time that it asks."""
    return now - ask.seen_at > _NOTED_EVERY


async def is_needed_by_others(session: AsyncSession, ask: JobAsk, now: datetime) -> bool:
    """Whether another job that was heard of lately needs the build of an ask."""
    others = select(JobAsk.token).where(
        JobAsk.build_id == ask.build_id, JobAsk.token != ask.token, ~JobAsk.is_over, JobAsk.seen_at > now - _SILENT_FOR
    )
    return (await session.scalars(others.limit(1))).first() is not None
