"""The comment on a pull request: pure functions from rows to its words, and to the state that it tells of.

All that a repository's people wrote is shown as code: in it GitHub knows no markup, no mention and no link.
"""

from collections.abc import Callable
from dataclasses import dataclass

from binder.build_words import size_of_layers, words_of_size, words_of_time
from binder.store.tables import Build, Preview
from githubapp.markdown import code_span
from githubapp.reports import (
    Addresses,
    CommitFacts,
    Standing,
    is_waiting,
    notebooks_of,
    reason_of_end,
    seconds_of,
    text_of_fault,
    words_of_work,
)
from templates import render

MARKER = "<!-- binder-preview -->"

_LONGEST_QUOTE = 500
_MOST_NOTEBOOKS = 20
_TITLES: dict[Standing, str] = {
    "queued": "The preview is being built",
    "building": "The preview is being built",
    "ready": "The preview is ready",
    "failed": "The preview could not be built",
    "stopped": "The preview was not built",
    "waiting": "The preview waits for approval",
    "held": "The newest commit is not built",
    "left": "The newest commit is not built",
}
_REMOVED = "The preview was removed: the pull request is closed"


@dataclass(frozen=True)
class Comparison:
    """What a pull request's preview is compared with: the `base` build, where there is one, and the `good` commit that
    was the last one ready here."""

    base: Build | None = None
    good: str | None = None


def state_of_comment(facts: CommitFacts, pull: Preview) -> str:
    """Return what the comment tells of, in a word of our own: the comment is edited only when this changes."""
    if not pull.live:
        return "removed"
    standing = _standing(facts, pull)
    number = facts.build.id if facts.build and standing not in {"waiting", "held"} else None
    step = "building" if standing == "queued" else standing
    return " ".join(str(part) for part in (facts.sha, _base_sha(pull), step, number))


def comment_of(facts: CommitFacts, pull: Preview, comparison: Comparison, addresses: Addresses) -> str:
    """Return the text of the comment, in Markdown, of a pull request whose head the commit is."""
    build, sha, standing = facts.build, facts.sha, _standing(facts, pull)
    is_ready = pull.live and standing == "ready"
    notebooks = notebooks_of(pull) if is_ready else []
    first = next(iter(notebooks), None)
    good = comparison.good if pull.live and not is_ready and comparison.good != sha else None
    return render(
        "github/comment.md",
        marker=MARKER,
        title=_TITLES[standing] if pull.live else _REMOVED,
        open_url=addresses.notebook(facts.repository, sha, first) if is_ready else None,
        message=_message(facts, pull) if pull.live else None,
        approval=render("github/waiting.md", sha=sha) if pull.live and standing == "waiting" else None,
        notebooks=[_links(facts, pull, path, addresses) for path in notebooks[:_MOST_NOTEBOOKS]],
        more=max(0, len(notebooks) - _MOST_NOTEBOOKS),
        differences=_differences(build, comparison.base) if build and is_ready else [],
        facts=words_of_work(build) if build and is_ready else None,
        good_sha=good[:7] if good else None,
        good_url=addresses.notebook(facts.repository, good) if good else None,
        short_sha=sha[:7],
        commit_url=addresses.commit(facts.repository, sha),
        log_url=addresses.build(build) if build and pull.live and standing not in {"waiting", "held"} else None,
    )


def _standing(facts: CommitFacts, pull: Preview) -> Standing:
    """Return how the commit stands for this pull request: others may be at the same one."""
    standing = facts.standing
    return "waiting" if standing in {"held", "left"} and is_waiting(pull) else standing


def _message(facts: CommitFacts, pull: Preview) -> str | None:
    match _standing(facts, pull):
        case "failed" if facts.build:
            return code_span(text_of_fault(facts.build.fault or {}), _LONGEST_QUOTE)
        case "stopped" if facts.build:
            return code_span(reason_of_end(facts.build), _LONGEST_QUOTE)
        case "held" if pull.held:
            return code_span(pull.held, _LONGEST_QUOTE)
        case _:
            return None


def _base_sha(pull: Preview) -> str | None:
    sha = (pull.facts or {}).get("base_sha")
    return str(sha) if sha else None


def _links(facts: CommitFacts, pull: Preview, path: str, addresses: Addresses) -> tuple[str, str, str | None]:
    """Return a notebook's name, and its addresses here and at the base."""
    base = _base_sha(pull)
    return (
        code_span(path, _LONGEST_QUOTE),
        addresses.notebook(facts.repository, facts.sha, path),
        addresses.notebook(facts.repository, base, path) if base else None,
    )


def _differences(build: Build, base: Build | None) -> list[tuple[str, str, str, str]]:
    """Return (what, base, here, difference) of what is known of both builds."""
    known = (
        _difference("Image", _size(base), _size(build), words_of_size),
        _difference("Build", _seconds(base), _seconds(build), words_of_time),
    )
    return [one for one in known if one]


def _size(build: Build | None) -> float | None:
    return size_of_layers((build.result or {}).get("layers")) if build else None


def _seconds(build: Build | None) -> float | None:
    return seconds_of(build) if build else None


def _difference(
    what: str, before: float | None, now: float | None, words: Callable[[float], str]
) -> tuple[str, str, str, str] | None:
    if before is None or now is None:
        return None
    sign = "+" if now > before else "–"  # noqa: RUF001 - a dash, as in print
    same = words(abs(now - before)) == words(0)
    return what, words(before), words(now), "none" if same else f"{sign}{words(abs(now - before))}"
