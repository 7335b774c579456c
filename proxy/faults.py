"""The proxy's own errors: what a visitor may not see or do, and too much of it at once."""

from binder.errors import VisitorFault


class NotVisibleError(VisitorFault):
    """There is no such thing, or this visitor may not know that there is: who is not signed in may try that."""


class TooManyError(VisitorFault):
    """Too much was started from one place; `retry_after_seconds` from now there may be more."""

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NotProvenError(VisitorFault):
    """A program did not prove who it is."""


class NotAllowedError(VisitorFault):
    """It is known who asks, and what is asked for is not theirs to have done."""
