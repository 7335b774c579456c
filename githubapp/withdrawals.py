"""What follows when somebody may have lost the right to read: what GitHub granted before does not count any more.

An event says only whose right is to be asked again; sign-ins are ended where GitHub says that they were taken back.
"""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.lifecycle import DeliveryState
from binder.store.access import sign_out_everywhere, withdraw_access
from binder.store.tables import Repository, Visitor
from githubapp.decisions import Cause
from githubapp.events import AccessLook, SignInRevoked
from githubapp.looks import Finding


def withdrawal(hint: AccessLook, host: str) -> Finding:
    """Return that access to a repository, or to all of an owner's, is to be asked again."""

    async def write(session: AsyncSession, _: Cause, __: datetime) -> None:
        which = Repository.external_id == hint.repository_id
        if hint.repository_id is None:
            which = func.lower(Repository.owner) == (hint.owner or "").lower()
        await withdraw_access(session, Repository.host == host, which)

    return Finding(DeliveryState.ACTED, "who may read is asked again", write)


def sign_in_revoked(hint: SignInRevoked, host: str) -> Finding:
    """Return that a visitor is not signed in any more."""

    async def write(session: AsyncSession, _: Cause, __: datetime) -> None:
        same = (Visitor.host == host, Visitor.external_id == hint.user_id)
        visitor = (await session.scalars(select(Visitor).where(*same))).one_or_none()
        if visitor:
            await sign_out_everywhere(session, visitor.id)

    return Finding(DeliveryState.ACTED, "somebody took back that the App acts for them", write)
