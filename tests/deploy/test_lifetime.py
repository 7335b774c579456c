"""How long an open session lasts: what ends it, when that will be, and when its visitor is told."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.settings import Settings
from deploy.facts import Patience, Usage
from deploy.lifetime import Expiry, expiry_of, judge_usage, patience_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IDLE_AFTER = timedelta(minutes=30)
PATIENCE = Patience(IDLE_AFTER, busy=timedelta(hours=2), age=timedelta(hours=6))
MINUTE = timedelta(minutes=1)
SILENT = Usage(None, is_busy=False)
COMPUTES = Usage(None, is_busy=True)


@pytest.mark.parametrize(
    ("usage", "used_at", "reason"),
    [
        (Usage(None, is_busy=False), NOW - IDLE_AFTER, "Nobody used it for 30 min."),
        (Usage(NOW - IDLE_AFTER * 2, is_busy=False), NOW - IDLE_AFTER, "Nobody used it for 30 min."),
        (Usage(NOW - IDLE_AFTER / 2, is_busy=False), NOW - IDLE_AFTER / 2, None),
        (Usage(NOW + IDLE_AFTER, is_busy=False), NOW, None),
        (Usage(None, is_busy=True), NOW - IDLE_AFTER, None),
    ],
)
def test_a_servers_own_account_is_heard(usage: Usage, used_at: datetime, reason: str | None) -> None:
    assert judge_usage(NOW - IDLE_AFTER, usage, PATIENCE, NOW) == (used_at, reason)


def test_a_kernel_that_computes_is_use_up_to_a_limit() -> None:
    since = NOW - PATIENCE.busy
    computing = Usage(None, is_busy=True)
    assert judge_usage(since + timedelta(seconds=1), computing, PATIENCE, NOW)[1] is None
    assert judge_usage(since, computing, PATIENCE, NOW)[1] == "It computed for 2 h, and nobody looked at it."


@pytest.mark.parametrize(
    ("opened", "used", "usage", "expected"),
    [
        (60, 25, SILENT, Expiry(NOW + 5 * MINUTE, "idle", PATIENCE.idle)),
        (60, 25, Usage(NOW - MINUTE, is_busy=False), Expiry(NOW + 29 * MINUTE, "idle", PATIENCE.idle)),
        (60, 25, COMPUTES, Expiry(NOW + 95 * MINUTE, "computing", PATIENCE.busy)),
        (355, 2, SILENT, Expiry(NOW + 5 * MINUTE, "age", PATIENCE.age)),
        (355, 28, SILENT, Expiry(NOW + 2 * MINUTE, "idle", PATIENCE.idle)),
        (355, 28, COMPUTES, Expiry(NOW + 5 * MINUTE, "age", PATIENCE.age)),
    ],
)
def test_whichever_end_comes_first_is_told(opened: int, used: int, usage: Usage, expected: Expiry) -> None:
    assert expiry_of(NOW - opened * MINUTE, NOW - used * MINUTE, usage, PATIENCE, NOW) == expected
    assert expected.can_be_put_off == (expected.reason != "age")


_spans = st.timedeltas(timedelta(0), timedelta(hours=3))
_usages = st.builds(Usage, st.none() | _spans.map(lambda span: NOW - span), is_busy=st.booleans())


@given(_spans, _usages)
def test_a_session_ends_when_it_was_told_to(used_ago: timedelta, usage: Usage) -> None:
    used_at, moment = NOW - used_ago, timedelta(microseconds=1)
    told = expiry_of(NOW, used_at, usage, PATIENCE, NOW).at
    assert judge_usage(used_at, usage, PATIENCE, told - moment)[1] is None
    assert judge_usage(used_at, usage, PATIENCE, told)[1] is not None


def test_a_visitor_is_told_ten_minutes_before() -> None:
    assert Expiry(NOW, "idle", PATIENCE.idle).told_at == NOW - 10 * MINUTE
    assert Expiry(NOW, "idle", MINUTE).told_at == NOW - MINUTE / 2


def test_a_page_asks_again_when_there_is_something_to_tell() -> None:
    expiry = Expiry(NOW, "idle", PATIENCE.idle)
    asked = [expiry.look_again_in(NOW - left * MINUTE) / MINUTE for left in (30, 10.5, 10, 0.5, 0, -5)]
    assert asked == [20, 0.5, 1, 0.5, 1 / 12, 1 / 12]


@pytest.mark.parametrize(
    ("reason", "minutes", "sentence"),
    [
        ("idle", 30, "Sessions that nobody uses are ended after 30 min."),
        ("computing", 120, "Sessions that compute, and that nobody looks at, are ended after 2 h."),
        ("age", 330, "No session may be open for longer than 5.5 h."),
    ],
)
def test_why_is_said_in_plain_words(reason: str, minutes: int, sentence: str) -> None:
    assert Expiry(NOW, reason, minutes * MINUTE).sentence == sentence  # type: ignore[arg-type]


def test_patience_is_what_the_settings_say() -> None:
    settings = Settings(session_idle_seconds=60, session_busy_seconds=120, session_age_seconds=180)
    assert patience_of(settings) == Patience(MINUTE, 2 * MINUTE, 3 * MINUTE)
