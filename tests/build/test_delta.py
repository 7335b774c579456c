"""Which environment a delta begins with."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from build.delta import DEEPEST, Delta, Made, changed_packages, nearest

MANY = {f"p{number}": "1" for number in range(20)}

pins = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("123"))


def made(key: str, pins: Mapping[str, str], *, depth: int = 0, family: str = "f") -> Made:
    return Made(key, family, pins, depth)


def start_of(delta: Delta | None) -> str | None:
    return delta.start.key if delta else None


@given(pins, pins)
def test_what_changed_is_all_that_must_be_exchanged(one: dict[str, str], other: dict[str, str]) -> None:
    changed = changed_packages(one, other)
    kept = {name: version for name, version in one.items() if name not in changed}
    assert kept | {name: other[name] for name in changed if name in other} == other
    assert changed == changed_packages(other, one)
    assert (changed == ()) is (one == other)


@given(st.lists(st.tuples(pins, st.integers(0, DEEPEST + 1), st.sampled_from("fg"))), pins)
def test_what_is_chosen_is_allowed_and_nothing_is_nearer(
    found: list[tuple[dict[str, str], int, str]], wanted: dict[str, str]
) -> None:
    there = [made(str(number), *one[:1], depth=one[1], family=one[2]) for number, one in enumerate(found)]
    delta = nearest(there, {"f"}, wanted)
    allowed = [one for one in there if one.family == "f" and one.depth < DEEPEST]
    fewest = min((len(changed_packages(one.pins, wanted)) for one in allowed), default=99)
    assert (delta is None) is (fewest > max(1, len(wanted) / 4))
    if delta:
        assert delta.start in allowed
        assert delta.changed == changed_packages(delta.start.pins, wanted)
        assert len(delta.changed) == fewest


def test_the_nearest_and_shallowest_is_chosen_whatever_their_order() -> None:
    there = [
        made("far", MANY | {"a": "1", "b": "1"}),
        made("deep", MANY | {"a": "1"}, depth=2),
        made("z", MANY | {"a": "1"}, depth=1),
        made("y", MANY | {"a": "1"}, depth=1),
    ]
    assert start_of(nearest(there, {"f"}, MANY)) == start_of(nearest(there[::-1], {"f"}, MANY)) == "y"


def test_where_much_changes_it_is_made_whole() -> None:
    added = {f"new{number}": "1" for number in range(20)}
    few = dict(list(added.items())[:5])
    assert start_of(nearest([made("a", MANY)], {"f"}, MANY | few)) == "a"
    assert nearest([made("a", MANY)], {"f"}, MANY | added) is None
    assert nearest([made("a", {"p0": "1", "p1": "1"})], {"f"}, {"p0": "1"}), "one package more or less is always few"


def test_deltas_do_not_lie_on_each_other_without_end() -> None:
    assert nearest([made("a", MANY, depth=DEEPEST - 1)], {"f"}, MANY)
    assert nearest([made("a", MANY, depth=DEEPEST)], {"f"}, MANY) is None


def test_another_family_is_not_built_on() -> None:
    assert nearest([made("a", MANY, family="of another Debian")], {"f"}, MANY) is None
    assert nearest([], {"f"}, MANY) is None
