"""How a build was done, and what it says of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build.plan import Layer, LayerKind
from build.ways import BuiltLayer, Way, saved_by, way_of, why_of

KINDS: tuple[LayerKind, ...] = ("base", "system", "environment", "prepared", "content")


def built(*reused: LayerKind, of: tuple[LayerKind, ...] = KINDS) -> list[BuiltLayer]:
    return [BuiltLayer(Layer(kind, kind), kind in reused) for kind in of]


@pytest.mark.parametrize(
    ("reused", "is_delta", "way"),
    [
        (KINDS, False, "nothing"),
        (("content",), False, "nothing"),
        (("base", "system", "environment", "prepared"), False, "content"),
        (("base", "system", "environment"), False, "content"),
        (("base", "system"), False, "full"),
        (("base", "system"), True, "delta"),
        (("base",), False, "full"),
        ((), False, "full"),
    ],
)
def test_the_way_is_told_by_what_was_there(reused: tuple[LayerKind, ...], is_delta: bool, way: Way) -> None:
    assert way_of(built(*reused), is_delta=is_delta) == way


@pytest.mark.parametrize(
    ("way", "reused", "of", "words"),
    [
        ("nothing", KINDS, KINDS, "was there already"),
        ("content", ("base", "environment"), ("base", "environment", "content"), "only the repository's files"),
        ("content", ("base", "environment"), ("base", "environment", "prepared", "content"), "What postBuild reads"),
        ("full", ("base", "system"), KINDS, "No environment of these packages was there"),
        ("full", ("base",), KINDS, "these packages and Debian's packages was there"),
    ],
)
def test_the_reason_is_one_sentence(
    way: Way, reused: tuple[LayerKind, ...], of: tuple[LayerKind, ...], words: str
) -> None:
    why = why_of(way, built(*reused, of=of))
    assert words in why
    assert why.endswith(".")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (["six"], "differs only in six: those"),
        (["a", "b", "c"], "differs only in a, b, c: those"),
        (["a", "b", "c", "d", "e"], "differs only in a, b, c and 2 more: those"),
    ],
)
def test_the_packages_that_were_exchanged_are_named(changed: list[str], words: str) -> None:
    assert words in why_of("delta", built("base"), changed)


costs = st.tuples(st.booleans(), st.none() | st.integers(0, 2**40), st.none() | st.floats(0, 1e5))


@given(st.lists(costs, min_size=1))
def test_what_was_reused_was_saved_as_far_as_it_is_known(found: list[tuple[bool, int | None, float | None]]) -> None:
    saved = saved_by([BuiltLayer(Layer("base", "k"), *one) for one in found])
    assert saved["bytes"] == sum(size or 0 for reused, size, _ in found if reused)
    assert saved["seconds"] == pytest.approx(sum(seconds or 0 for reused, _, seconds in found if reused), abs=0.06)
