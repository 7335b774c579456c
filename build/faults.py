"""Finds, in what a failed step printed, the line of the repository that is at fault: pure functions over text."""

import re

from packaging.utils import canonicalize_name

from binder.errors import BinderError, RepositoryFault, WorldFault
from build.requirements import Requirements

_INDEX_GONE = re.compile(
    r"failed to fetch|error sending request|dns error|connection (?:refused|reset)|timed out|temporary failure",
    re.IGNORECASE,
)
_CAUSE = re.compile(r"^\s*(?:cause:|╰─▶|├─▶)\s*(.*)$")
_AT_BYTE = re.compile(r" in `requirements\.txt` at position (\d+)")
_AT_LINE = re.compile(r"\brequirements\.txt:(\d+):\d+")
_REQUIRED = re.compile(r"you require ([^,]+?)(?:, we can| and we|$)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SAID_BY_UV = re.compile(r"^error: ", re.MULTILINE)
_SECOND_REASON = " And because "
_ONE_REASON = re.compile(r"\ABecause (.*?),?(?: and you require .*)? we can conclude that your requirements are .*")
_LONGEST = 300
_MOST_READ = 20_000


def explain_resolution(output: str, requirements: Requirements | None) -> BinderError | None:
    """Return the fault in what uv printed when it could not resolve an environment, or None where it is not one."""
    output = output[-_MOST_READ:]  # a package that is built may print anything, and at any length
    message = _message_of(output)
    if _INDEX_GONE.search(output) and "no solution" not in output.lower():
        return WorldFault(f"The package index could not be reached: {message}")
    if requirements is None:
        return None
    line = _line_at(output, requirements) or _line_named(output, requirements)
    return RepositoryFault(message, file=requirements.path, line=line, step="environment")


class NoWheelFault(RepositoryFault):
    """A package that was asked for exists only as source, and this step may not build any."""


def explain_installation(output: str) -> BinderError | None:
    """Return the fault in what uv printed when it could not install a resolved environment."""
    output = output[-_MOST_READ:]
    if "building from source is disabled" in output:
        return NoWheelFault(_message_of(output), step="environment")
    if _INDEX_GONE.search(output):
        return WorldFault(f"The package index could not be reached: {_message_of(output)}")
    if _SAID_BY_UV.search(output):
        return RepositoryFault(_message_of(output), step="environment")
    return None


def explain_post_build(path: str, output: str) -> BinderError:
    """Return the fault of a postBuild that failed."""
    status = re.findall(r"exit status (\d+)", output)
    ended = f" with status {status[-1]}" if status else ""
    return RepositoryFault(f"{path} ended{ended}. Its last lines are in the log.", file=path, step="postBuild")


def _message_of(output: str) -> str:
    """Return the shortest account of the cause that uv gives."""
    lines = [line for line in output.splitlines() if line.strip()]
    errors = (line.removeprefix("error: ") for line in lines if line.startswith("error: "))
    what = _AT_BYTE.sub("", next(errors, lines[-1] if lines else "uv said nothing"))
    for number, line in enumerate(lines):
        if cause := _CAUSE.match(line):
            if not cause[1].startswith("Because"):
                return _sentence(f"{what}: {cause[1]}")
            hints = (place for place, one in enumerate(lines) if place > number and one.startswith("hint:"))
            whole = " ".join([cause[1], *map(str.strip, lines[number + 1 : next(hints, None)])])
            return _sentence(whole if _SECOND_REASON in whole else _ONE_REASON.sub(r"\1", whole))
    return _sentence(what)


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    text = text[:1].upper() + text[1:] if text.startswith(("you ", "there ")) else text
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return text if text.endswith((".", "…")) else text + "."


def _line_named(output: str, requirements: Requirements) -> int | None:
    """Return the line of the first requirement of the author's that uv's account names."""
    flat = " ".join(output.split())
    for required in _REQUIRED.findall(flat):
        for name in _NAME.findall(required):
            if line := requirements.lines.get(canonicalize_name(name)):
                return line
    named = (requirements.lines.get(canonicalize_name(name)) for name in _NAME.findall(flat))
    return next((line for line in named if line), None)


def _line_at(output: str, requirements: Requirements) -> int | None:
    """Return the line that uv cannot read: it says at which byte of the file, or at which line."""
    if byte := _AT_BYTE.search(output):
        return requirements.text.encode()[: int(byte[1])].count(b"\n") + 1
    line = _AT_LINE.search(output)
    return int(line[1]) if line else None
