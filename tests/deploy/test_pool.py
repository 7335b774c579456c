"""Which sessions there should be: what each situation leads to, and what holds in all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.lifecycle import BuildState, SessionState, is_final
from deploy.engine import Running
from deploy.facts import BuildFact, Ending, Patience, PoolFacts, PoolPlan, PreviewFact, SessionFact
from deploy.pool import (
    CLAIM_WITHIN,
    FIRST_PAUSE,
    LINK_STANDBY_LASTS,
    LONGEST_PAUSE,
    decide_pool,
    kept_builds,
    may_try_again,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=5)
IDLE_AFTER = timedelta(minutes=30)
PATIENCE = Patience(IDLE_AFTER, busy=timedelta(hours=2), age=timedelta(hours=6))
ALIVE = Running(alive=True, target="127.0.0.1:1")
PREVIEW = PreviewFact(1, 1, "head")


def build(number: int = 1, state: BuildState = BuildState.SUCCEEDED, **values: object) -> BuildFact:
    fact = BuildFact(number, 1, f"sha{number}", state, preview_id=1, image=f"image{number}")
    return fact._replace(**values)  # type: ignore[arg-type]


def session(state: SessionState, number: int = 1, name: str = "s", **values: object) -> SessionFact:
    fact = SessionFact(name, 1, number, f"image{number}", state, created_at=LONG_AGO)
    if state in {SessionState.STANDBY, SessionState.OPEN}:
        fact = fact._replace(ready_at=LONG_AGO)
    if state is SessionState.OPEN:
        fact = fact._replace(activity_at=NOW)
    if state is SessionState.FAILED:
        fact = fact._replace(ended_at=NOW, reason="It broke.")
    return fact._replace(**values)  # type: ignore[arg-type]


def facts(
    builds: Sequence[BuildFact] = (),
    sessions: Sequence[SessionFact] = (),
    previews: Sequence[PreviewFact] = (),
    pods: dict[str, Running] | None = None,
    at_most: int = 10,
    standbys: int = 10,
) -> PoolFacts:
    return PoolFacts(builds, previews, sessions, pods, at_most, standbys, PATIENCE)


def ended(
    *names: str, was: SessionState = SessionState.STANDBY, reason: str = "It was not needed any more."
) -> tuple[Ending, ...]:
    return tuple(Ending(name, was, SessionState.ENDED, reason) for name in names)


CHECKING = build(state=BuildState.CHECKING)
WANTED, STARTING, STANDBY, OPEN, FAILED = (
    SessionState.WANTED,
    SessionState.STARTING,
    SessionState.STANDBY,
    SessionState.OPEN,
    SessionState.FAILED,
)


@pytest.mark.parametrize(
    ("given_facts", "expected"),
    [
        pytest.param(facts(), PoolPlan(), id="nothing"),
        pytest.param(facts([CHECKING]), PoolPlan(want=(CHECKING,)), id="a build being checked wants a session"),
        pytest.param(
            facts([CHECKING], [session(WANTED)]), PoolPlan(start=("s",)), id="a session that is wanted is started"
        ),
        pytest.param(
            facts([CHECKING], [session(STARTING, is_held=True)]),
            PoolPlan(),
            id="one that is being started is waited for",
        ),
        pytest.param(
            facts([CHECKING], [session(WANTED, is_held=True)]), PoolPlan(), id="one that somebody took is left to them"
        ),
        pytest.param(
            facts([CHECKING], [session(STANDBY, build_id=9)]),
            PoolPlan(succeed=(1,)),
            id="a session of the same image proves the build",
        ),
        pytest.param(
            facts([CHECKING], [session(OPEN)]), PoolPlan(succeed=(1,)), id="one that was claimed at once does, too"
        ),
        pytest.param(
            facts([CHECKING], [session(FAILED)]), PoolPlan(fail={1: "It broke."}), id="a failed session refutes it"
        ),
        pytest.param(
            facts([CHECKING], [session(FAILED, build_id=9)]),
            PoolPlan(want=(CHECKING,)),
            id="another build's failure does not",
        ),
        pytest.param(
            facts([build(state=BuildState.CHECKING, image=None)]), PoolPlan(), id="no image, nothing to start"
        ),
        pytest.param(
            facts([build()], previews=[PREVIEW]), PoolPlan(want=(build(),)), id="a live preview keeps one standby"
        ),
        pytest.param(facts([build()], [session(STANDBY)], [PREVIEW]), PoolPlan(), id="one is enough"),
        pytest.param(
            facts([build()], [session(OPEN)], [PREVIEW]), PoolPlan(want=(build(),)), id="one that is open is not free"
        ),
        pytest.param(
            facts([build(1), build(2)], [session(STANDBY, 1)], [PREVIEW]),
            PoolPlan(want=(build(2),), end=ended("s")),
            id="the newest build of a preview takes the place of the older one",
        ),
        pytest.param(
            facts([build(1), build(2, BuildState.FAILED)], [session(STANDBY, 1)], [PREVIEW]),
            PoolPlan(),
            id="a build that failed does not",
        ),
        pytest.param(facts([build()], [session(STANDBY)]), PoolPlan(end=ended("s")), id="the preview is not live"),
        pytest.param(
            facts([build()], [session(STANDBY, ready_at=NOW - CLAIM_WITHIN / 2)]),
            PoolPlan(),
            id="somebody may be about to claim it",
        ),
        pytest.param(
            facts([build(preview_id=None)], [session(STANDBY, ready_at=NOW - LINK_STANDBY_LASTS / 2)]),
            PoolPlan(),
            id="a link's standby lasts longer",
        ),
        pytest.param(
            facts([build(preview_id=None)], [session(STANDBY, ready_at=NOW - LINK_STANDBY_LASTS)]),
            PoolPlan(end=ended("s")),
            id="but not for ever",
        ),
        pytest.param(
            facts(
                [build()],
                [session(STANDBY, name="old"), session(STANDBY, name="new", ready_at=NOW - CLAIM_WITHIN)],
                [PREVIEW],
            ),
            PoolPlan(end=ended("new")),
            id="two standbys are one too many",
        ),
        pytest.param(
            facts([build(state=BuildState.SUPERSEDED)], [session(STARTING, is_held=True)]),
            PoolPlan(end=ended("s", was=STARTING)),
            id="a build that was superseded needs no session",
        ),
        pytest.param(
            facts([build()], [session(WANTED)]), PoolPlan(start=("s",)), id="a click on an older build gets its session"
        ),
        pytest.param(facts([build()], [session(STARTING)], [PREVIEW]), PoolPlan(again=("s",)), id="its worker died"),
        pytest.param(
            facts([build()], [session(FAILED, ended_at=NOW - FIRST_PAUSE / 2)], [PREVIEW]),
            PoolPlan(),
            id="a standby that failed is not tried again at once",
        ),
        pytest.param(
            facts([build()], [session(FAILED, ended_at=NOW - FIRST_PAUSE)], [PREVIEW]),
            PoolPlan(want=(build(),)),
            id="but later",
        ),
        pytest.param(
            facts([build(preview_id=None)], [session(OPEN, activity_at=NOW - IDLE_AFTER)]),
            PoolPlan(idle=ended("s", was=OPEN, reason="Nobody used it for 30 min.")),
            id="nobody uses it",
        ),
        pytest.param(
            facts([build(preview_id=None)], [session(OPEN, opened_at=NOW - PATIENCE.age)]),
            PoolPlan(end=ended("s", was=OPEN, reason="It was open for 6 h, the longest that a session may be.")),
            id="it is too old, whoever uses it",
        ),
        pytest.param(
            facts([build()], [session(STANDBY)], [PREVIEW], pods={"s": ALIVE, "other": ALIVE}),
            PoolPlan(remove=("other",)),
            id="a pod without a session",
        ),
        pytest.param(
            facts([build()], [session(FAILED)], pods={"s": ALIVE}), PoolPlan(remove=("s",)), id="a pod of a failed one"
        ),
        pytest.param(
            facts([build()], [session(STARTING, is_held=True)], pods={}), PoolPlan(), id="its pod is yet to come"
        ),
        pytest.param(
            facts([build()], [session(OPEN)], pods={}),
            PoolPlan(end=ended("s", was=OPEN, reason="Its container is gone.")),
            id="the machine was restarted",
        ),
        pytest.param(
            facts([build()], [session(OPEN)], pods={"s": Running(alive=False, exit_code=0)}),
            PoolPlan(end=ended("s", was=OPEN, reason="The notebook server was shut down.")),
            id="the visitor shut it down",
        ),
        pytest.param(
            facts([build()], [session(OPEN)], pods={"s": Running(alive=False, exit_code=137, reason="Memory!")}),
            PoolPlan(end=(Ending("s", OPEN, FAILED, "Memory!"),)),
            id="it broke",
        ),
        pytest.param(
            facts(
                [build()], [session(STANDBY)], [PREVIEW], pods={"s": Running(alive=False, reason="Lost.", taken=True)}
            ),
            PoolPlan(want=(build(),), end=ended("s", reason="Lost.")),
            id="one that was taken away is followed by the next at once: its image is not at fault",
        ),
        pytest.param(
            facts([CHECKING], [session(STANDBY)], pods={"s": Running(alive=False, exit_code=0)}),
            PoolPlan(want=(CHECKING,), end=(Ending("s", STANDBY, FAILED, "It stopped running."),)),
            id="what does not run proves nothing",
        ),
    ],
)
def test_what_is_next(given_facts: PoolFacts, expected: PoolPlan) -> None:
    assert decide_pool(given_facts, NOW) == expected


def _standby_of(number: int) -> SessionFact:
    return session(STANDBY, number, f"s{number}", ready_at=LONG_AGO + timedelta(minutes=number))


def test_one_place_is_left_to_visitors() -> None:
    previews = [PreviewFact(number, 1, "") for number in range(1, 6)]
    builds = [build(number, preview_id=number) for number in range(1, 6)]
    plan = decide_pool(facts(builds, [], previews, at_most=4), NOW)
    assert [one.id for one in plan.want] == [5, 4, 3]


def test_the_likeliest_to_be_opened_have_the_standbys() -> None:
    previews = [
        PreviewFact(1, 1, "", is_default=True),
        PreviewFact(2, 1, "", is_pull=True),
        PreviewFact(3, 1, ""),
        PreviewFact(4, 1, "", opened=4),
    ]
    builds = [build(number, preview_id=number) for number in range(1, 5)]
    assert [one.id for one in kept_builds(previews, builds)] == [4, 2, 1, 3]
    assert [one.id for one in decide_pool(facts(builds, [], previews, standbys=2), NOW).want] == [4, 2]
    assert decide_pool(facts(builds, [], previews, standbys=0), NOW) == PoolPlan()


def test_what_is_likelier_takes_the_place_of_what_is_less_likely() -> None:
    previews = [PreviewFact(1, 1, ""), PreviewFact(2, 1, "", opened=1)]
    builds = [build(1), build(2, preview_id=2)]
    plan = decide_pool(facts(builds, [_standby_of(1)], previews, standbys=1), NOW)
    assert (plan.want, [ending.session_id for ending in plan.end]) == ((build(2, preview_id=2),), ["s1"])
    checked = [*builds, build(3, BuildState.CHECKING)]
    assert decide_pool(facts(checked, [], previews, standbys=0), NOW).want == (checked[2],)


def test_the_least_likely_standbys_make_place_to_those_who_wait() -> None:
    previews = [PreviewFact(number, 1, "", opened=number == 1) for number in range(1, 4)]
    builds = [*(build(number, preview_id=number) for number in range(1, 4)), build(9, preview_id=None)]
    waiting = [session(WANTED, 9, "one"), session(WANTED, 9, "two")]
    plan = decide_pool(facts(builds, [*map(_standby_of, range(1, 4)), *waiting], previews, at_most=4), NOW)
    assert [ending.session_id for ending in plan.end] == ["s2", "s3"]


def test_the_oldest_standbys_make_place() -> None:
    previews = [PreviewFact(number, 1, "") for number in range(1, 5)]
    builds = [build(number, preview_id=number) for number in range(1, 5)]
    sessions = [*map(_standby_of, range(1, 4)), session(WANTED, 4, "wanted")]
    plan = decide_pool(facts(builds, sessions, previews, at_most=3), NOW)
    assert [ending.session_id for ending in plan.end] == ["s1", "s2"]
    assert plan.start == ("wanted",)
    assert plan.want == ()


def test_the_only_place_is_the_pools() -> None:
    assert decide_pool(facts([build()], [], [PREVIEW], at_most=1), NOW).want == (build(),)


def test_sessions_start_in_the_order_in_which_they_were_wanted() -> None:
    rows = [
        session(WANTED, 1, "second", created_at=NOW - timedelta(seconds=1)),
        session(WANTED, 1, "first", created_at=NOW - timedelta(seconds=2)),
        session(WANTED, 1, "third", created_at=NOW),
        session(OPEN, 1, "open"),
    ]
    assert decide_pool(facts([build()], rows, at_most=3), NOW).start == ("first", "second")


def test_a_preview_shows_its_head_whoever_had_it_built() -> None:
    shared = build(1, preview_id=7, sha="head")
    newer = build(2, preview_id=1)
    assert kept_builds([PREVIEW], [shared, newer]) == [shared]
    assert kept_builds([PREVIEW], [newer, build(3, BuildState.CHECKING, sha="head")]) == [newer]
    assert kept_builds([PREVIEW], []) == []


def test_two_previews_of_one_image_share_a_standby() -> None:
    assert decide_pool(facts([build()], [], [PREVIEW, PreviewFact(2, 1, "sha1")]), NOW).want == (build(),)


def test_pauses_grow_and_are_bounded() -> None:
    assert may_try_again([], NOW)
    assert not may_try_again([NOW - FIRST_PAUSE, NOW - FIRST_PAUSE], NOW)
    assert may_try_again([NOW - 2 * FIRST_PAUSE] * 2, NOW)
    assert not may_try_again([NOW - LONGEST_PAUSE + timedelta(seconds=1)] * 1000, NOW)
    assert may_try_again([NOW - LONGEST_PAUSE] * 1000, NOW)


_numbers = st.integers(1, 4)
_times = st.integers(0, 7200).map(lambda seconds: NOW - timedelta(seconds=seconds))


@st.composite
def _sessions(draw: st.DrawFn, name: str) -> SessionFact:
    state = draw(st.sampled_from([WANTED, STARTING, STANDBY, OPEN, FAILED]))
    at = draw(_times)
    return session(
        state,
        draw(_numbers),
        name,
        build_id=draw(_numbers),
        is_held=draw(st.booleans()) if state in {WANTED, STARTING} else False,
        created_at=at,
        ready_at=at if state in {STANDBY, OPEN} else None,
        activity_at=at if state is OPEN else None,
        ended_at=at if state is FAILED else None,
    )


@st.composite
def _situations(draw: st.DrawFn) -> PoolFacts:
    builds = [
        build(
            number,
            draw(st.sampled_from(BuildState)),
            preview_id=draw(st.none() | _numbers),
            image=f"image{draw(_numbers)}",
        )
        for number in range(1, 5)
    ]
    previews = [PreviewFact(number, 1, f"sha{draw(_numbers)}") for number in draw(st.sets(_numbers))]
    previews = [one._replace(opened=draw(_numbers), is_pull=draw(st.booleans())) for one in previews]
    sessions = [draw(_sessions(f"s{number}")) for number in range(draw(st.integers(0, 8)))]
    names = st.sampled_from([*(row.id for row in sessions), "unknown"])
    pods = st.dictionaries(names, st.sampled_from([ALIVE, Running(alive=False, exit_code=1)]))
    return facts(builds, sessions, previews, draw(st.none() | pods), draw(st.integers(1, 6)), draw(st.integers(0, 6)))


@given(_situations())
def test_each_session_is_told_one_thing(situation: PoolFacts) -> None:
    plan = decide_pool(situation, NOW)
    told = [*plan.start, *plan.again, *plan.remove]
    told += [ending.session_id for ending in (*plan.end, *plan.idle)]
    assert len(told) == len(set(told))
    assert not set(plan.succeed) & set(plan.fail)


@given(_situations())
def test_nobody_is_thrown_out_who_works(situation: PoolFacts) -> None:
    working = {
        row.id
        for row in situation.sessions
        if row.state is OPEN
        and row.activity_at
        and NOW - row.activity_at < IDLE_AFTER
        and (situation.pods is None or situation.pods.get(row.id) == ALIVE)
    }
    plan = decide_pool(situation, NOW)
    assert not working & {ending.session_id for ending in (*plan.end, *plan.idle)}
    assert not working & {*plan.remove, *plan.again}


@given(_situations())
def test_the_machine_is_not_filled_beyond_its_places(situation: PoolFacts) -> None:
    plan = decide_pool(situation, NOW)
    gone = {ending.session_id for ending in plan.end}
    running = [row for row in situation.sessions if row.state in {STARTING, STANDBY, OPEN} and row.id not in gone]
    assert not plan.start or len(running) + len(plan.start) <= situation.sessions_at_most
    spare = [one for one in plan.want if one.state is BuildState.SUCCEEDED]
    assert not spare or len(running) + len(plan.want) <= situation.sessions_at_most


@dataclass
class World:
    """A machine on which every session starts, at once."""

    facts: PoolFacts

    def carry_out(self, plan: PoolPlan) -> None:
        judged = dict.fromkeys(plan.succeed, BuildState.SUCCEEDED) | dict.fromkeys(plan.fail, BuildState.FAILED)
        rows = {row.id: row for row in self.facts.sessions}
        pods = dict(self.facts.pods or {})
        for ending in (*plan.end, *plan.idle):
            rows[ending.session_id] = rows[ending.session_id]._replace(state=ending.state, ended_at=NOW)
            pods.pop(ending.session_id, None)
        for name in (*plan.remove, *plan.again):
            pods.pop(name, None)
        for name in plan.again:
            rows[name] = rows[name]._replace(state=WANTED)
        for name in plan.start:
            rows[name] = rows[name]._replace(state=STANDBY, ready_at=NOW)
            pods[name] = ALIVE
        for number, one in enumerate(plan.want):
            row = SessionFact(f"new{len(rows)}-{number}", 1, one.id, one.image or "", WANTED, NOW)
            rows[row.id] = row
        builds = [one._replace(state=judged.get(one.id, one.state)) for one in self.facts.builds]
        self.facts = replace(self.facts, builds=builds, sessions=list(rows.values()), pods=pods)


@given(_situations())
def test_what_is_decided_comes_to_an_end(situation: PoolFacts) -> None:
    # Whoever holds a lease finishes: here, by letting go.
    sessions = [row._replace(is_held=False) for row in situation.sessions]
    world = World(replace(situation, sessions=sessions, pods=situation.pods or {}))
    for _ in range(20):
        plan = decide_pool(world.facts, NOW)
        if plan == PoolPlan():
            break
        world.carry_out(plan)
    assert decide_pool(world.facts, NOW) == PoolPlan()
    live = [row for row in world.facts.sessions if not is_final(row.state)]
    assert set(world.facts.pods or ()) == {row.id for row in live if row.state is not WANTED}
    if len(live) < world.facts.sessions_at_most:
        assert not [one for one in world.facts.builds if one.state is BuildState.CHECKING]
    kept = [one.kind for one in kept_builds(world.facts.previews, world.facts.builds)]
    free = {row.kind for row in live if row.state is STANDBY}
    failed = {row.kind for row in world.facts.sessions if row.state is FAILED}
    likeliest = [kind for kind in kept if kind not in failed - free][: world.facts.standbys_at_most]
    if len(live) < world.facts.sessions_at_most - 1:
        assert set(likeliest) <= free
