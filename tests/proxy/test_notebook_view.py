"""Notebooks as they ran, made ready for a page; and what changed between two of them."""

import base64
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.notebook_view import CellView, OutputView, cells_of, changed_cells

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and more").decode()


def executed(*cells: dict[str, Any]) -> bytes:
    return zlib.compress(json.dumps({"cells": list(cells)}).encode())


def code(source: str, *outputs: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": list(outputs), "execution_count": 1}


def shown(**data: object) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {key.replace("_", "/"): value for key, value in data.items()}}


def outputs_of(*outputs: dict[str, Any]) -> tuple[OutputView, ...]:
    (cell,) = cells_of(executed(code("1", *outputs)))
    return cell.outputs


@pytest.mark.parametrize(
    ("output", "view"),
    [
        (
            {"output_type": "stream", "name": "stdout", "text": "\x1b[31mred\x1b[0m\r50%\r100%"},
            OutputView("text", "100%"),
        ),
        ({"output_type": "stream", "name": "stderr", "text": "careful"}, OutputView("error", "careful")),
        ({"output_type": "error", "traceback": ["\x1b[1mno"], "ename": "E"}, OutputView("error", "no")),
        ({"output_type": "error", "ename": "E", "evalue": "v"}, OutputView("error", "E: v")),
        (shown(image_png=PNG, text_html="<b>"), OutputView("image", f"data:image/png;base64,{PNG}")),
        (shown(image_png=[PNG[:4], "\n", PNG[4:]]), OutputView("image", f"data:image/png;base64,{PNG}")),
        (shown(image_png='" onerror="x'), OutputView("note", "A picture that is none.")),
        (shown(image_png=base64.b64encode(b"<svg onload=x>").decode()), OutputView("note", "A picture that is none.")),
        (shown(text_html="<script>x</script>", text_plain="x"), OutputView("html", "<script>x</script>")),
        ({"output_type": "display_data", "data": {"image/svg+xml": "<svg/>"}}, OutputView("html", "<svg/>")),
        (shown(text_plain=["a", "b"]), OutputView("text", "ab")),
        ({"output_type": "display_data", "data": {"application/json": {"a": 1}}}, OutputView("text", '{\n "a": 1\n}')),
        (shown(application_javascript="alert(1)"), OutputView("note", "An output of a kind that is not shown here.")),
        ({}, OutputView("note", "An output of a kind that is not shown here.")),
    ],
)
def test_an_output_is_shown_as_what_it_is(output: dict[str, Any], view: OutputView) -> None:
    assert outputs_of(output) == (view,)


def test_markdown_knows_no_html_and_no_address_that_runs() -> None:
    text = "# Title\n\n<script>x</script> [a](javascript:x) [b](https://example.org) ![c](data:text/html,x)"
    (cell,) = cells_of(executed({"cell_type": "markdown", "source": text}))
    assert "<h1>Title</h1>" in cell.prose
    assert "&lt;script&gt;" in cell.prose
    assert 'href="https://example.org"' in cell.prose
    assert 'href="javascript' not in cell.prose
    assert 'src="data:text/html' not in cell.prose


def test_a_page_is_bounded() -> None:
    (cell,) = cells_of(executed(code("1", *[shown(text_html="x" * 2**20)] * 20)))
    assert [one.kind for one in cell.outputs] == ["html"] * 12 + ["note"] * 8
    (cell,) = cells_of(executed(code("x" * 10**6, shown(text_plain="y" * 10**6))))
    assert len(cell.source) + len(cell.outputs[0].value) < 210_000
    assert len(cells_of(executed(*[code("1")] * 2000))) == 501


def _cells(*sources: str, say: str = "") -> list[CellView]:
    output = {"output_type": "stream", "name": "stdout", "text": say}
    return cells_of(executed(*(code(source, output) for source in sources)))


def test_what_changed_stands_where_it_was() -> None:
    found = changed_cells(_cells("a", "b", "c", "e"), _cells("a", "b2", "c", "d", "e"))
    assert [(cell.source, cell.change) for cell in found] == [
        ("a", "same"),
        ("b2", "changed"),
        ("c", "same"),
        ("d", "added"),
        ("e", "same"),
    ]
    assert (found[1].lines, found[1].said) == (("-b", "+b2"), ())
    (gone,) = changed_cells(_cells("a"), [])
    assert (gone.change, gone.outputs) == ("removed", ())


def test_outputs_that_changed_are_told() -> None:
    (found,) = changed_cells(_cells("a", say="x\n1\n"), _cells("a", say="x\n2\n"))
    assert (found.change, found.lines, found.said) == ("changed", (), (" x", "-1", "+2"))
    # What changed in it stands in the place of what it says.
    assert found.outputs == ()
    old, new = ([*cells_of(executed(code("a", shown(image_png=image))))] for image in (PNG, PNG[:-4] + "AAAA"))
    assert [cell.change for cell in changed_cells(old, new)] == ["changed"]
    assert [cell.change for cell in changed_cells(old, old)] == ["same"]


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_all_cells_of_the_head_are_shown_in_order(old: list[str], new: list[str]) -> None:
    found = changed_cells(_cells(*old), _cells(*new))
    assert [cell.source for cell in found if cell.change != "removed"] == new
    assert {cell.change for cell in changed_cells(_cells(*old), _cells(*old))} <= {"same"}
