"""The life cycles: only the edges of their tables, and always a way out."""

import itertools
from typing import Any

import pytest

from binder.errors import IllegalTransitionError
from binder.lifecycle import (
    BuildState,
    DeliveryState,
    SessionState,
    is_final,
    mermaid,
    states_after,
    states_before_end,
    step,
)

KINDS: list[Any] = [DeliveryState, BuildState, SessionState]
every_kind = pytest.mark.parametrize("kind", KINDS)


def _reachable(state: Any) -> set[Any]:
    found = {state}
    while following := {after for one in found for after in states_after(one)} - found:
        found |= following
    return found


@every_kind
def test_a_row_moves_only_along_the_edges_of_its_table(kind: Any) -> None:
    for current, following in itertools.product(kind, kind):
        if following in states_after(current):
            assert step(current, following) is following
        else:
            with pytest.raises(IllegalTransitionError, match=f"{current} to {following}"):
                step(current, following)


@every_kind
def test_every_state_can_be_reached_and_none_leads_to_itself(kind: Any) -> None:
    assert _reachable(next(iter(kind))) == set(kind)
    assert not any(state in states_after(state) for state in kind)


@every_kind
def test_every_state_can_come_to_an_end(kind: Any) -> None:
    for state in kind:
        assert any(is_final(one) for one in _reachable(state))


@every_kind
def test_a_state_is_final_or_before_the_end(kind: Any) -> None:
    assert set(states_before_end(kind)) == {state for state in kind if states_after(state)}


@every_kind
def test_a_word_fits_its_column(kind: Any) -> None:
    assert max(map(len, kind)) <= 16


def test_the_way_of_a_build_that_succeeds() -> None:
    way = ["queued", "fetching", "building", "pushing", "checking", "succeeded"]
    for current, following in itertools.pairwise(way):
        step(BuildState(current), BuildState(following))


def test_a_build_whose_worker_died_goes_back_to_the_queue() -> None:
    for state in (BuildState.FETCHING, BuildState.BUILDING, BuildState.PUSHING):
        assert BuildState.QUEUED in states_after(state)


@every_kind
def test_the_diagram_has_every_edge_and_no_other(kind: Any) -> None:
    first, *lines = mermaid(kind).splitlines()
    assert first == "stateDiagram-v2"
    edges = {tuple(line.split(" --> ")) for line in map(str.strip, lines)}
    assert len(edges) == len(lines)
    inner = {(str(state), str(after)) for state in kind for after in states_after(state)}
    outer = {("[*]", str(next(iter(kind))))} | {(str(state), "[*]") for state in kind if is_final(state)}
    assert edges == inner | outer
