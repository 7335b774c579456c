"""Whatever happens in whatever order, and whatever goes wrong on the way: in the end GitHub shows what is true.

Each example is a story: people push, open and close pull requests and allow what comes from a fork, deliveries are
lost, doubled and swapped, GitHub's answers fail before and after their effect, builds go on, and the service dies in
the middle. Then the faults end, what was lost is found again, and all loops run until nothing is left to do.

What may happen is `model_people` and `model_service`; what must be so is `model_checks`.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from githubapp import redelivery
from githubapp.sandbox import deliveries
from githubapp.sandbox.server import running_sandbox
from tests.githubapp.gate import Gate
from tests.githubapp.github_description import Recorder
from tests.githubapp.model_checks import check_end, check_hidden, check_trust, check_underway
from tests.githubapp.model_people import People
from tests.githubapp.model_service import Service
from tests.githubapp.workshop import Workshop, running_workshop

Move: TypeAlias = str | dict[str, Any]

_API = "/api/v3/"
_SHOWN = "/(statuses|comments|check-runs|deployments)"

_LOST = ("lost", "failed")
_FAULTS: tuple[dict[str, Any], ...] = (
    *({"kind": kind} for kind in (*_LOST, *_LOST, "twice", "swapped", "without_installation")),
    {"kind": "late", "seconds": 0.05},
    {"kind": "status", "status": 500, "path": _API},
    {"kind": "fail_after_effect", "method": "POST", "path": _SHOWN},
    {"kind": "rate_limited", "status": 403, "seconds": 60, "path": _API},
    {"kind": "secondary_rate_limited", "status": 403, "retry_after_seconds": 1, "path": _API},
    {"kind": "secondary_rate_limited", "status": 429, "path": _API},
)
# Not even GitHub's list of deliveries tells of it: only comparing finds it.
_VANISHED: dict[str, Any] = {"kind": "vanished"}

_SERVICE = ("act_once", "act", "report_once", "report", "build_on", "crash_acting", "crash_reporting", "recover")
# What belongs together, so that it happens often enough; in between, anything may happen.
_SCENES: tuple[tuple[str, ...], ...] = (
    # A fork's commit that waits is left behind, by another one or because the pull request is closed.
    ("push_theirs", "act", "report", "allow_own", "act", "push_theirs", "act"),
    ("push_theirs", "allow_own", "act", "report", "close_pulls", "act", "report", "reopen_pulls"),
    ("push_theirs", "act", "report", "push_theirs", "allow_older", "act", "crash_reporting", "back_theirs", "act"),
    # It is allowed: rightly, too late, wrongly, by somebody who may not.
    ("push_theirs", "act", "report", "press_approve", "act", "build_on", "push_theirs", "allow_older", "act"),
    ("push_theirs", "allow_head", "push_theirs", "act", "back_theirs"),
    ("push_theirs", "allow_head", "act", "build_whole", "push_theirs", "allow_older", "act"),
    ("push_theirs", "allow_nothing", "act", "report", "allow_own", "act"),
    ("push_theirs", "act", "allow_own", "act", "adopt_theirs", "act"),
    # A commit is left behind while it is built, or afterwards.
    ("push_work", "act", "build_on", "build_on", "report_once", "push_work", "act"),
    ("push_work", "propose_work", "act", "build_on", "force_work", "act", "back_work", "act", "serve", "delete_work"),
    ("push_work", "propose_work", "act", "serve", "close_pulls", "delete_work", "act", "report"),
    ("push_work", "propose_work", "act", "report", "ask_cancel", "act", "report", "ask_build", "act"),
    ("push_work", "propose_work", "act", "build_badly", "build_badly", "report", "press_rerun", "act"),
    ("push_main", "act", "build_whole", "push_main", "follow_link", "act"),
    # The App loses sight of it all, and may see it again.
    ("push_work", "act", "hide", "act", "show_all"),
    ("push_theirs", "act", "report", "suspend", "push_work", "act", "show_all", "act"),
    ("propose_work", "act", "serve", "uninstall", "act", "push_main", "show_all", "act"),
)
_SCENES_OF_A_STORY = 4
_BEGINNING = ("act", "recover", "push_main")
_LAST = (None, None, None, "hide", "suspend", "uninstall")


@st.composite
def _stories(draw: st.DrawFn) -> tuple[bool, Sequence[Move], str | None]:
    """Return whether losses are found by comparing, what happens, and what the repository's owner does at last."""
    compares = draw(st.booleans())
    faults = (*_FAULTS, _VANISHED) if compares else _FAULTS
    between = st.one_of(st.none(), st.none(), st.sampled_from(_SERVICE), st.sampled_from(faults))
    moves: list[Move] = []
    for _ in range(_SCENES_OF_A_STORY):
        for move in draw(st.sampled_from(_SCENES)):
            moves += [one for one in (draw(between), move) if one is not None]
    return compares, moves, draw(st.sampled_from(_LAST))


async def _tell(compares: bool, moves: Sequence[Move], last: str | None, home: Path) -> None:
    (home / "sandbox").mkdir()
    recorder, gate = Recorder(), Gate()
    async with (
        running_sandbox(home / "sandbox", wrap=lambda app: gate.wrap(recorder.wrap(app))) as sandbox,
        running_workshop(sandbox, gate, home) as workshop,
    ):
        people, service = People(workshop), Service(workshop, compares)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(redelivery, "utc_now", service.now)
                # How long a delivery waits for another one to overtake it.
                patch.setattr(deliveries, "_LONGEST_HOLD_SECONDS", 0.1)
                await _happen(workshop, people, service, [*_BEGINNING, *moves])
                await _end(workshop, people, service, last)
        finally:
            await service.store.close()
    recorder.validate()


async def _happen(workshop: Workshop, people: People, service: Service, moves: Sequence[Move]) -> None:
    for move in moves:
        if isinstance(move, dict):
            await workshop.sandbox.add_fault(**move)
        elif hasattr(service, move):
            await getattr(service, move)()
        else:
            await people.do(move)
        await check_trust(workshop, people)


async def _end(workshop: Workshop, people: People, service: Service, last: str | None) -> None:
    if last:
        await people.do(last)
    if people.hidden:
        await service.settle()
        await check_hidden(workshop, people)
        await people.do("show_all")
    await service.settle()
    await check_underway(workshop, people)
    await service.finish_builds()
    await service.settle()
    await check_trust(workshop, people)
    await check_end(workshop, people, compares=service.compares)


# A story takes seconds: one that fails is told as it is, and not tried again in shorter forms.
@settings(
    max_examples=7, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck), deadline=None
)
@given(_stories())
def test_in_the_end_github_shows_what_is_true(story: tuple[bool, Sequence[Move], str | None]) -> None:
    with tempfile.TemporaryDirectory(prefix="binder-model-") as home:
        asyncio.run(_tell(*story, Path(home)))
