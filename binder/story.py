"""What happened to a commit, as one timeline: rows in, events in words out. Pure.

Owns the words and the order. Nothing secret goes in: of a session neither its token nor its address. Finding the rows
is `binder.store.commits`'; showing the events is left to the command line and the pages.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from binder.build_words import words_of_layers, words_of_notebooks, words_of_saving, words_of_time, words_of_way
from binder.lifecycle import BuildState, DeliveryState, SessionState, is_final
from binder.store.commits import CommitRows, told_sha
from binder.store.tables import Build, Decision, Delivery, Report, Session

Kind: TypeAlias = Literal["delivery", "decision", "build", "session", "report"]
Tone: TypeAlias = Literal["plain", "good", "wrong"]

_ORDER: Final[Mapping[Kind, int]] = {"delivery": 0, "decision": 1, "build": 2, "session": 3, "report": 4}
_LONGEST_DETAIL = 500
_BOLD = re.compile(r"\*\*(.+?)\*\*")
_ONE_TRANSACTION: Final = timedelta(seconds=1)
_ABOUT_BUILDS = ("approve", "build", "cancel")
_FATES: Final[Mapping[DeliveryState, str]] = {
    DeliveryState.ACTED: "acted on",
    DeliveryState.STALE: "out of date when it was acted on",
    DeliveryState.IGNORED: "found to change nothing",
    DeliveryState.FAILED: "failed for good",
}
_OUTCOMES: Final[Mapping[str, str]] = {
    "build": "Decided to build it",
    "known": "Nothing new",
    "hold": "Held back: not built",
    "stale": "Not the head any more",
    "end": "The preview ended",
    "approve": "Approved",
    "cancel": "The build was ended",
    "stop": "The sessions were ended",
    "refuse": "Refused",
}
_CAUSES: Final[Mapping[str, str]] = {
    "delivery": "a delivery",
    "command": "a comment",
    "button": "a button",
    "comparison": "a comparison with GitHub",
    "start": "the start of the service",
    "visitor": "a visitor's link",
    "job": "a workflow's job",
}
_FAULTS_OF: Final[Mapping[str, str]] = {
    "repository": "the repository's fault",
    "visitor": "the visitor's fault",
    "operator": "this service's fault",
    "world": "something outside of this service is at fault",
}


@dataclass(frozen=True)
class Event:
    """One thing that happened; `after_seconds` after the event before it, None for the first one.

    `reference` is how operators name its row: `delivery GUID`, `build 12`, `session ID`; it is not for visitors.
    `build_id` is the build whose event it is, None where it is none's.
    """

    at: datetime
    kind: Kind
    what: str
    details: tuple[str, ...] = ()
    tone: Tone = "plain"
    reference: str = ""
    build_id: int | None = None
    after_seconds: float | None = None


def story_of(rows: CommitRows) -> tuple[Event, ...]:
    """Return what happened to a commit, oldest first.

    A row knows its last time of each kind only: a build that was taken up again says when it was started last, and a
    report when it was last changed, tried or sent.
    """
    events = [
        *(_delivered(row, rows.commit.sha) for row in rows.deliveries),
        *(_decided(row, rows.builds) for row in rows.decisions),
        *(event for build in rows.builds for event in _built(build)),
        *(event for session in rows.sessions for event in _ran(session)),
        *(_reported(row) for row in rows.reports),
    ]
    events.sort(key=lambda event: (event.at, _ORDER[event.kind]))
    return tuple(
        replace(event, after_seconds=(event.at - before.at).total_seconds() if before else None)
        for before, event in zip([None, *events], events, strict=False)
    )


def _delivered(row: Delivery, sha: str) -> Event:
    action, told = row.payload.get("action"), told_sha(row.payload)
    name = f"{row.event}.{action}" if isinstance(action, str) else row.event
    about = f"it told of commit {told[:7]}" if told and told != sha else ""
    tone: Tone = "wrong" if row.state is DeliveryState.FAILED else "plain"
    reference = f"delivery {row.guid}"
    return Event(row.received_at, "delivery", f"{name} received", _said(about, _fate(row)), tone, reference)


def _fate(row: Delivery) -> str:
    if row.acted_at is None:
        return f"waits, tried {_times(row.attempts)}: {row.reason}" if row.attempts else "waits for its turn"
    took = words_of_time((row.acted_at - row.received_at).total_seconds())
    text = f"{_FATES.get(row.state, row.state)} {took} later"
    return f"{text}: {row.reason}" if row.reason else text


def _decided(row: Decision, builds: Sequence[Build]) -> Event:
    ref = f"pull request {row.ref}" if row.kind == "pull" else f"branch {row.ref}"
    cause = _CAUSES.get(row.cause, row.cause)
    because = f"because of {cause}" + (f" by {row.actor}" if row.actor else "")
    what = _OUTCOMES.get(row.outcome, row.outcome)
    tone: Tone = "wrong" if row.outcome == "refuse" else "plain"
    at = _before_its_build(row, builds)
    return Event(at, "decision", what, _said(ref, because, row.reason), tone, f"decision {row.id}")


def _before_its_build(row: Decision, builds: Sequence[Build]) -> datetime:
    """Return when something was decided: not later than the build was queued, or ended, that this led to.

    Both are written in one transaction, and the build first.
    """
    times = [build.finished_at if row.outcome == "cancel" else build.queued_at for build in builds]
    led_to = (time for time in times if time and timedelta(0) <= row.decided_at - time < _ONE_TRANSACTION)
    return min(led_to, default=row.decided_at) if row.outcome in _ABOUT_BUILDS else row.decided_at


def _built(build: Build) -> Iterator[Event]:
    name = f"build {build.id}"
    waits = "waits for its turn" if build.state is BuildState.QUEUED else ""
    asked = "for somebody's link" if build.preview_id is None else ""
    untrusted = "of a fork: without secrets" if build.untrusted else ""
    yield _of_build(build, build.queued_at, f"{name} queued", waits, asked, untrusted)
    if build.started_at:
        now = "" if is_final(build.state) or build.state is BuildState.QUEUED else f"now: {build.state}"
        now = f"{now}, its notebooks run" if now and build.awaits_check else now
        yield _of_build(build, build.started_at, f"{name} started", now)
    if build.finished_at:
        end = _of_build(build, build.finished_at, f"{name} {build.state}", *_outcome(build))
        tones: Mapping[BuildState, Tone] = {BuildState.SUCCEEDED: "good", BuildState.FAILED: "wrong"}
        yield replace(end, tone=tones.get(build.state, "plain"))


def _of_build(build: Build, at: datetime, what: str, *details: str) -> Event:
    return Event(at, "build", what[0].upper() + what[1:], _said(*details), "plain", f"build {build.id}", build.id)


def _outcome(build: Build) -> Iterator[str]:
    """Give what a build did: which way, what it re-used and saved, what was wrong and where."""
    result, fault = build.result or {}, build.fault or {}
    if build.started_at and build.finished_at:
        yield f"took {words_of_time((build.finished_at - build.started_at).total_seconds())}"
    yield words_of_way(result.get("way"))
    yield words_of_layers(result.get("layers"))
    yield words_of_notebooks(result.get("notebooks"))
    saved = words_of_saving(result.get("saved"))
    yield f"saved {saved}" if saved else ""
    file, line = fault.get("file"), fault.get("line")
    yield f"{file} line {line}" if file and line else file or fault.get("step") or ""
    yield fault.get("message") or ""
    yield _FAULTS_OF.get(fault.get("party", ""), "") if build.state is BuildState.FAILED else ""


def _ran(row: Session) -> Iterator[Event]:
    of_build = f"of build {row.build_id}"
    now = f"now: {row.state}" if row.state in {SessionState.WANTED, SessionState.STARTING} else ""
    yield _of_session(row, row.created_at, "Session wanted", of_build, now)
    if row.ready_at:
        proven = _of_session(row, row.ready_at, "Standby proven: a kernel answered", of_build)
        yield replace(proven, tone="good")
    if row.opened_at:
        yield _of_session(row, row.opened_at, "Session opened by a visitor", of_build)
    if row.ended_at:
        ended = _of_session(row, row.ended_at, f"Session {row.state}", of_build, row.reason)
        yield replace(ended, tone="wrong" if row.state is SessionState.FAILED else "plain")


def _of_session(row: Session, at: datetime, what: str, *details: str | None) -> Event:
    return Event(at, "session", what, _said(*details), "plain", f"session {row.id}")


def _reported(row: Report) -> Event:
    is_sent, shown = row.sent == row.wanted, _shown_in(row.kind, row.wanted)
    where = f"on pull request {row.subject}" if row.kind == "comment" else ""
    told = _shown_in(row.kind, row.sent) if row.sent and not is_sent else ""
    last = f"GitHub was last told: {told}" if told else ""
    details = _said(where, row.wanted.get("description") or row.wanted.get("title"), _sending(row), last)
    tone: Tone = "plain" if is_sent or row.owed else "wrong"
    return Event(row.updated_at, "report", f"{row.kind.capitalize()}: {shown}", details, tone, f"report {row.id}")


def _shown_in(kind: str, values: Mapping[str, Any]) -> str:
    """Return what a report shows, in a few words: of a comment its title, which is the first thing in bold."""
    if kind == "comment":
        title = _BOLD.search(str(values.get("body")))
        return title[1] if title else "without a title"
    return str(values.get("conclusion") or values.get("state") or values.get("status"))


def _sending(row: Report) -> str:
    if row.sent == row.wanted:
        return "GitHub was told"
    if not row.owed:
        return f"never sent: {row.reason or 'it is not owed any more'}"
    tried = f", tried {_times(row.attempts)}" if row.attempts else ""
    again = f", not before {row.not_before:%H:%M:%S} UTC" if row.not_before else ""
    return f"not sent yet{tried}{again}" + (f": {row.reason}" if row.reason else "")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _said(*texts: str | None) -> tuple[str, ...]:
    """Return what there is to say, each in one line that no terminal and no reading direction takes for a command."""
    return tuple(line for line in map(_line, filter(None, texts)) if line)


def _line(text: str) -> str:
    line = " ".join("".join(_printable(text)).split())
    return line if len(line) <= _LONGEST_DETAIL else line[: _LONGEST_DETAIL - 1] + "…"


def _printable(text: str) -> Iterable[str]:
    return (character if character.isprintable() else " " for character in text)
