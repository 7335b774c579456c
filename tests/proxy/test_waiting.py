"""The queue: who comes before whom, and who has left."""

from datetime import UTC, datetime, timedelta

from proxy.waiting import LEFT_AFTER, Ahead, Queue, new_ticket

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def queue_of(*tickets: str) -> Queue:
    queue = Queue()
    for ticket in tickets:
        queue.wait(ticket, "image", NOW, is_served=False)
    return queue


def test_those_who_came_first_are_ahead() -> None:
    queue = queue_of("ada", "bob")
    queue.wait("ada", "image", NOW, is_served=False)
    assert queue.ahead_of("ada", "image", NOW) == Ahead(0, 0, 2)
    assert queue.ahead_of("bob", "image", NOW) == Ahead(1, 1, 2)
    assert queue.ahead_of("eve", "image", NOW) == Ahead(2, 2, 3)
    assert queue.ahead_of("eve", "other", NOW) == Ahead(0, 2, 3)


def test_who_is_served_takes_no_place_of_the_others() -> None:
    queue = queue_of("ada", "bob")
    queue.wait("ada", "image", NOW, is_served=True)
    assert queue.ahead_of("bob", "image", NOW) == Ahead(1, 0, 1)
    queue.leave("ada", "image")
    assert queue.ahead_of("bob", "image", NOW) == Ahead(0, 0, 1)


def test_who_leaves_loses_the_place_after_a_while() -> None:
    queue = queue_of("ada", "bob")
    later = NOW + LEFT_AFTER
    queue.see("bob", later)
    assert queue.ahead_of("bob", "image", later - timedelta(seconds=1)) == Ahead(1, 1, 2)
    assert queue.ahead_of("bob", "image", later) == Ahead(0, 0, 1)


def test_it_is_bounded() -> None:
    queue = queue_of(*(new_ticket() for _ in range(1100)))
    assert queue.ahead_of("ada", "image", NOW).unserved == 1000
