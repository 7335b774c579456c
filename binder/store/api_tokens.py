"""Tokens of the operator's API: made once, shown once, kept as digests.

Rows only, in the caller's transaction. A token has 256 random bits, so that its digest needs no salt, and looking it up
by its digest tells nobody anything of another.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.store.tables import ApiToken

PREFIX: Final = "binder_"
"""What tokens begin with, so that whoever finds one knows what it is of."""


def digest_of_token(token: str) -> str:
    """Return what is stored in place of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


async def add_token(session: AsyncSession, name: str, now: datetime, ends_at: datetime | None) -> str | None:
    """Make a token and return it; None, where there is one of that name."""
    if await _called(session, name):
        return None
    token = PREFIX + secrets.token_urlsafe(32)
    session.add(ApiToken(digest=digest_of_token(token), name=name, made_at=now, ends_at=ends_at))
    return token


async def remove_token(session: AsyncSession, name: str) -> bool:
    """Have a token open nothing more; False, where there is none of that name."""
    found = await _called(session, name)
    if found is None:
        return False
    await session.delete(found)
    return True


async def tokens(session: AsyncSession) -> Sequence[ApiToken]:
    """Return all tokens, by their names."""
    return (await session.scalars(select(ApiToken).order_by(ApiToken.name))).all()


async def is_good_token(session: AsyncSession, token: str, now: datetime) -> bool:
    """Whether a token opens the API."""
    good = or_(ApiToken.ends_at.is_(None), ApiToken.ends_at > now)
    digest = digest_of_token(token)
    found = await session.scalar(select(ApiToken.digest).where(ApiToken.digest == digest, good))
    return found is not None and hmac.compare_digest(found, digest)


async def _called(session: AsyncSession, name: str) -> ApiToken | None:
    return (await session.scalars(select(ApiToken).where(ApiToken.name == name))).one_or_none()
