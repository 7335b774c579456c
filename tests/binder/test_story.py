"""Rows in, a timeline in words out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.lifecycle import BuildState, DeliveryState, SessionState
from binder.store.commits import Commit, CommitRows
from binder.store.tables import Build, Decision, Delivery, Report, Repository, Session
from binder.story import Event, story_of
from tests.binder.rows import SHA

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OTHER = "f" * 40
REPOSITORY = Repository(id=1, host="github.com", owner="ada", name="notebooks", clone_url="")
NOTHING = CommitRows(Commit(REPOSITORY, SHA), (), (), (), (), (), is_whole=True)
TOKEN = "t" * 43


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def delivery(state: DeliveryState = DeliveryState.ACTED, **values: Any) -> Delivery:
    values = {"event": "push", "payload": {"after": SHA}, "attempts": 0, "received_at": NOON, **values}
    if state is not DeliveryState.STORED:
        values.setdefault("acted_at", later(0.4))
    return Delivery(id=1, guid="guid-1", state=state, **values)


def decision(outcome: str = "build", **values: Any) -> Decision:
    values = {"kind": "branch", "ref": "main", "cause": "delivery", "decided_at": later(1), **values}
    return Decision(id=1, sha=SHA, outcome=outcome, **values)


def build(state: BuildState, **values: Any) -> Build:
    values = {"preview_id": 1, "untrusted": False, "queued_at": later(1), **values}
    return Build(id=5, sha=SHA, state=state, **values)


def session(state: SessionState, **values: Any) -> Session:
    return Session(id="sabc", build_id=5, token=TOKEN, target="127.0.0.1:9", state=state, created_at=later(9), **values)


def report(**values: Any) -> Report:
    wanted = {"state": "success", "description": "Ready", "target_url": "x", "context": "binder", "build": 5}
    values = {"kind": "status", "subject": SHA, "wanted": wanted, "owed": True, "attempts": 0, **values}
    return Report(id=1, updated_at=later(20), **values)


def events(**rows: Any) -> tuple[Event, ...]:
    return story_of(replace(NOTHING, **rows))


def only(**rows: Any) -> Event:
    (event,) = events(**rows)
    return event


def test_a_commit_without_rows_has_no_story() -> None:
    assert story_of(NOTHING) == ()


def test_everything_stands_in_the_order_of_time_with_the_time_in_between() -> None:
    story = events(
        deliveries=[delivery()],
        decisions=[decision()],
        builds=[build(BuildState.SUCCEEDED, started_at=later(2), finished_at=later(8), result={"way": "content"})],
        sessions=[session(SessionState.OPEN, ready_at=later(12), opened_at=later(30))],
        reports=[report(owed=False, sent=report().wanted)],
    )
    assert [(event.kind, event.what, event.after_seconds) for event in story] == [
        ("delivery", "push received", None),
        ("decision", "Decided to build it", 1),
        ("build", "Build 5 queued", 0),
        ("build", "Build 5 started", 1),
        ("build", "Build 5 succeeded", 6),
        ("session", "Session wanted", 1),
        ("session", "Standby proven: a kernel answered", 3),
        ("report", "Status: success", 8),
        ("session", "Session opened by a visitor", 10),
    ]


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        (delivery(), "acted on 0.4 s later"),
        (delivery(DeliveryState.STORED), "waits for its turn"),
        (
            delivery(DeliveryState.STORED, attempts=2, reason="GitHub does not answer."),
            "waits, tried 2 times: GitHub does not answer.",
        ),
        (delivery(DeliveryState.STALE, reason="old"), "out of date when it was acted on 0.4 s later: old"),
        (delivery(DeliveryState.IGNORED, reason="no"), "found to change nothing 0.4 s later: no"),
        (delivery(DeliveryState.FAILED, reason="403"), "failed for good 0.4 s later: 403"),
    ],
)
def test_a_delivery_says_what_became_of_it(row: Delivery, detail: str) -> None:
    event = only(deliveries=[row])
    assert event.details == (detail,)
    assert event.reference == "delivery guid-1"
    assert event.tone == ("wrong" if row.state is DeliveryState.FAILED else "plain")


def test_a_delivery_says_its_action_and_that_it_told_of_another_commit() -> None:
    payload = {"action": "synchronize", "pull_request": {"head": {"sha": OTHER}}}
    event = only(deliveries=[delivery(event="pull_request", payload=payload)])
    assert event.what == "pull_request.synchronize received"
    assert event.details[0] == "it told of commit fffffff"


def test_a_decision_says_where_why_and_by_whom() -> None:
    row = decision("refuse", kind="pull", ref="7", cause="command", actor="bob", reason="bob has no write access")
    event = only(decisions=[row])
    assert (event.what, event.tone) == ("Refused", "wrong")
    assert event.details == ("pull request 7", "because of a comment by bob", "bob has no write access")
    assert only(decisions=[decision("odd", cause="strange")]).details == ("branch main", "because of strange")


def test_a_decision_stands_before_the_build_that_it_led_to_though_it_is_written_down_after_it() -> None:
    rows = [decision("approve"), decision(), decision("cancel", decided_at=later(5)), decision(decided_at=later(30))]
    ended = build(BuildState.CANCELLED, queued_at=later(0.9), finished_at=later(4.9))
    story = events(decisions=rows, builds=[ended])
    assert [event.what for event in story] == [
        "Approved",
        "Decided to build it",
        "Build 5 queued",
        "The build was ended",
        "Build 5 cancelled",
        "Decided to build it",
    ]
    assert [event.at for event in story] == [later(second) for second in (0.9, 0.9, 0.9, 4.9, 4.9, 30)]


def test_a_failed_build_names_the_file_and_the_line_and_whose_fault_it_is() -> None:
    fault = {"party": "repository", "message": "No such package.", "file": "requirements.txt", "line": 3, "step": None}
    failed = build(BuildState.FAILED, started_at=later(2), finished_at=later(4), fault=fault)
    event = events(builds=[failed])[-1]
    assert (event.what, event.tone, event.build_id) == ("Build 5 failed", "wrong", 5)
    assert event.details == ("took 2.0 s", "requirements.txt line 3", "No such package.", "the repository's fault")


def test_a_build_says_what_it_reused_and_whom_it_is_for() -> None:
    notebooks = [{"outcome": "passed"}, {"outcome": "failed"}]
    result = {
        "way": "content",
        "layers": [{"reused": True}, {"reused": False}],
        "saved": {"seconds": 41},
        "notebooks": notebooks,
    }
    values = {"untrusted": True, "preview_id": None, "finished_at": later(4), "result": result}
    queued, done = events(builds=[build(BuildState.SUCCEEDED, **values)])
    assert queued.details == ("for somebody's link", "of a fork: without secrets")
    assert done.details == ("only files changed", "1 of 2 layers re-used", "1 of 2 notebooks ran", "saved 41 s")
    assert done.tone == "good"


def test_what_goes_on_says_where_it_is_now() -> None:
    assert only(builds=[build(BuildState.QUEUED)]).details == ("waits for its turn",)
    assert events(builds=[build(BuildState.PUSHING, started_at=later(2))])[-1].details == ("now: pushing",)
    assert only(sessions=[session(SessionState.STARTING)]).details == ("of build 5", "now: starting")


def test_a_build_that_was_superseded_says_by_what() -> None:
    ended = build(BuildState.SUPERSEDED, finished_at=later(3), fault={"message": "Superseded by fffffff"})
    assert events(builds=[ended])[-1].details == ("Superseded by fffffff",)


def test_a_session_says_why_it_ended_and_never_its_token_or_address() -> None:
    row = session(SessionState.FAILED, ended_at=later(40), reason="No kernel answered.")
    story = events(sessions=[row])
    assert story[-1].details == ("of build 5", "No kernel answered.")
    assert (story[-1].what, story[-1].tone, story[-1].reference) == ("Session failed", "wrong", "session sabc")
    assert TOKEN not in repr(story)
    assert "127.0.0.1" not in repr(story)


SENT = {"state": "pending", "description": "Queued"}


@pytest.mark.parametrize(
    ("values", "what", "details", "tone"),
    [
        ({"sent": report().wanted, "owed": False}, "Status: success", ("Ready", "GitHub was told"), "plain"),
        ({}, "Status: success", ("Ready", "not sent yet"), "plain"),
        (
            {"sent": SENT, "attempts": 1, "not_before": later(90), "reason": "502"},
            "Status: success",
            ("Ready", "not sent yet, tried once, not before 12:01:30 UTC: 502", "GitHub was last told: pending"),
            "plain",
        ),
        ({"owed": False, "reason": "403"}, "Status: success", ("Ready", "never sent: 403"), "wrong"),
        (
            {"kind": "comment", "subject": "7", "wanted": {"body": "<!-- x -->\n**It is ready** [a](b)\n**b**"}},
            "Comment: It is ready",
            ("on pull request 7", "not sent yet"),
            "plain",
        ),
        (
            {"kind": "check", "wanted": {"status": "completed", "conclusion": "failure", "title": "Build failed"}},
            "Check: failure",
            ("Build failed", "not sent yet"),
            "plain",
        ),
        (
            {"kind": "deployment", "wanted": {"state": "in_progress", "description": None}},
            "Deployment: in_progress",
            ("not sent yet",),
            "plain",
        ),
    ],
)
def test_a_report_says_what_was_wanted_and_what_was_sent(
    values: dict[str, Any], what: str, details: tuple[str, ...], tone: str
) -> None:
    event = only(reports=[report(**values)])
    assert (event.what, event.details, event.tone) == (what, details, tone)


@given(st.text())
def test_what_strangers_wrote_is_one_line_without_commands_to_a_terminal(text: str) -> None:
    said = only(decisions=[decision(reason=f"{text}\x1b]0;x\x07\u202e\n{'y' * 1000}")]).details[-1]
    assert len(said) <= 500
    assert said.isprintable()
