"""Whether the outputs of a cell are the committed ones."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.notebooks.comparing import difference, is_alike


def printed(text: object, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def result(**data: object) -> dict[str, Any]:
    return {"output_type": "execute_result", "data": {key.replace("_", "/"): value for key, value in data.items()}}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([], []),
        ([printed("a\nb\n")], [printed(["a\n"]), printed("b\n")]),
        ([printed("a\n")], [printed("a  \n"), printed("a warning", "stderr")]),
        ([printed("  0%\r100%\n")], [printed("  0%\r 50%\r100%\n")]),
        ([result(text_plain="<f at 0x7f01>")], [result(text_plain="<f at 0x7f99>")]),
        ([result(text_plain="x", image_png="AAAA")], [result(text_plain=["x"], image_png="BBBB")]),
        ([result(text_plain="  a\n0 1.50")], [result(text_plain="     a\n0 1.5")]),
        ([{"output_type": "odd"}, {}], []),
    ],
)
def test_what_a_person_would_call_the_same(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
    assert difference(old, new, 0) is None
    assert difference(new, old, 0) is None


@pytest.mark.parametrize(
    ("old", "new", "tolerance", "said"),
    [
        ([printed("a\nb\n")], [printed("a\nc\n")], 0, "`b` became `c`."),
        ([], [printed("6\n")], 1, "nothing became `6`."),
        ([printed("6\n")], [], 0, "`6` became nothing."),
        ([result(text_plain="0.300")], [result(text_plain="0.301")], 1e-3, "`0.300` became `0.301`."),
        ([printed("x")], [{"output_type": "error", "ename": "E", "evalue": "v"}], 0, "`x` became `E: v`."),
        ([printed("y" * 500)], [printed("z")], 0, f"`{'y' * 79}…` became `z`."),
    ],
)
def test_what_differs_is_said(old: Any, new: Any, tolerance: float, said: str) -> None:
    assert difference(old, new, tolerance) == f"The output is not the committed one: {said}"


_NUMBERS = st.floats(-1e12, 1e12)


@given(_NUMBERS, st.floats(1e-12, 0.5), st.floats(-1, 1))
def test_numbers_may_differ_by_the_tolerance(value: float, tolerance: float, share: float) -> None:
    near = value + 0.9 * share * tolerance * abs(value)
    assert is_alike(f"x = {value!r}, y", f"x = {near!r}, y", tolerance)
    assert is_alike(f"x = {near!r}, y", f"x = {value!r}, y", tolerance)
    far = value + (1 + abs(value)) * (2 * tolerance + 0.01)
    assert not is_alike(f"{value!r}", f"{far!r}", tolerance) or abs(far - value) <= tolerance * max(abs(far), 1)


@given(st.text(), st.text(), st.floats(0, 1))
def test_alike_is_so_both_ways(old: str, new: str, tolerance: float) -> None:
    assert is_alike(old, old, tolerance)
    assert is_alike(old, new, tolerance) == is_alike(new, old, tolerance)


@given(st.text(alphabet="abc 123.-e+", max_size=40))
def test_words_are_never_within_a_tolerance(text: str) -> None:
    assert not is_alike(text, f"{text} word", 1)
