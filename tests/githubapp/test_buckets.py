"""What may be sent to GitHub, and whose turn it is."""

from datetime import UTC, datetime, timedelta

from githubapp.buckets import COSTS, KINDS, Bucket, Kind, in_turn

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def sent(kind: Kind, count: int, at: datetime = NOW, bucket: Bucket | None = None) -> Bucket:
    bucket = bucket or Bucket()
    for _ in range(count):
        bucket = bucket.after(kind, at)
    return bucket


def test_a_minute_has_room_for_sixty_statuses() -> None:
    assert sent("status", 59).has_room("status", NOW)
    full = sent("status", 60)
    assert not full.has_room("status", NOW + MINUTE - SECOND)
    assert full.has_room("status", NOW + MINUTE)


def test_an_hour_has_room_for_four_hundred() -> None:
    bucket = Bucket()
    for minute in range(8):
        bucket = sent("status", 50, NOW + minute * MINUTE, bucket)
    assert not bucket.has_room("status", NOW + 59 * MINUTE)
    assert bucket.has_room("status", NOW + HOUR)


def test_a_quarter_is_kept_for_statuses() -> None:
    bucket = sent("check", 45)
    assert not any(bucket.has_room(kind, NOW) for kind in KINDS if kind != "status")
    assert bucket.has_room("status", NOW)


def test_the_one_that_waited_longest_comes_first_and_the_most_important_of_its_reports() -> None:
    buckets = {1: sent("status", 1, NOW), 2: sent("status", 1, NOW - SECOND)}
    waiting = {1: {"status"}, 2: {"comment", "check"}, 3: {"deployment"}}
    assert in_turn(waiting, buckets, NOW) == [(3, "deployment"), (2, "check"), (2, "comment"), (1, "status")]


def test_an_installation_whose_bucket_is_full_keeps_nobody_waiting() -> None:
    assert in_turn({1: {"status"}, 2: {"comment"}}, {1: sent("status", 60)}, NOW) == [(2, "comment")]
    assert in_turn({1: {"status"}}, {1: sent("status", 60)}, NOW) == []


def test_what_is_an_hour_ago_is_forgotten() -> None:
    bucket = sent("status", 3)
    assert not bucket.is_empty(NOW + HOUR - SECOND)
    assert bucket.is_empty(NOW + HOUR)
    assert len(bucket.after("status", NOW + HOUR).spent) == 1


def test_a_burst_stays_within_githubs_limits_and_all_of_it_is_sent() -> None:
    owed: dict[int, dict[Kind, int]] = {1: dict.fromkeys(KINDS, 250), 2: {"status": 20, "comment": 20}}
    buckets: dict[int, Bucket] = {}
    log: list[tuple[datetime, int, Kind]] = []
    now = NOW
    while any(owed.values()):
        turns = in_turn(owed, buckets, now)
        if not turns:
            now += 15 * SECOND
            continue
        installation, kind = turns[0]
        log.append((now, installation, kind))
        buckets[installation] = buckets.get(installation, Bucket()).after(kind, now)
        owed[installation][kind] -= 1
        owed[installation] = {kind: left for kind, left in owed[installation].items() if left}
    assert len(log) == 1040
    assert max(at for at, installation, _ in log if installation == 2) <= NOW + MINUTE
    assert [kind for _, installation, kind in log if installation == 1][:250] == ["status"] * 250
    for end in {at for at, _, _ in log}:
        assert _spent(log, end, MINUTE, "writes") <= 60
        assert _spent(log, end, MINUTE, "points") <= 900
        assert _spent(log, end, HOUR, "writes") <= 400


def _spent(log: list[tuple[datetime, int, Kind]], end: datetime, length: timedelta, what: str) -> int:
    return sum(
        getattr(COSTS[kind], what) for at, installation, kind in log if installation == 1 and end - length < at <= end
    )
