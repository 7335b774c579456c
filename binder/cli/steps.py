"""Shows a person how far a long job is: each step with its time, and in the end a table of them."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from time import monotonic

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from binder.plain_text import plain, plain_lines


async def until_interrupted(work: Coroutine[None, None, None], steps: "Steps") -> None:
    """Do the work to its end, or until Ctrl-C or SIGTERM breaks it off.

    Raises: what the work raises.
    """
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    working = asyncio.create_task(work)
    stop = asyncio.create_task(interrupted.wait())
    await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if interrupted.is_set():
        steps.note("Stopping …")
        working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


class Steps:
    """The steps of one job, on one console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = monotonic()
        self._done: list[tuple[str, float]] = []
        self._status: Status | None = None

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[None]:
        """Show a step while the block runs, and its time after it."""
        began = monotonic()
        with self._console.status(f"{escape(name)} …") as status:
            self._status = status
            try:
                yield
            except BaseException:
                self._console.print(f"[red]✗[/] {escape(name)}")
                raise
            finally:
                self._status = None
        seconds = monotonic() - began
        self._done.append((name, seconds))
        self._console.print(f"[green]✓[/] {escape(name)} [dim]{seconds:.1f} s[/]")

    def detail(self, text: str) -> None:
        """Tell more about the step that runs."""
        if self._status:
            self._status.update(f"[dim]{escape(plain(text)[: max(20, self._console.width - 4)])}[/]")

    def note(self, text: str) -> None:
        """Say something between steps."""
        self._console.print(escape(plain_lines(text)))

    def table(self) -> None:
        """Print all steps with their times."""
        table = Table(box=None, padding=(0, 2), title="What took how long", title_justify="left")
        table.add_column("step")
        table.add_column("seconds", justify="right")
        for name, seconds in self._done:
            table.add_row(escape(name), f"{seconds:.2f}")
        table.add_row("[bold]all[/]", f"[bold]{monotonic() - self._began:.2f}[/]")
        self._console.print(table)

    def invite(self, title: str, places: dict[str, str]) -> None:
        """Print addresses that a person may open; they are never cut or wrapped."""
        self._console.rule(escape(title), style="green")
        for name, address in places.items():
            self._console.print(f"[bold]{escape(name)}[/]\n  {escape(address)}", soft_wrap=True)
