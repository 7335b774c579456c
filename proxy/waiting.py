"""Who waits for a session, in which order: first come, first served.

In memory and bounded: after a restart pages come back by themselves, and line up as they come. Who gets what is
`proxy.launch`'s decision.
"""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

# A page that waits looks again every few seconds; who has not been seen for so long has left.
LEFT_AFTER = timedelta(seconds=45)
_MOST_WAITERS = 1000


@dataclass(frozen=True)
class Waiter:
    """Somebody who waits for a session of `image`, `since` then. `is_served`: one is on its way to them."""

    image: str
    is_served: bool
    seen_at: datetime
    since: datetime


@dataclass(frozen=True)
class Ahead:
    """Who comes before somebody: those who want the same image, and those for whom no session is on its way.

    `unserved` counts the latter, `of` all of them in the queue, whoever asks included.
    """

    of_image: int
    unserved: int
    of: int


class Queue:
    """Those who wait, in the order in which they came. A ticket is one visitor's, whichever links they opened."""

    def __init__(self) -> None:
        self._waiters: dict[tuple[str, str], Waiter] = {}

    def ahead_of(self, ticket: str, image: str, now: datetime) -> Ahead:
        """Return who comes before a visitor, who is the last where they are not known."""
        self._let_go(now)
        before: list[Waiter] = []
        for key, waiter in self._waiters.items():
            if key == (ticket, image):
                break
            before.append(waiter)
        others = [one for key, one in self._waiters.items() if key != (ticket, image)]
        return Ahead(
            of_image=sum(one.image == image for one in before),
            unserved=sum(not one.is_served for one in before),
            of=sum(not one.is_served for one in others) + 1,
        )

    def wait(self, ticket: str, image: str, now: datetime, *, is_served: bool) -> None:
        """Keep a visitor's place, or give them the last one; where too many wait, they have to come again."""
        key = (ticket, image)
        if key in self._waiters or len(self._waiters) < _MOST_WAITERS:
            known = self._waiters.get(key)
            self._waiters[key] = Waiter(image, is_served, now, known.since if known else now)

    def see(self, ticket: str, now: datetime) -> None:
        """Note that a visitor's page is still there."""
        for key, waiter in self._waiters.items():
            if key[0] == ticket:
                self._waiters[key] = replace(waiter, seen_at=now)

    def leave(self, ticket: str, image: str) -> datetime | None:
        """Forget a visitor who waits no longer, and return since when they had waited; None: they had not."""
        waiter = self._waiters.pop((ticket, image), None)
        return waiter.since if waiter else None

    def length(self, now: datetime) -> int:
        """Return how many wait for whom no session is on its way."""
        self._let_go(now)
        return sum(not one.is_served for one in self._waiters.values())

    def _let_go(self, now: datetime) -> None:
        self._waiters = {key: one for key, one in self._waiters.items() if now - one.seen_at < LEFT_AFTER}


@dataclass(frozen=True)
class Turn:
    """A visitor's place in a queue."""

    queue: Queue
    ticket: str


def new_ticket() -> str:
    """Return a ticket that nobody can guess."""
    return secrets.token_urlsafe(16)
