"""How commands are declared and shown: in groups, each with examples, in plain text that comes at once.

typer's own help is drawn by rich, which takes three times as long to import as all that a command has to say.
"""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, Final, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from binder.cli.coercing import plainly
from binder.errors import Party

EXIT_CODES: Final[dict[Party, int]] = {"visitor": 2, "repository": 3, "operator": 4, "world": 5}
"""What `binder` exits with, by the party at fault."""

BINDERS: Final = "Binders, builds and sessions"
REPOSITORIES: Final = "A repository of your own"
MODULES: Final = "Modules"
IMAGES: Final = "Images"
SERVICE: Final = "The service and its machine"
PANELS: Final = (BINDERS, REPOSITORIES, MODULES, IMAGES, SERVICE)
"""The groups of commands, in the order of the help."""

_LONGEST: Final = 200

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Command(TyperCommand):
    """A command whose help ends with examples, which are its epilog: one a line."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, help's too, each to be read plainly."""
        return [plainly(param) for param in super().get_params(ctx)]

    @property
    def examples(self) -> Sequence[str]:
        """The examples of its help."""
        return tuple(filter(None, (self.epilog or "").splitlines()))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they are typed."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class Commands(TyperGroup):
    """Commands in groups; what is mistyped is answered with the nearest of those that are shown."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, help's too, each to be read plainly."""
        return [plainly(param) for param in super().get_params(ctx)]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, a section for each group."""
        shown = [(name, command) for name, command in self.commands.items() if not command.hidden]
        widest = max((len(name) for name, _ in shown), default=0)
        for panel in dict.fromkeys((*PANELS, *(_panel_of(command) for _, command in shown))):
            rows = [(name, command) for name, command in shown if _panel_of(command) == panel]
            if rows:
                with formatter.section(panel):
                    formatter.write_dl(
                        [(name.ljust(widest), command.get_short_help_str(_LONGEST)) for name, command in rows]
                    )

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that was typed.

        Raises: UsageError, which names the nearest ones.
        """
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            known = [name for name, command in self.commands.items() if not command.hidden]
            near = get_close_matches(args[0].lower(), known, n=3, cutoff=0.5)
            meant = f" Did you mean {' or '.join(near)}?" if near else f" There are: {', '.join(known)}."
            ctx.fail(f"There is no command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)


def _panel_of(command: Any) -> str:
    return str(command.rich_help_panel or "Commands")


def new_app(**values: Any) -> typer.Typer:
    """Return a Typer whose help is plain and grouped."""
    return typer.Typer(
        cls=Commands, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, **values
    )


app = new_app(name="binder", help="Opens the notebooks of a repository live, for every commit.")


def command(
    panel: str, *examples: str, name: str | None = None, hidden: bool = False, of: typer.Typer = app
) -> Callable[[_Function], _Function]:
    """Declare a function as a command of a group; its docstring is the help."""
    declared: Callable[[_Function], _Function] = of.command(
        name, cls=Command, rich_help_panel=panel, epilog="\n".join(examples) or None, hidden=hidden
    )
    return declared
