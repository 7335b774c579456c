"""Has a kernel of a session run a notebook from top to bottom, and keeps what it says, within bounds.

The server is the repository's, as its notebooks are: nothing that it says is taken for more than an output. What is
executed is what is committed, whatever the image's own copy holds. Nobody answers a cell that asks for input.
"""

import asyncio
import json
import re
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from binder.errors import RepositoryFault
from binder.notebook_checks import CheckSettings
from deploy.jupyter import Client, ask_kernel, channels_of, new_kernel
from deploy.notebooks.comparing import difference
from deploy.notebooks.notebook import Cell, Notebook, kernel_for, plain, text_of

MAY_FAIL = "raises-exception"
SKIPPED = "skip-execution"
NOT_COMPARED = "nbval-ignore-output"
"""Tags of cells, as nbclient and nbval know them."""

_MOST_OUTPUT_BYTES = 8 * 2**20
_OF_A_MESSAGE = 64
"""What a message counts for beside what it says: there may be many that say nothing."""
_LONGEST_TRACEBACK = 3000
_READ_OF_A_TRACEBACK = 20_000
_READ_FOR_A_LINE = 8000
_LONGEST_SENTENCE = 300
_TOO_MUCH = "\nBinder: this notebook says too much. What came after this is not kept.\n"


@dataclass(frozen=True)
class CellFault:
    """Why a notebook did not run, where (a line of its file), and the end of the traceback, plain."""

    message: str
    line: int | None = None
    traceback: str = ""


class CellFailed(Exception):
    """A cell did not do as it should."""

    def __init__(self, fault: CellFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass
class Outputs:
    """The outputs of a notebook's cells as they come in, in nbformat's shape, and bounded all together."""

    left_bytes: int = _MOST_OUTPUT_BYTES
    by_cell: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    _shown: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _clears: set[int] = field(default_factory=set)

    def take(self, cell: int, message: Mapping[str, Any]) -> None:
        """Take a message of a kernel about a cell.

        Source: https://jupyter-client.readthedocs.io/en/stable/messaging.html#messages-on-the-iopub-pub-sub-channel
        """
        content = message.get("content")
        if not isinstance(content, dict):
            return
        outputs = self.by_cell.setdefault(cell, [])
        kind = message.get("msg_type")
        if kind == "execute_input" and isinstance(content.get("execution_count"), int):
            self.counts[cell] = content["execution_count"]
        elif kind == "clear_output":
            self._clears.add(cell)
            if not content.get("wait"):
                self._clear(cell)
        elif kind == "update_display_data":
            self._update(content)
        elif kind in {"stream", "display_data", "execute_result", "error"} and self._has_room(outputs, content):
            self._clear(cell)
            self._add(outputs, kind, content)

    def _clear(self, cell: int) -> None:
        if cell in self._clears:
            self._clears.discard(cell)
            self.by_cell[cell].clear()

    def _has_room(self, outputs: list[dict[str, Any]], content: Mapping[str, Any]) -> bool:
        if self.left_bytes <= 0:
            return False
        self.left_bytes -= _OF_A_MESSAGE + len(json.dumps(content))
        if self.left_bytes <= 0:
            outputs.append({"output_type": "stream", "name": "stderr", "text": _TOO_MUCH})
        return self.left_bytes > 0

    def _add(self, outputs: list[dict[str, Any]], kind: str, content: Mapping[str, Any]) -> None:
        if kind == "stream":
            name, text = "stderr" if content.get("name") == "stderr" else "stdout", text_of(content.get("text"))
            if outputs and outputs[-1].get("name") == name:
                outputs[-1]["text"] += text
            else:
                outputs.append({"output_type": "stream", "name": name, "text": text})
        elif kind == "error":
            outputs.append({"output_type": "error", **_error_of(content)})
        else:
            output: dict[str, Any] = {"output_type": kind, "metadata": {}, "data": _data_of(content)}
            if kind == "execute_result":
                output["execution_count"] = content.get("execution_count")
            outputs.append(output)
            if display_id := _display_id(content):
                self._shown.setdefault(display_id, []).append(output)

    def _update(self, content: Mapping[str, Any]) -> None:
        shown = self._shown.get(_display_id(content), [])
        if shown and self._has_room([], content):
            for output in shown:
                output["data"] = _data_of(content)


class Run:
    """One run of a notebook; `cell` is the one that runs, or ran last."""

    def __init__(self, notebook: Notebook, path: str, settings: CheckSettings) -> None:
        self.outputs = Outputs()
        self.cell: Cell | None = None
        self.seconds = 0.0
        self._notebook = notebook
        self._path = path
        self._settings = settings
        self._differs: CellFault | None = None

    async def run(self, client: Client, *, timeout_seconds: float) -> CellFault | None:
        """Run the notebook in a new kernel of a server, and return why it is not good, None where it is.

        Raises: WorldFault, where the server is lost.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._run(client)
        except TimeoutError:
            return self.fault(f"The notebook did not end within {_words_of(timeout_seconds)}.")
        except CellFailed as failed:
            return failed.fault
        except RepositoryFault as fault:
            return self.fault(fault.message)
        finally:
            self.seconds = round(time.monotonic() - began, 3)
        return self._differs

    def fault(self, message: str) -> CellFault:
        """Return a fault at the cell that ran last."""
        if self.cell is None:
            return CellFault(message)
        return CellFault(f"{message} Cell {self.cell.number} ran.", self.cell.line())

    def executed(self) -> bytes:
        """Return the notebook as it ran, deflated: nbformat's JSON."""
        cells = [self._executed(cell) for cell in self._notebook.cells]
        whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
        return zlib.compress(json.dumps(whole).encode(errors="replace"))

    def _executed(self, cell: Cell) -> dict[str, Any]:
        told: dict[str, Any] = {"cell_type": cell.kind, "metadata": {"tags": sorted(cell.tags)}, "source": cell.source}
        if cell.kind == "code":
            told["execution_count"] = self.outputs.counts.get(cell.number)
            told["outputs"] = self.outputs.by_cell.get(cell.number, [])
        return told

    async def _run(self, client: Client) -> None:
        name = kernel_for(self._notebook, await client.call("GET", "api/kernelspecs"))
        async with new_kernel(client, name, self._path) as kernel_id, channels_of(client.server, kernel_id) as socket:
            for cell in self._notebook.cells:
                if cell.kind != "code" or not cell.source.strip() or SKIPPED in cell.tags:
                    continue
                self.cell = cell
                request = {"code": cell.source, "silent": False, "store_history": True, "allow_stdin": False}
                error: CellFault | None = None
                async for message in ask_kernel(socket, "execute_request", {**request, "stop_on_error": True}):
                    self.outputs.take(cell.number, message)
                    # The reply tells of it too, sooner or later, and may say less.
                    error = (error if message["channel"] == "shell" else None) or self._error(cell, message) or error
                if error and MAY_FAIL not in cell.tags:
                    raise CellFailed(error)
                await asyncio.to_thread(self._compare, cell)  # there may be a lot of it

    def _error(self, cell: Cell, message: Mapping[str, Any]) -> CellFault | None:
        content = message["content"]
        is_error = message["msg_type"] == "error" or content.get("status") == "error"
        return error_of(cell, content, self.outputs.counts.get(cell.number)) if is_error else None

    def _compare(self, cell: Cell) -> None:
        if self._settings.outputs != "compare" or NOT_COMPARED in cell.tags or self._differs:
            return
        found = difference(cell.outputs, self.outputs.by_cell.get(cell.number, []), self._settings.tolerance)
        if found:
            self._differs = CellFault(f"Cell {cell.number}: {found}", cell.line())


def error_of(cell: Cell, content: Mapping[str, Any], count: int | None) -> CellFault:
    """Return the fault of a cell by what its kernel says of an error; `count` is the number that the kernel gave it."""
    told = _error_of(content)
    traceback = plain("\n".join(told["traceback"])[-_READ_OF_A_TRACEBACK:]).strip("\n")
    kept = traceback if len(traceback) <= _LONGEST_TRACEBACK else "…" + traceback[-_LONGEST_TRACEBACK:]
    says = (told["ename"][:_LONGEST_SENTENCE], told["evalue"][:_READ_FOR_A_LINE])
    what = " ".join(plain(": ".join(filter(None, says))).split())
    what = what if len(what) <= _LONGEST_SENTENCE else what[: _LONGEST_SENTENCE - 1] + "…"
    return CellFault(f"Cell {cell.number} failed: {what}", cell.line(line_within(traceback, count)), kept)


def line_within(traceback: str, count: int | None) -> int:
    """Return the line of a cell that a traceback leads to last, counted from 1; 1, where it does not say.

    As IPython writes it: `Cell In[3], line 2`, in older versions `Input In [3], in <cell line: 2>()`, and in old ones
    `<ipython-input-3-…> in <module>` with an arrow at the line.
    """
    traceback = traceback[-_READ_FOR_A_LINE:]
    number = str(count) if count is not None else r"\d+"
    found = re.findall(rf"(?:Cell|Input) In ?\[{number}\],(?: line | in <(?:cell )?line: )(\d+)", traceback)
    found = found or re.findall(
        rf"(?:In ?\[{number}\]|<ipython-input-{number}-)[^\n]*\n(?:[^\n]*\n)*?-+> ?(\d+)", traceback
    )
    return int(found[-1][:6]) if found else 1


def _error_of(content: Mapping[str, Any]) -> dict[str, Any]:
    lines = content.get("traceback")
    return {
        "ename": text_of(content.get("ename")) or "Error",
        "evalue": text_of(content.get("evalue")),
        "traceback": [line for line in lines if isinstance(line, str)] if isinstance(lines, list) else [],
    }


def _data_of(content: Mapping[str, Any]) -> dict[str, Any]:
    data = content.get("data")
    return {str(kind): value for kind, value in data.items()} if isinstance(data, dict) else {}


def _display_id(content: Mapping[str, Any]) -> str:
    transient = content.get("transient")
    found = transient.get("display_id") if isinstance(transient, dict) else None
    return found if isinstance(found, str) else ""


def _words_of(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 120 else f"{seconds:g} s"
