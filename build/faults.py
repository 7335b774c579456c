"""Finds, in what a failed step printed, the line of the repository that is at fault: pure functions over text."""

import re
from collections.abc import Mapping
from itertools import chain

from packaging.utils import canonicalize_name

from binder.errors import BinderError, OperatorFault, RepositoryFault, WorldFault

Place = tuple[str, int | None]
"""A file of the repository, and the line in it, counted from 1."""

Lines = Mapping[str, tuple[str, int]]
"""A package's normalised name → the file and the line that ask for it."""

_INDEX_GONE = re.compile(
    r"failed to fetch|error sending request|dns error|connection (?:refused|reset)|timed out|temporary failure",
    re.IGNORECASE,
)
_CAUSE = re.compile(r"^\s*(?:cause:|╰─▶|├─▶)\s*(.*)$")
_AT_BYTE = re.compile(r" in `([^`\n]{1,300})` at position (\d+)")
_AT_LINE = re.compile(r"(?:\A|[\s`'\"(])([^\s`'\"():]{1,300}):(\d+):\d+")
_REQUIRED = re.compile(r"you require ([^,]+?)(?:, we can| and we|$)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SAID_BY_UV = re.compile(r"^error: ", re.MULTILINE)
_SAID_BY_R = re.compile(r"^ERROR: (.*)$", re.MULTILINE)
_NOT_INSTALLED = re.compile(r"^--- not installed: (.+)$", re.MULTILINE)
_NOT_FETCHED = re.compile(r"network (?:was|connectivity is) disabled", re.IGNORECASE)
_SECOND_REASON = " And because "
_ONE_REASON = re.compile(r"\ABecause (.*?),?(?: and you require .*)? we can conclude that your requirements are .*")
_SAID_BY_BUILDAH = re.compile(
    r"STEP \d+/|Error: (?:building at STEP|while running runtime|exit status)|\[Warning\]|exit status"
)
_ADVICE = (
    (re.compile(r"\\r\b|\r"), " It has Windows line ends: save it with LF alone, and commit."),
    (
        re.compile(r"exec: \S+: not found\Z|bad interpreter"),
        " Its first line names an interpreter that is not there, or ends as Windows ends lines: save it with LF alone.",
    ),
    (
        re.compile(r"are you root\?|\bdpkg\b.*[Pp]ermission denied|^sudo: |\bsudo: (?:command )?not found"),
        " It does not run as root: list packages of the system in apt.txt.",
    ),
    (re.compile(r"exec: \S+: Permission denied\Z"), " It is not executable: run `git update-index --chmod=+x` on it."),
    (re.compile(r"[Pp]ermission denied"), " It runs as an ordinary user, who can write to the repository's folder."),
    (re.compile(r"\A(?:Killed|Out of memory)"), " It was killed, perhaps for its want of memory."),
)
_LONGEST = 300
_MOST_READ = 20_000


def explain_resolution(output: str, asked: Mapping[str, str], lines: Lines) -> BinderError | None:
    """Return the fault in what uv printed when it could not resolve an environment, or None where it is not one.

    `asked` maps the files that uv was given to their texts, the author's first; `lines` a package to where it is asked
    for.
    """
    output = output[-_MOST_READ:]  # a package that is built may print anything, and at any length
    message = _message_of(output)
    if _INDEX_GONE.search(output) and "no solution" not in output.lower():
        return WorldFault(f"The package index could not be reached: {message}")
    place = _place_at(output, asked) or _place_named(output, lines) or (next(iter(asked)), None) if asked else None
    if place is None:
        return None
    return RepositoryFault(message, file=place[0], line=place[1], step="environment")


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


class NotFetchedFault(OperatorFault):
    """A part of the repository is built with something that was not fetched before, and there is no network."""


def explain_project(output: str, *, has_network: bool) -> BinderError | None:
    """Return the fault in a part of the repository that could not be installed itself; None where all could."""
    output = output[-_MOST_READ:]
    if not (failed := _NOT_INSTALLED.search(output)):
        return None
    said, file = output[: failed.start()], failed[1]
    if not has_network and (_NOT_FETCHED.search(said) or _INDEX_GONE.search(said)):
        return NotFetchedFault(
            f"{file} needs packages to be built with that have no wheel, or that only its build itself asks for, and "
            "builds have no network for them here (BINDER_BUILD_NETWORK). A wheel in the repository needs none."
        )
    if _INDEX_GONE.search(said):
        return WorldFault(f"The package index could not be reached: {_message_of(said)}")
    of_r = _SAID_BY_R.findall(said)
    message = _sentence(of_r[-1][:1].upper() + of_r[-1][1:]) if of_r else _message_of(said)
    return RepositoryFault(message, file=file, step="content")


def explain_post_build(path: str, output: str) -> BinderError:
    """Return the fault of a postBuild that failed, with its line where its interpreter tells it."""
    output = output[-_MOST_READ:]
    status = re.findall(r"exit status (\d+)", output)
    ended = f" with status {status[-1]}" if status else ""
    said = [line for line in output.splitlines() if line.strip() and not _SAID_BY_BUILDAH.match(line)]
    last = f": {said[-1].strip()[:_LONGEST]}" if said else ""
    advice = next((advice for pattern, advice in _ADVICE if any(pattern.search(line) for line in said[-5:])), "")
    name = re.escape(path.rpartition("/")[2])
    lines = re.findall(rf"(?:^|/){name}(?:: line |: |\", line )(\d+)(?=[:,])", output, re.MULTILINE)
    line = int(lines[-1]) if lines else None
    return RepositoryFault(f"{path} ended{ended}{last.rstrip('.')}.{advice}", file=path, line=line, step="postBuild")


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


def _place_named(output: str, lines: Lines) -> Place | None:
    """Return the place of the first package of the author's that uv's account names."""
    flat = " ".join(output.split())
    required = (name for words in _REQUIRED.findall(flat) for name in _NAME.findall(words))
    places = (lines.get(canonicalize_name(name)) for name in chain(required, _NAME.findall(flat)))
    return next((place for place in places if place), None)


def _place_at(output: str, asked: Mapping[str, str]) -> Place | None:
    """Return the place that uv cannot read: it says at which byte of a file, or at which line."""
    for path, byte in _AT_BYTE.findall(output):
        if path in asked:
            return path, asked[path].encode()[: int(byte)].count(b"\n") + 1
    return next(((path, int(line)) for path, line in _AT_LINE.findall(output) if path in asked), None)
