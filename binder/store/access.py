"""What is stored of who may see what: browsers that are signed in, what GitHub granted, and how both are taken back.

Rows only, in the caller's transaction. Whether a grant is still good is `proxy.access`' to say.
"""

import hashlib
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from binder.store.tables import Grant, Repository, SignedIn, Visitor


def digest_of_cookie(token: str) -> str:
    """Return what is stored in place of a browser's cookie: nobody gets in with what the store holds."""
    return hashlib.sha256(token.encode()).hexdigest()


async def visitor_with(session: AsyncSession, token: str, now: datetime) -> Visitor | None:
    """Return who is signed in in the browser with this cookie, None where nobody is."""
    signed_in = await session.get(SignedIn, digest_of_cookie(token))
    if signed_in is None or signed_in.ends_at <= now:
        return None
    return await session.get_one(Visitor, signed_in.visitor_id)


async def sign_out(session: AsyncSession, token: str) -> None:
    """End the sign-in of one browser; with the last one of a visitor, GitHub's tokens go as well."""
    signed_in = await session.get(SignedIn, digest_of_cookie(token))
    if signed_in is None:
        return
    await session.delete(signed_in)
    await session.flush()
    await _forget_tokens(session, Visitor.id == signed_in.visitor_id)


async def sign_out_everywhere(session: AsyncSession, visitor_id: int) -> None:
    """End the sign-ins of a visitor in all browsers."""
    await session.execute(delete(SignedIn).where(SignedIn.visitor_id == visitor_id))
    await _forget_tokens(session, Visitor.id == visitor_id)


async def end_old_sign_ins(session: AsyncSession, now: datetime) -> None:
    """Remove what is past its time."""
    await session.execute(delete(SignedIn).where(SignedIn.ends_at <= now))
    await _forget_tokens(session)


async def _forget_tokens(session: AsyncSession, *of_whom: ColumnElement[bool]) -> None:
    nowhere = Visitor.id.not_in(select(SignedIn.visitor_id))
    await session.execute(update(Visitor).where(*of_whom, nowhere).values(tokens=None))
    signed_out = select(Visitor.id).where(*of_whom, Visitor.tokens.is_(None))
    await session.execute(delete(Grant).where(Grant.visitor_id.in_(signed_out)))


async def withdraw_access(session: AsyncSession, *where: ColumnElement[bool]) -> None:
    """Have all that was granted on these repositories asked again."""
    await session.execute(update(Repository).where(*where).values(access_epoch=Repository.access_epoch + 1))


async def keep_grant(session: AsyncSession, grant: Grant) -> None:
    """Keep what GitHub granted. One that was withdrawn while GitHub was asked has an old epoch, and is never good."""
    await session.merge(grant)
