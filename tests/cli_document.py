"""`docs/cli.md`, drawn from the commands themselves: what they are for, what they take, and their examples."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import typer.main

from binder.cli import app
from binder.cli.words import EXIT_CODES, PANELS, Command
from binder.listing import QUERIES, keys_of

_INTRODUCTION = """\
# The command line

Drawn from the commands by `make docs`. `binder --help` shows them in the same groups, `binder COMMAND --help` each one;
`binder --install-completion` has your shell complete commands, options, modules and sessions.

## Whom a command works with

Commands about binders, builds and sessions work with a service that runs elsewhere where both of these are set:

- `BINDER_URL`: the service's address, `https://binder.example.org`;
- `BINDER_TOKEN`: a token that `binder token NAME` made there, or its setting `BINDER_API_TOKEN`. It is never an
  argument, and goes to that address only.

Without a token they work alone: on the store and the engine of this machine's settings (`BINDER_STATE_DIR` and so on).
Where a service runs on those, it does what they ask for; where none does, `build` and `deploy` do it themselves, and
`deploy` serves its session until Ctrl-C.

## What programs read

`--json` prints JSON on standard output, and nothing else there; what is only for people goes to standard error, and
progress to terminals alone. The names of values stay. Times are ISO 8601, UTC; what is not known is `null`.
"""


def commands(group: Any = None, before: str = "binder") -> Iterator[tuple[str, Any]]:
    """Give all commands that are shown, with what is typed for them: `binder modules list`."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from commands(command, f"{before} {name}")
        else:
            yield f"{before} {name}", command


def examples() -> list[str]:
    """Return all examples of all commands."""
    return [example for _, command in commands() if isinstance(command, Command) for example in command.examples]


def cli_page() -> str:
    """Return `docs/cli.md`."""
    lines = [_INTRODUCTION]
    for kind in QUERIES:
        keys = ", ".join(f"`{key}`" for key in keys_of(kind))
        lines.append(f"- `binder list {kind} --json`: a list of objects with {keys}.")
    lines += ["", "## How a command ends", "", "By whose fault it was that it did not do what was asked:", ""]
    lines += ["| exit code | whose fault |", "|--:|---|", "| 0 | nobody's: it was done |", "| 1 | it was broken off |"]
    whose = {
        "visitor": "yours: something was mistyped, or is not there",
        "repository": "the repository's: its file and line are named",
        "operator": "the operator's: this machine's or its settings'",
        "world": "somebody else's: a service, an index or the network; trying again may help",
    }
    lines += [f"| {code} | {whose[party]} |" for party, code in EXIT_CODES.items()]
    for panel in PANELS:
        lines += ["", f"## {panel}"]
        lines += [
            line for typed, command in commands() if _panel_of(command) == panel for line in _command(typed, command)
        ]
    return "\n".join(lines) + "\n"


def _panel_of(command: Any) -> str:
    return str(command.rich_help_panel)


def _command(typed: str, command: Any) -> list[str]:
    context = typer.Context(command, info_name=typed)
    usage = " ".join([typed, *command.collect_usage_pieces(context)])
    lines = ["", f"### {typed}", "", *_block("text", [usage]), "", *inspect.cleandoc(command.help or "").splitlines()]
    records = [record for param in command.get_params(context) if (record := param.get_help_record(context))]
    options = [(name, text) for name, text in records if name != "--help"]
    if options:
        lines += ["", "| | |", "|---|---|", *(f"| `{_plain(name)}` | {_plain(text)} |" for name, text in options)]
    if command.examples:
        lines += ["", *_block("sh", command.examples)]
    return lines


def _block(language: str, lines: Sequence[str]) -> list[str]:
    return [f"```{language}", *lines, "```"]


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
