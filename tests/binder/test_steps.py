"""What a person reads in a terminal."""

import io

from rich.console import Console

from binder.cli.steps import Steps


def test_an_address_is_never_cut() -> None:
    terminal = io.StringIO()
    address = f"http://127.0.0.1:8585/v2/gh/ada/attractors/{'0' * 40}?urlpath=lab"
    Steps(Console(file=terminal, width=40)).invite("Open these", {"The live notebook": address})
    assert address in [line.strip() for line in terminal.getvalue().splitlines()]
