"""A notebook's file: its cells, and on which line of the file each of their lines stands."""

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.errors import RepositoryFault
from deploy.notebooks.notebook import LARGEST_BYTES, Notebook, kernel_for, plain, read_notebook

PATH = "a/index.ipynb"


def whole(*cells: object, **more: object) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **more}


def code(source: object, **more: object) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source, **more}


def read(value: object, **how: Any) -> Notebook:
    return read_notebook(PATH, json.dumps(value, **how).encode())


_LINES = st.lists(st.text(st.characters(exclude_characters="\r", codec="utf-8"), max_size=12), min_size=1, max_size=6)


@given(st.lists(_LINES.filter(lambda lines: any("\n" not in line for line in lines)), min_size=1, max_size=4))
def test_each_line_of_a_source_is_found_in_the_file_as_jupyter_writes_it(cells: list[list[str]]) -> None:
    texts = [
        "\n".join(line.replace("\n", " ") + f"#{number}.{row}" for row, line in enumerate(lines))
        for number, lines in enumerate(cells)
    ]
    value = whole(*(code(_pieces(text)) for text in texts))
    file = json.dumps(value, indent=1, ensure_ascii=False)
    notebook = read_notebook(PATH, file.encode())
    rows = file.split("\n")
    for number, (cell, text) in enumerate(zip(notebook.cells, texts, strict=True)):
        assert cell.source == text
        for row in range(text.count("\n") + 1):
            assert f"#{number}.{row}" in rows[cell.line(row + 1) - 1]


def _pieces(text: str) -> list[str]:
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + [lines[-1]]


def test_a_source_that_is_one_text_stands_on_one_line() -> None:
    (cell,) = read(whole(code("a = 1\nb = 2")), indent=1).cells
    assert cell.lines == (8, 8)


def test_the_keys_of_other_things_lead_nobody_astray() -> None:
    odd = {"cells": [{"source": ["x"]}], "a": '"cells": [{"source": "{[\\"'}
    value = {"metadata": odd, **whole(code(["1\n", "2"], metadata={"source": ["no"], "cells": []}))}
    (cell,) = read(value, indent=1).cells
    assert [json.dumps(value, indent=1).split("\n")[line - 1].strip(" ,") for line in cell.lines] == ['"1\\n"', '"2"']


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["source", "cell_type", "outputs", "metadata", "tags"]), inner, max_size=4
            )
        ),
    )
)
def test_whatever_a_cell_is_it_is_read(cell: object) -> None:
    (found,) = read(whole(cell), indent=1).cells
    assert found.line() >= 1
    assert found.line(10**6) >= 1


@given(st.text(alphabet=string.printable, max_size=60) | st.binary(max_size=60).map(lambda data: data.decode("latin1")))
def test_what_is_no_notebook_is_refused(text: str) -> None:
    with pytest.raises(RepositoryFault, match="no notebook"):
        read_notebook(PATH, text.encode("latin1", errors="replace"))


def test_hostile_files_are_refused() -> None:
    with pytest.raises(RepositoryFault, match="16 MiB"):
        read_notebook(PATH, b"{" * (LARGEST_BYTES + 1))
    with pytest.raises(RepositoryFault, match="no notebook"):
        read_notebook(PATH, b"[" * 10**6)
    with pytest.raises(RepositoryFault, match="version 4"):
        read(whole(nbformat=3))
    with pytest.raises(RepositoryFault, match="cells"):
        read(whole(*[code("")] * 2001))
    with pytest.raises(RepositoryFault) as fault:
        read_notebook(PATH, b'{\n "cells": [,]\n}')
    assert (fault.value.file, fault.value.line) == (PATH, 2)


def test_a_notebook_is_run_with_its_kernel_or_one_of_its_language() -> None:
    specs = {
        "default": "python3",
        "kernelspecs": {"python3": {"spec": {"language": "python"}}, "ir": {"spec": {"language": "R"}}, "odd": 5},
    }

    def kernel(**metadata: object) -> str:
        return kernel_for(read(whole(metadata=metadata)), specs)

    assert kernel() == "python3"
    assert kernel(kernelspec={"name": "ir"}) == "ir"
    assert kernel(kernelspec={"name": "my-own", "language": "Python"}) == "python3"
    assert kernel(kernelspec={"name": "my-own"}, language_info={"name": "R"}) == "ir"
    with pytest.raises(RepositoryFault, match="`julia-1`, which is not in the image"):
        kernel(kernelspec={"name": "julia-1", "language": "julia"})
    with pytest.raises(RepositoryFault):
        kernel_for(read(whole(metadata={"kernelspec": {"name": "x"}})), {"kernelspecs": []})


@given(st.text(alphabet=st.sampled_from("\x1b[]0;31mPX^_\x07\\ab\r\n\t\x9b\u202e"), max_size=60))
def test_what_terminals_take_for_commands_is_not_shown(text: str) -> None:
    assert all(one.isprintable() or one in "\n\t" for one in plain(text))


def test_text_is_plain() -> None:
    assert plain("\x1b[0;31mZeroDivisionError\x1b[0m: no\x1b]8;;http://x\x07") == "ZeroDivisionError: no"
    assert plain("10%\r50%\r100%\ndone\r\n") == "100%\ndone\n"
