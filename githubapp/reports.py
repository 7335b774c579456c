"""What GitHub should show of a build: pure functions from rows to a commit's status and a pull request's comment.

Owns the words. That a report is owed, and sending it, is left to `owed` and `reporter`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from binder.build_words import words_of_layers, words_of_saving, words_of_time, words_of_way
from binder.lifecycle import BuildState
from binder.store.queries import ACTIVE_BUILDS
from binder.store.tables import Build, Preview, Repository
from githubapp.markdown import code_span, one_line
from githubapp.values import LONGEST_DESCRIPTION_CHARACTERS, Status, StatusState
from templates import render

CONTEXT = "binder"
COMMENT_MARKER = "<!-- binder-preview -->"

_READY = "Ready – open the notebook"  # noqa: RUF001 - a dash, as in print
_LONGEST_QUOTE = 500


@dataclass(frozen=True)
class Addresses:
    """Where this service and GitHub's pages are, without a slash at the end."""

    service: str
    github: str

    def notebook(self, repository: Repository, sha: str) -> str:
        """Return the link that opens a commit live."""
        return f"{self.service}/v2/gh/{quote(repository.full_name)}/{sha}?urlpath=lab"

    def build(self, build: Build) -> str:
        """Return the page of a build, with its log."""
        return f"{self.service}/builds/{build.id}"

    def commit(self, repository: Repository, sha: str) -> str:
        """Return GitHub's page of a commit."""
        return f"{self.github}/{quote(repository.full_name)}/commit/{sha}"


def status_of(build: Build, repository: Repository, addresses: Addresses) -> Status:
    """Return the status that a build's commit should show.

    The words for a build that goes on change only once, so that one build takes at most three writes.
    """
    page = addresses.build(build)
    match build.state:
        case BuildState.SUCCEEDED:
            return Status("success", _ready(build), addresses.notebook(repository, build.sha))
        case BuildState.FAILED:
            return _status_of_fault(build.fault or {}, page)
        case BuildState.SUPERSEDED | BuildState.CANCELLED:
            return Status("error", _reason_of_end(build), page)
        case _:
            return Status("pending", "Building …" if build.started_at else "Queued", page)


def _status_of_fault(fault: Mapping[str, Any], page: str) -> Status:
    state: StatusState = "failure" if fault.get("party") == "repository" else "error"
    described = "Build failed" if state == "failure" else "Not built"
    text = f"{described}: {text_of_fault(fault)}"
    return Status(state, one_line(text, LONGEST_DESCRIPTION_CHARACTERS), page)


def waiting_status() -> Status:
    """Return the status of a commit that is not built before somebody allows it."""
    return Status("pending", "Waiting for approval: commits from forks are not built unasked", None)


def ended_status(preview: Preview, sha: str) -> Status:
    """Return the status of a commit that was pending, and that `preview` has left behind, or does not want built."""
    is_held = preview.live and preview.head_sha == sha
    text = f"Not built: {preview.held}" if is_held else end_of(preview)
    return Status("error", one_line(text, LONGEST_DESCRIPTION_CHARACTERS), None)


def end_of(preview: Preview) -> str:
    """Return why a commit that `preview` has left behind is not built to the end."""
    if preview.live:
        return f"Superseded by {preview.head_sha[:7]}"
    gone = "the branch was deleted" if preview.kind == "branch" else "the pull request was closed"
    return f"Cancelled: {preview.held or gone}"


def _reason_of_end(build: Build) -> str:
    """Return what was written down when a build was stopped: a preview may have moved on again since."""
    reason = (build.fault or {}).get("message") or build.state.capitalize()
    return one_line(str(reason), LONGEST_DESCRIPTION_CHARACTERS)


def text_of_fault(fault: Mapping[str, Any]) -> str:
    """Return the place at fault and what is wrong there, in one line."""
    file, line, step = fault.get("file"), fault.get("line"), fault.get("step")
    place = f"{file} line {line}" if file and line else file or step
    message = one_line(str(fault.get("message") or "see the log"), _LONGEST_QUOTE)
    # Some sentences begin with the file: they need not be told it twice.
    return message if not place or message.startswith(str(file or step)) else f"{place}: {message}"


def _ready(build: Build) -> str:
    took, did = _took(build), _did(build)
    if not took and not did:
        return _READY
    text = (f"Ready in {took}" if took else "Ready") + (f": {did}" if did else "")
    return one_line(text, LONGEST_DESCRIPTION_CHARACTERS)


def _took(build: Build) -> str:
    """Return how long a build took, from its start to its end; empty where that is not known."""
    if not build.started_at or not build.finished_at:
        return ""
    return words_of_time((build.finished_at - build.started_at).total_seconds())


def _did(build: Build) -> str:
    """Return the way, what was re-used and what that saved; empty where nothing is known."""
    result = build.result or {}
    saved = words_of_saving(result.get("saved"))
    facts = (words_of_way(result.get("way")), words_of_layers(result.get("layers")), f"saved {saved}" if saved else "")
    return ", ".join(filter(None, facts))


def comment_of(build: Build, repository: Repository, preview: Preview, addresses: Addresses) -> str:
    """Return the text of a pull request's comment, in Markdown; `build` is of the head of `preview`."""
    is_ready = preview.live and build.state is BuildState.SUCCEEDED
    is_over = preview.live and build.state not in {*ACTIVE_BUILDS, BuildState.SUCCEEDED}
    return render(
        "github/comment.md",
        marker=COMMENT_MARKER,
        title=_title_of(build, preview),
        open_url=addresses.notebook(repository, build.sha) if is_ready else None,
        message=code_span(text_of_fault(build.fault or {}), _LONGEST_QUOTE) if is_over else None,
        facts=", ".join(filter(None, (_took(build), _did(build)))) if is_ready else None,
        short_sha=build.sha[:7],
        commit_url=addresses.commit(repository, build.sha),
        log_url=addresses.build(build) if preview.live else None,
    )


def _title_of(build: Build, preview: Preview) -> str:
    if not preview.live:
        return "The preview was removed: the pull request is closed"
    if build.state in ACTIVE_BUILDS:
        return "The preview is being built"
    match build.state:
        case BuildState.SUCCEEDED:
            return "The preview is ready"
        case BuildState.FAILED:
            return "The preview could not be built"
        case _:
            return "The preview was not built"
