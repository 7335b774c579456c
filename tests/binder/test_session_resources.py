"""What binder.yml may ask for its sessions, what it is told, and what it is given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.errors import RepositoryFault
from binder.plain_yaml import read_yaml
from binder.session_resources import KEY, AskedResources, Resources, check_resources, read_resources

_USUAL = Resources(2 * 2**30, 1.0, 0)
_MOST = Resources(8 * 2**30, 4.0, 1)


def read(text: str) -> AskedResources:
    root = read_yaml("binder.yml", text)
    assert isinstance(root, dict)
    ((key, value),) = root.items()
    assert key == KEY
    return read_resources("binder.yml", key, value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resources: {}", Resources()),
        ("resources: {gpu: 1}", Resources(gpus=1)),
        ("resources: {gpu: 0}", Resources(gpus=0)),
        ("resources:\n  memory: 4 GiB\n  cpus: 2\n  gpu: 1", Resources(4 * 2**30, 2.0, 1)),
        ("resources: {memory: 1.5G, cpus: 0.5}", Resources(3 * 2**29, 0.5)),
        ("resources: {memory: 512MiB}", Resources(2**29)),
        ("resources: {memory: 512 Mi}", Resources(2**29)),
    ],
)
def test_what_may_be_said(text: str, expected: Resources) -> None:
    assert read(text).resources == expected


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("resources: 4 GiB", 1, "must be a table. It may say `memory`, `cpus` and `gpu`."),
        ("resources: []", 1, "must be a table"),
        ("resources:\n  gpus: 1", 2, "does not know `gpus`. It may say"),
        ("resources:\n  cpus: 1\n  memory: 4", 3, "must be an amount such as `4 GiB`"),
        ("resources:\n  memory: 1 MiB", 2, "and 256 MiB at least"),
        ("resources:\n  memory: [1 GiB]", 2, "must be an amount"),
        ("resources:\n  cpus: 0", 2, "must be a number of processors"),
        ("resources:\n  cpus: -1", 2, "must be a number of processors"),
        ("resources:\n  cpus: nan", 2, "must be a number of processors"),
        ("resources:\n  gpu: 0.5", 2, "must be a whole number of GPUs"),
        ("resources:\n  gpu:", 2, "must be a whole number of GPUs"),
    ],
)
def test_what_may_not_names_the_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(RepositoryFault) as caught:
        read(text)
    assert problem in caught.value.message
    assert (caught.value.file, caught.value.line) == ("binder.yml", line)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (
            "resources:\n  memory: 16 GiB",
            2,
            "`memory` in binder.yml asks for 16 GiB, and a session may have 8 GiB here.",
        ),
        ("resources:\n  gpu: 2", 2, "`gpu` in binder.yml asks for 2 GPUs, and a session may have 1 GPU here."),
        ("resources:\n  memory: 1 GiB\n  cpus: 5", 3, "asks for 5 processors, and a session may have 4 processors"),
    ],
)
def test_what_is_beyond_the_operators_bounds_is_refused_by_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(RepositoryFault) as caught:
        check_resources(read(text), _MOST)
    assert problem in caught.value.message
    assert (caught.value.file, caught.value.line) == ("binder.yml", line)


def test_where_there_are_no_gpus_none_is_given() -> None:
    check_resources(read("resources: {memory: 8 GiB, cpus: 4, gpu: 1}"), _MOST)
    with pytest.raises(RepositoryFault, match="asks for 1 GPU, and there are none here"):
        check_resources(read("resources: {gpu: 1}"), Resources(2**30, 1.0, 0))


@given(
    st.builds(
        Resources,
        st.none() | st.integers(1, 2**40),
        st.none() | st.floats(0.01, 100),
        st.none() | st.integers(0, 9),
    )
)
def test_a_session_is_given_what_is_asked_for_within_the_bounds(asked: Resources) -> None:
    given_ = asked.within(_USUAL, _MOST)
    for name in ("memory_bytes", "cpus", "gpus"):
        wanted, bound = getattr(asked, name), getattr(_MOST, name)
        assert getattr(given_, name) == (getattr(_USUAL, name) if wanted is None else min(wanted, bound))
    assert Resources(**asked.as_json()) == asked
