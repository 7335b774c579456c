"""What rows that come to their end say of how long things took."""

from datetime import UTC, datetime, timedelta

from binder.figures import PHASES, Figures
from binder.lifecycle import BuildState, DeliveryState, SessionState
from binder.stages import Stages
from binder.store import Store
from binder.store.tables import Build, Delivery, NotebookRun, Session
from tests.binder.rows import add_repository

_T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _at(seconds: float) -> datetime:
    return _T0 + timedelta(seconds=seconds)


def _told(figures: Figures, name: str, **labels: str) -> tuple[float, float]:
    """Return how often a histogram was added to, and the sum."""
    value = figures.registry.get_sample_value
    return value(f"{name}_count", labels) or 0, value(f"{name}_sum", labels) or 0


async def _build(store: Store, state: BuildState, *, result: dict[str, object] | None = None) -> int:
    repository = await add_repository(store, f"r{state}{len(result or {})}")
    build = Build(
        repository_id=repository.id, sha="a" * 40, state=state, queued_at=_T0, started_at=_at(3), result=result
    )
    if state in {BuildState.SUCCEEDED, BuildState.FAILED}:
        build.finished_at = _at(50)
    async with store.write() as session:
        session.add(build)
    return build.id


async def test_builds_that_end_are_measured_once(store: Store) -> None:
    figures = Figures()
    stages = Stages(store, figures)
    await _build(store, BuildState.SUCCEEDED)  # of a time before
    number = await _build(store, BuildState.CHECKING, result={"seconds": {"fetch": 1.5, "environment": 20, "new": 2}})
    await stages.look(_at(0))
    async with store.write() as session:
        session.add(Session(id="s", repository_id=2, build_id=number, image="i", token="t", created_at=_at(40)))
        (await session.get_one(Build, number)).state = BuildState.SUCCEEDED
        (await session.get_one(Build, number)).finished_at = _at(50)
    await _build(store, BuildState.FAILED)  # began and ended between two looks
    for _ in range(2):
        await stages.look(_at(1))
        assert _told(figures, "binder_commit_duration_seconds", outcome="succeeded") == (1, 50)
        assert _told(figures, "binder_commit_duration_seconds", outcome="failed") == (1, 50)
        assert _told(figures, "binder_build_wait_duration_seconds") == (2, 6)
        assert _told(figures, "binder_build_check_duration_seconds") == (1, 10)
        phases = {phase: _told(figures, "binder_build_phase_duration_seconds", phase=phase) for phase in PHASES}
        assert {phase: told for phase, told in phases.items() if told[0]} == {
            "fetch": (1, 1.5),
            "environment": (1, 20),
            "other": (1, 2),
        }


async def test_deliveries_that_are_acted_on_are_measured(store: Store) -> None:
    figures = Figures()
    stages = Stages(store, figures)
    waiting = Delivery(host="h", app_id=1, guid="1", event="push", payload={}, received_at=_T0)
    async with store.write() as session:
        session.add(waiting)
    await stages.look(_T0)
    quick = Delivery(
        host="h",
        app_id=1,
        guid="2",
        event="push",
        payload={},
        received_at=_T0,
        acted_at=_at(2),
        state=DeliveryState.STALE,
    )
    async with store.write() as session:
        session.add(quick)
        row = await session.get_one(Delivery, waiting.id)
        row.state, row.acted_at = DeliveryState.FAILED, _at(7)
    for _ in range(2):
        await stages.look(_T0)
        assert _told(figures, "binder_delivery_act_duration_seconds", state="stale") == (1, 2)
        assert _told(figures, "binder_delivery_act_duration_seconds", state="failed") == (1, 7)


async def test_sessions_are_measured_as_they_go(store: Store) -> None:
    figures = Figures()
    stages = Stages(store, figures)
    build = await _build(store, BuildState.SUCCEEDED)
    rows = {
        "standby": Session(state=SessionState.STANDBY, ready_at=_at(4)),
        "opened": Session(state=SessionState.OPEN, ready_at=_at(5), opened_at=_at(65)),
        "ended": Session(state=SessionState.ENDED, ready_at=_at(6), opened_at=_at(66), ended_at=_at(100)),
        "failed": Session(state=SessionState.FAILED, ended_at=_at(9)),
        "before": Session(state=SessionState.OPEN, ready_at=_at(-50), opened_at=_at(-40)),
    }
    await stages.look(_T0)
    async with store.write() as session:
        for name, row in rows.items():
            row.id, row.repository_id, row.build_id, row.image, row.token = name, 1, build, "i", "t"
            row.created_at = _T0
            session.add(row)
    for _ in range(2):
        await stages.look(_at(200))
        start = "binder_session_start_duration_seconds"
        assert _told(figures, start, outcome="ready") == (3, 15)
        assert _told(figures, start, outcome="failed") == (1, 9)
        assert _told(figures, "binder_session_standby_duration_seconds") == (2, 120)
        assert _told(figures, "binder_session_open_duration_seconds") == (1, 34)


async def test_notebooks_that_ran_are_measured_and_those_of_before_are_not(store: Store) -> None:
    figures = Figures()
    stages = Stages(store, figures)
    build = await _build(store, BuildState.CHECKING)
    await stages.look(_T0)
    ends = {"passed": (8.0, False), "failed": (2.0, False), "stopped": (None, False), "reused": (9.0, True)}
    async with store.write() as session:
        for path, (seconds, reused) in ends.items():
            outcome = "passed" if reused else path
            run = NotebookRun(build_id=build, path=path, settings={}, outcome=outcome, seconds=seconds, reused=reused)
            run.finished_at = _at(10)
            session.add(run)
    for _ in range(2):
        await stages.look(_at(20))
        told = {end: _told(figures, "binder_notebook_run_duration_seconds", outcome=end) for end in ends}
        assert told == {"passed": (1, 8), "failed": (1, 2), "stopped": (0, 0), "reused": (0, 0)}
