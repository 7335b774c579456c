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
_QUOTED_LINE = re.compile(r"^\s+(\S.*)$")
_REQUIRED = re.compile(r"you require ([^,]+?)(?:, we can| and we|$)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LONGEST = 300


def explain_resolution(output: str, requirements: Requirements | None) -> BinderError | None:
    """Return the fault in what uv printed when it could not resolve an environment, or None where it is not one."""
    message = _message_of(output)
    if _INDEX_GONE.search(output) and "no solution" not in output.lower():
        return WorldFault(f"The package index could not be reached: {message}")
    if requirements is None:
        return None
    line = _line_named(output, requirements) or _line_quoted(output, requirements)
    return RepositoryFault(message, file=requirements.path, line=line, step="environment")


class NoWheelFault(RepositoryFault):
    """A package that was asked for exists only as source, and this step may not build any."""


def explain_installation(output: str) -> BinderError | None:
    """Return the fault in what uv printed when it could not install a resolved environment."""
    if "building from source is disabled" in output:
        return NoWheelFault(_message_of(output), step="environment")
    if _INDEX_GONE.search(output):
        return WorldFault(f"The package index could not be reached: {_message_of(output)}")
    return None


def explain_post_build(path: str, output: str) -> BinderError:
    """Return the fault of a postBuild that failed."""
    status = re.findall(r"exit status (\d+)", output)
    ended = f" with status {status[-1]}" if status else ""
    return RepositoryFault(f"{path} ended{ended}. Its last lines are in the log.", file=path, step="postBuild")


def _message_of(output: str) -> str:
    """Return the shortest account of the cause that uv gives."""
    lines = [line for line in output.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if cause := _CAUSE.match(line):
            following = [one.strip() for one in lines[number + 1 :] if not one.lstrip().startswith(("^", "Error:"))]
            whole = " ".join([cause[1], *following]) if "Because" in cause[1] else cause[1]
            because = re.match(r"Because (.*?),? (?:and you require|we can conclude)", whole)
            short = because[1] if because and len(because[1]) < _LONGEST else whole
            return _sentence(short)
    return _sentence(lines[-1] if lines else "uv said nothing")


def _sentence(text: str) -> str:
    text = " ".join(text.split())
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


def _line_quoted(output: str, requirements: Requirements) -> int | None:
    """Return the line that uv quotes because it cannot read it."""
    texts = {
        line.strip(): number for number, line in enumerate(requirements.text.splitlines(), start=1) if line.strip()
    }
    quoted = (match[1] for line in output.splitlines() if (match := _QUOTED_LINE.match(line)))
    return next((texts[text] for text in quoted if text in texts), None)
