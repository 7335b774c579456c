"""Who may see what, case by case."""

from datetime import UTC, datetime, timedelta

import pytest

from binder.store.tables import Grant, Repository
from proxy.viewers import ANYBODY, GRANTED_FOR, Viewer, decide, is_operator

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOB = Viewer(7, "bob")
PUBLIC = Repository(id=1, private=False, access_epoch=0)
PRIVATE = Repository(id=1, private=True, access_epoch=4)


def granted(ago: timedelta = timedelta(0), epoch: int = 4) -> Grant:
    """Return what GitHub granted a while ago."""
    return Grant(visitor_id=7, repository_id=1, epoch=epoch, asked_at=NOW - ago)


@pytest.mark.parametrize(
    ("repository", "viewer", "grant", "expected"),
    [
        (PUBLIC, ANYBODY, None, "yes"),
        (PUBLIC, BOB, None, "yes"),
        (PRIVATE, ANYBODY, None, "no"),
        (None, ANYBODY, None, "no"),
        (PRIVATE, BOB, None, "ask"),
        (None, BOB, None, "ask"),
        (PRIVATE, BOB, granted(), "yes"),
        (PRIVATE, BOB, granted(GRANTED_FOR - timedelta(seconds=1)), "yes"),
        (PRIVATE, BOB, granted(GRANTED_FOR), "ask"),
        (PRIVATE, BOB, granted(timedelta(seconds=-1)), "ask"),
        (PRIVATE, BOB, granted(epoch=3), "ask"),
        (PRIVATE, ANYBODY, granted(), "no"),
    ],
)
def test_who_may_see_a_repository(
    repository: Repository | None, viewer: Viewer, grant: Grant | None, expected: str
) -> None:
    assert decide(repository, viewer, grant, NOW) == expected
    assert timedelta(minutes=5) >= GRANTED_FOR


def test_operators_are_those_who_are_named() -> None:
    assert is_operator(BOB, ["Ada", "BOB"])
    assert not is_operator(BOB, ["ada", "bobby"])
    assert not is_operator(BOB, [])
    assert not is_operator(ANYBODY, ["bob", ""])
