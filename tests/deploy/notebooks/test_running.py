"""What a kernel says of a notebook, as it is kept; and to which line of a cell a traceback leads."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.notebooks.notebook import Cell
from deploy.notebooks.running import Outputs, error_of, line_within


def said(kind: str, **content: Any) -> dict[str, Any]:
    return {"msg_type": kind, "content": content}


def outputs_of(*messages: dict[str, Any], left_bytes: int = 10_000) -> list[dict[str, Any]]:
    outputs = Outputs(left_bytes)
    for message in messages:
        outputs.take(1, message)
    return outputs.by_cell.get(1, [])


def text(name: str, text: str) -> dict[str, str]:
    return {"output_type": "stream", "name": name, "text": text}


def test_what_is_printed_in_pieces_is_one_output() -> None:
    out, err = said("stream", name="stdout", text="a"), said("stream", name="stderr", text="b")
    assert outputs_of(out, out, err, out) == [text("stdout", "aa"), text("stderr", "b"), text("stdout", "a")]


def test_what_is_shown_may_be_shown_anew() -> None:
    first = said("display_data", data={"text/plain": "0%"}, transient={"display_id": "x"})
    other = said("update_display_data", data={"text/plain": "?"}, transient={"display_id": "y"})
    update = said("update_display_data", data={"text/plain": "100%"}, transient={"display_id": "x"})
    (shown,) = outputs_of(first, other, update)
    assert shown["data"] == {"text/plain": "100%"}


def test_outputs_are_cleared_at_once_or_by_the_next_one() -> None:
    out, last = said("stream", name="stdout", text="a"), said("stream", name="stdout", text="b")
    assert outputs_of(out, said("clear_output", wait=False)) == []
    assert outputs_of(out, said("clear_output", wait=True)) == [text("stdout", "a")]
    assert outputs_of(out, said("clear_output", wait=True), last) == [text("stdout", "b")]


def test_a_notebook_that_says_too_much_is_cut_off() -> None:
    many = outputs_of(*[said("stream", name="stdout", text="x" * 100)] * 1000)
    assert len(json.dumps(many)) < 11_000
    assert "says too much" in many[-1]["text"]
    (cut,) = outputs_of(said("display_data", data={"text/html": "x" * 20_000}))
    assert "says too much" in cut["text"]


_KEYS = ["name", "text", "data", "metadata", "transient", "display_id", "traceback", "ename", "evalue", "wait"]
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
)
_KINDS = ["stream", "display_data", "execute_result", "error", "update_display_data", "clear_output", "execute_input"]


@given(st.lists(st.tuples(st.sampled_from(_KINDS), _ANYTHING), max_size=6))
def test_whatever_a_kernel_says_is_kept_as_outputs(messages: list[tuple[str, Any]]) -> None:
    kept = outputs_of(*({"msg_type": kind, "content": content} for kind, content in messages))
    for output in json.loads(json.dumps(kept)):
        match output["output_type"]:
            case "stream":
                assert output["name"] in {"stdout", "stderr"}
                assert isinstance(output["text"], str)
            case "error":
                assert isinstance(output["traceback"], list)
            case _:
                assert isinstance(output["data"], dict)


@pytest.mark.parametrize(
    ("traceback", "line"),
    [
        ("Cell In[3], line 2\n      1 x = 1\n----> 2 x / 0", 2),
        ("Cell In[3], line 4\n----> 4 divide()\n\nCell In[3], line 2, in divide()\n----> 2     return x / 0", 2),
        ("Cell In[3], line 9\n----> 9 f()\n\nCell In[1], line 2, in f()\n----> 2     x / 0", 9),
        ("Cell In[3], line 7\n----> 7 import y\n\nFile /usr/lib/y.py:55\n---> 55 no", 7),
        ("  Cell In[3], line 5\n    x = \n        ^\nSyntaxError: invalid syntax", 5),
        ("Input In [3], in <cell line: 6>()\n----> 6 x / 0", 6),
        ("<ipython-input-3-0123456789ab> in <module>\n      1 x = 1\n----> 2 x / 0", 2),
        ("Error in eval(expr, envir, enclos): object 'x' not found", 1),
        ("Cell In[30], line 2", 1),
        ("", 1),
    ],
)
def test_a_traceback_leads_to_a_line_of_its_cell(traceback: str, line: int) -> None:
    assert line_within(traceback, 3) == line


@given(st.text(max_size=200), st.none() | st.integers(0, 9))
def test_any_traceback_leads_to_some_line(traceback: str, count: int | None) -> None:
    assert line_within(traceback, count) >= 0


def test_a_hostile_traceback_takes_no_time_and_no_room() -> None:
    hostile = "In [3]\n" * 200_000
    cell = Cell(2, "code", "a\nb", lines=(10, 11))
    fault = error_of(cell, {"ename": "E" * 10**6, "evalue": "\x1b[31m" * 10**5, "traceback": [hostile] * 3}, 3)
    assert fault.line == 10
    assert len(fault.message) < 400
    assert len(fault.traceback) <= 3001
    assert "\x1b" not in fault.message
