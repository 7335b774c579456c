"""The words for what a build did."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.build_words import (
    size_of_layers,
    words_of_layers,
    words_of_saving,
    words_of_size,
    words_of_time,
    words_of_way,
)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (4200, "4.2 kB"),
        (9_960, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (312_000_000, "312 MB"),
        (1_500_000_000, "1.5 GB"),
        (5_000_000_000_000, "5000 GB"),
    ],
)
def test_sizes(size: int, words: str) -> None:
    assert words_of_size(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.21, "0.2 s"),
        (9.96, "10 s"),
        (119.4, "119 s"),
        (120, "2 min 0 s"),
        (192, "3 min 12 s"),
        (7199, "119 min 59 s"),
        (7260, "2 h 1 min"),
        (273_600, "3 days 4 h"),
    ],
)
def test_times(seconds: float, words: str) -> None:
    assert words_of_time(seconds) == words


@given(st.floats(0, 1e12), st.floats(0, 1e6))
def test_words_are_short(size: float, seconds: float) -> None:
    assert len(words_of_size(size)) <= 7
    assert len(words_of_time(seconds)) <= 14


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ({"bytes": 312_000_000, "seconds": 41.2}, "312 MB and 41 s"),
        ({"bytes": 312_000_000, "seconds": None}, "312 MB"),
        ({"bytes": 0, "seconds": 41.2}, "41 s"),
        ({"bytes": -5, "seconds": 0.01}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_what_was_saved(saved: dict[str, Any] | None, words: str) -> None:
    assert words_of_saving(saved) == words


def test_ways_and_layers() -> None:
    assert words_of_way("content") == "only files changed"
    assert (words_of_way("other"), words_of_way(None)) == ("other", "")
    assert words_of_layers([{"reused": True}, {"reused": False}, {}]) == "1 of 3 layers re-used"
    assert words_of_layers(None) == words_of_layers([]) == ""


def test_an_image_is_as_large_as_its_layers_if_all_are_known() -> None:
    assert size_of_layers([{"bytes": 2}, {"bytes": 3}]) == 5
    assert size_of_layers([{"bytes": 2}, {"bytes": None}]) is None
    assert size_of_layers([{}]) is size_of_layers([]) is size_of_layers(None) is None
