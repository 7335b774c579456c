"""Which images and files go."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build.garbage.choice import (
    FileKind,
    KeptFile,
    Needed,
    Policy,
    StoredImage,
    StoredLayer,
    bytes_of,
    files_to_remove,
    images_to_remove,
    span,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
AGED = Policy(age=10 * DAY, disk_bytes=None, grace=timedelta(hours=2))
NOTHING = Needed()
REPOSITORY = "localhost/binder"


def _name(kind: str, letter: str) -> str:
    return f"{REPOSITORY}:{kind}-{letter * 32}"


def _image(kind: str, letter: str, layers: str, days: float, *, size: int = 100) -> StoredImage:
    """Make an image: each letter of `layers` is a layer of `size` bytes on those before it."""
    names = () if kind == "untagged" else (f"{kind}.example.org/x:1",) if kind == "foreign" else (_name(kind, letter),)
    chain = tuple(StoredLayer(layers[: depth + 1], size) for depth in range(len(layers)))
    return StoredImage(f"{kind}-{letter}-{layers}", names, "sha256:0", chain, NOW - days * DAY)


def _gone(images: Sequence[StoredImage], needed: Needed = NOTHING, policy: Policy = AGED) -> list[str]:
    return [removal.image.id for removal in images_to_remove(images, needed, policy, NOW)]


BASE = _image("base", "a", "a", 100)
ENVIRONMENT = _image("environment", "b", "ab", 100)
OLD = _image("content", "c", "abc", 100)
NEW = _image("content", "d", "abd", 1)


def test_what_was_not_used_for_the_age_goes_and_what_lies_on_another_goes_first() -> None:
    assert _gone([BASE, ENVIRONMENT, OLD]) == [OLD.id, ENVIRONMENT.id, BASE.id]


def test_an_image_that_another_lies_on_stays_with_it() -> None:
    assert _gone([BASE, ENVIRONMENT, OLD, NEW]) == [OLD.id]


@pytest.mark.parametrize(
    ("kind", "days"), [("content", 10), ("containerfile", 10), ("environment", 30), ("module", 30)]
)
def test_environments_are_kept_longer_than_contents(kind: str, days: int) -> None:
    assert _gone([_image(kind, "a", "a", days)]) == []
    assert len(_gone([_image(kind, "a", "a", days + 0.1)])) == 1


@pytest.mark.parametrize("kind", ["foreign", "untagged"])
def test_images_of_others_and_those_without_a_name_go_for_their_age_too(kind: str) -> None:
    assert len(_gone([_image(kind, "a", "a", 11), _image(kind, "b", "b", 9)])) == 1


def test_what_is_needed_stays_in_whichever_repository_it_is() -> None:
    assert _gone([BASE, ENVIRONMENT, OLD], Needed(names=frozenset({_name("content", "c")}))) == []
    assert (
        _gone([BASE, ENVIRONMENT, OLD], Needed(names=frozenset({f"registry.example:5000/x:content-{'c' * 32}"}))) == []
    )
    assert _gone([BASE, ENVIRONMENT, OLD], Needed(names=frozenset({f"environment-{'b' * 32}"}))) == [OLD.id]
    assert _gone([BASE, ENVIRONMENT, OLD], Needed(ids=frozenset({ENVIRONMENT.id}))) == [OLD.id]


def test_what_was_used_lately_stays_whatever_the_policy() -> None:
    nothing_allowed = Policy(age=timedelta(0), disk_bytes=0, grace=timedelta(hours=2))
    assert _gone([_image("content", "a", "a", 0.05)], policy=nothing_allowed) == []
    assert len(_gone([_image("content", "a", "a", 0.1)], policy=nothing_allowed)) == 1


def test_nothing_goes_where_nothing_is_allowed() -> None:
    assert _gone([OLD], policy=Policy(age=None, disk_bytes=None, grace=DAY)) == []


def test_the_longest_unused_go_until_the_rest_fits() -> None:
    images = [_image("content", letter, letter, days) for letter, days in (("a", 3), ("b", 5), ("c", 1), ("d", 4))]
    removals = images_to_remove(images, Needed(), Policy(None, 200, timedelta(hours=2)), NOW)
    assert [removal.image.id for removal in removals] == [images[1].id, images[3].id]
    assert removals[0].reason == "The disk budget is used up, and it was not used for 5 days."


def test_what_is_needed_stays_even_beyond_the_budget() -> None:
    needed = Needed(names=frozenset(OLD.names))
    removals = images_to_remove([ENVIRONMENT, OLD, NEW], needed, Policy(None, 50, timedelta(hours=2)), NOW)
    assert [removal.image.id for removal in removals] == [NEW.id]
    assert bytes_of([ENVIRONMENT, OLD, NEW]) - sum(one.frees_bytes for one in removals) == 300


def test_a_layer_counts_once_and_is_freed_with_the_last_that_has_it() -> None:
    assert bytes_of([ENVIRONMENT, OLD, NEW]) == 400
    twin = _image("content", "e", "abc", 100)
    removals = images_to_remove([BASE, ENVIRONMENT, OLD, twin], Needed(), AGED, NOW)
    assert [(one.image.id, one.frees_bytes) for one in removals] == [
        (OLD.id, 0),
        (twin.id, 100),
        (ENVIRONMENT.id, 100),
        (BASE.id, 100),
    ]


CHAINS = st.text("abc", max_size=4)
IMAGES = st.lists(
    st.builds(
        _image,
        st.sampled_from(["base", "environment", "content", "foreign"]),
        st.sampled_from("0123"),
        CHAINS,
        st.floats(0, 60),
    ),
    max_size=12,
    unique_by=lambda image: image.id,
)


@given(IMAGES, st.data(), st.none() | st.integers(0, 40), st.none() | st.integers(0, 1000))
def test_no_image_goes_that_is_needed_used_lately_or_lain_on(
    images: list[StoredImage], data: st.DataObject, age: int | None, budget: int | None
) -> None:
    ids = data.draw(st.frozensets(st.sampled_from([image.id for image in images]))) if images else frozenset()
    policy = Policy(None if age is None else age * DAY, budget, timedelta(hours=2))
    removals = images_to_remove(images, Needed(ids=ids), policy, NOW)
    left = {image.id: image for image in images}
    for removal in removals:
        assert removal.image.id not in ids
        assert NOW - removal.image.used_at > policy.grace
        del left[removal.image.id]
        assert not any(_lies_on(other, removal.image) for other in left.values())
    assert bytes_of(images) - sum(removal.frees_bytes for removal in removals) == bytes_of(left.values())
    if budget is not None and bytes_of(left.values()) > budget:
        assert all(_must_stay(image, ids, left, policy) for image in left.values())


def _lies_on(upper: StoredImage, lower: StoredImage) -> bool:
    depth = len(lower.layers)
    return 0 < depth < len(upper.layers) and upper.layers[:depth] == lower.layers


def _must_stay(image: StoredImage, ids: frozenset[str], left: dict[str, StoredImage], policy: Policy) -> bool:
    on_it = [other for other in left.values() if _lies_on(other, image)]
    return image.id in ids or bool(on_it) or NOW - image.used_at <= policy.grace


def _file(kind: FileKind, days: float) -> KeptFile:
    return KeptFile(Path(f"{kind}-{days}"), kind, 1, NOW - days * DAY)


@pytest.mark.parametrize(("kind", "days"), [("git", 10), ("lock", 30), ("mark", 30), ("work", 1)])
def test_files_go_for_their_age(kind: FileKind, days: float) -> None:
    old = _file(kind, days + 0.1)
    assert files_to_remove([_file(kind, days), old], (), AGED, NOW) == (old,)


def test_a_lock_that_something_was_made_of_stays_for_ever() -> None:
    kept, gone = _file("lock", 1000), _file("lock", 1001)
    assert files_to_remove([kept, gone], {kept.path.name}, AGED, NOW) == (gone,)


def test_without_an_age_only_leftovers_of_builds_go() -> None:
    kinds: list[FileKind] = ["git", "lock", "mark", "work"]
    gone = files_to_remove([_file(kind, 1000) for kind in kinds], (), Policy(None, 0, DAY * 2), NOW)
    assert [file.kind for file in gone] == ["work"]
    assert files_to_remove([_file("work", 1.5)], (), Policy(None, 0, DAY * 2), NOW) == ()


@pytest.mark.parametrize(
    ("time", "words"), [(timedelta(hours=1), "1 hour"), (timedelta(hours=47), "47 hours"), (41 * DAY, "41 days")]
)
def test_a_time_is_said_to_a_person(time: timedelta, words: str) -> None:
    assert span(time) == words
