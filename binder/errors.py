"""One tree of errors, by the party at fault.

    BinderError
    ├── RepositoryFault      the author's: a file or step of the repository; names it, with the line where one is known
    ├── VisitorFault         the visitor's: a link that is wrong, a thing that is not there
    ├── OperatorFault        the operator's: a tool that is missing, a port that is taken, a disk that is full
    └── WorldFault           nobody's here: GitHub, a package index or the network; trying again may help

Each has a message that a visitor may read, and a cause (`raise … from error`) for the log. The tables that turn them
into an answer stand once per entry point: `proxy.answers`, `githubapp.reports` and `binder.cli`.
"""

from typing import ClassVar, Literal

Party = Literal["repository", "visitor", "operator", "world"]


class BinderError(Exception):
    """What went wrong, in a sentence that a visitor may read."""

    party: ClassVar[Party]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RepositoryFault(BinderError):
    """A file or step of the repository is at fault; `line` counts from 1, and `step` is what ran."""

    party = "repository"

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, step: str | None = None
    ) -> None:
        super().__init__(message)
        self.file = file
        self.line = line
        self.step = step

    @property
    def place(self) -> str | None:
        """Where to look: `requirements.txt line 7`, or the step's name."""
        if self.file:
            return f"{self.file} line {self.line}" if self.line else self.file
        return self.step


class VisitorFault(BinderError):
    """The request is at fault."""

    party = "visitor"


class OperatorFault(BinderError):
    """This machine or its settings are at fault."""

    party = "operator"


class WorldFault(BinderError):
    """Something outside is at fault; the same thing may work later."""

    party = "world"


class StoreUnavailableError(WorldFault):
    """The store did not answer; nothing was written."""


class IllegalTransitionError(AssertionError):
    """A life cycle was asked for a step that its table does not have: a fault of ours."""
