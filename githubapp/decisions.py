"""Writes down why something was done about a commit, or not done: one line of its story each."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from sqlalchemy.ext.asyncio import AsyncSession

from binder.store.tables import Decision, Preview

Outcome: TypeAlias = Literal["build", "hold", "stale", "end", "approve", "cancel", "stop", "refuse", "known"]

_LONGEST_REASON = 1000
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Cause:
    """What had us look: `kind` is a word of `Decision.cause`; who acted is None where it was nobody in particular."""

    kind: Literal["delivery", "command", "button", "comparison", "start"]
    delivery_id: int | None = None
    actor: str | None = None


def note(
    session: AsyncSession, cause: Cause, preview: Preview, outcome: Outcome, reason: str | None, *, sha: str | None
) -> None:
    """Write down one decision about `sha`, a commit of `preview`."""
    decision = Decision(
        repository_id=preview.repository_id,
        kind=preview.kind,
        ref=preview.ref,
        sha=sha,
        cause=cause.kind,
        delivery_id=cause.delivery_id,
        outcome=outcome,
        reason=reason[:_LONGEST_REASON] if reason else None,
        actor=cause.actor[:_LONGEST_NAME] if cause.actor else None,
    )
    session.add(decision)
