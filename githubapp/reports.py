"""What GitHub should show of a commit: how it stands, and its status. Pure functions from rows.

Owns the words that all reports share; the check, the deployment and the comment have modules of their own. That a
report is owed, and sending it, is left to `owed` and `reporter`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from binder.build_words import words_of_layers, words_of_time, words_of_way
from binder.lifecycle import BuildState
from binder.store.tables import Build, Preview, Repository
from githubapp.heads import WAITS_FOR_APPROVAL
from githubapp.markdown import one_line
from githubapp.values import LONGEST_DESCRIPTION_CHARACTERS, Status, StatusState

CONTEXT = "binder"

_READY = "Ready – open the notebook"  # noqa: RUF001 - a dash, as in print
_LONGEST_QUOTE = 500

Standing: TypeAlias = Literal["queued", "building", "ready", "failed", "stopped", "waiting", "held", "left"]
"""How a commit stands: `stopped` before its build ended, `waiting` for approval, `held` by its repository's choice,
`left` where no preview is at it and nothing was built."""


@dataclass(frozen=True)
class Addresses:
    """Where this service and GitHub's pages are, without a slash at the end."""

    service: str
    github: str

    def notebook(self, repository: Repository, sha: str, path: str | None = None) -> str:
        """Return the link that opens a commit live: at a file of it, or at JupyterLab's launcher."""
        landing = f"labpath={quote(path)}" if path else "urlpath=lab"
        return f"{self.service}/v2/gh/{quote(repository.full_name)}/{sha}?{landing}"

    def build(self, build: Build) -> str:
        """Return the page of a build, with its log; of one that failed, at the lines at fault."""
        return f"{self.service}/builds/{build.id}" + ("#at-fault" if build.state is BuildState.FAILED else "")

    def commit(self, repository: Repository, sha: str) -> str:
        """Return GitHub's page of a commit."""
        return f"{self.github}/{quote(repository.full_name)}/commit/{sha}"

    def pull(self, repository: Repository, number: str) -> str:
        """Return GitHub's page of a pull request."""
        return f"{self.github}/{quote(repository.full_name)}/pull/{number}"


@dataclass(frozen=True)
class CommitFacts:
    """What is known of a commit: its newest `build` for a preview, and the previews whose head it is, live or not."""

    repository: Repository
    sha: str
    build: Build | None
    previews: Sequence[Preview] = ()

    @property
    def live(self) -> list[Preview]:
        """The previews that are kept at this commit now."""
        return [preview for preview in self.previews if preview.live]

    @property
    def notebook(self) -> str | None:
        """The first notebook that a pull request changes here, None where there is none."""
        return next((path for preview in self.live for path in notebooks_of(preview)), None)

    @property
    def standing(self) -> Standing:
        """How the commit stands."""
        if self.build and (standing := standing_of_build(self.build)) != "stopped":
            return standing
        if any(is_waiting(preview) for preview in self.live):
            return "waiting"
        if self.build:
            return "stopped"
        return "held" if self.live else "left"


def standing_of_build(build: Build) -> Standing:
    """Return how a commit stands whose newest build this is.

    A build goes on in two steps, whatever its states: its plan, and with it what is re-used, is known or not yet. So
    one build takes at most three writes.
    """
    match build.state:
        case BuildState.SUCCEEDED:
            return "ready"
        case BuildState.FAILED:
            return "failed"
        case BuildState.SUPERSEDED | BuildState.CANCELLED:
            return "stopped"
        case _:
            return "building" if build.result else "queued"


def is_waiting(preview: Preview) -> bool:
    """Whether somebody with write access may have the head of a preview built, and nobody did."""
    return preview.live and preview.held == WAITS_FOR_APPROVAL


def notebooks_of(preview: Preview) -> list[str]:
    """Return the paths of the notebooks that a pull request changes."""
    return [str(path) for path in (preview.facts or {}).get("notebooks") or ()]


def status_of(facts: CommitFacts, addresses: Addresses) -> Status | None:
    """Return the status that a commit should show, None where there is nothing to say of it."""
    build, repository = facts.build, facts.repository
    match facts.standing:
        case "waiting":
            return _waiting_status(facts, addresses)
        case "held" | "left":
            return None
        case "ready" if build:
            return Status("success", _ready(build), addresses.notebook(repository, facts.sha, facts.notebook))
        case _:
            return status_of_build(build, addresses) if build else None


def status_of_build(build: Build, addresses: Addresses) -> Status:
    """Return the status of a commit whose build did not become a notebook that could be opened, or not yet."""
    page = addresses.build(build)
    match standing_of_build(build):
        case "failed":
            return _status_of_fault(build.fault or {}, page)
        case "stopped":
            return Status("error", one_line(reason_of_end(build), LONGEST_DESCRIPTION_CHARACTERS), page)
        case "building":
            return Status("pending", words_of_plan(build), page)
        case _:
            return Status("pending", "Queued", page)


def words_of_plan(build: Build) -> str:
    """Return what is known of a build that goes on: `Building: 3 of 4 layers re-used`, `Running the notebooks`."""
    if build.awaits_check:
        return "Built – running its notebooks"  # noqa: RUF001 - a dash, as in print
    reused = words_of_layers((build.result or {}).get("layers"))
    return f"Building: {reused}" if reused else "Building …"


def _status_of_fault(fault: Mapping[str, Any], page: str) -> Status:
    state: StatusState = "failure" if fault.get("party") == "repository" else "error"
    return Status(state, one_line(headline_of_fault(fault), LONGEST_DESCRIPTION_CHARACTERS), page)


def headline_of_fault(fault: Mapping[str, Any]) -> str:
    """Return whose fault it is that there is no image, and what is wrong."""
    described = "Build failed" if fault.get("party") == "repository" else "Not built"
    if fault.get("step") == "notebook":
        described = "Notebook failed"
    return f"{described}: {text_of_fault(fault)}"


def _waiting_status(facts: CommitFacts, addresses: Addresses) -> Status:
    pull = next(preview for preview in facts.live if is_waiting(preview))
    text = f"Waiting for approval: somebody with write access may allow it with /ok-to-test {facts.sha[:7]}"
    return Status("pending", text, addresses.pull(facts.repository, pull.ref))


def ended_status(preview: Preview, sha: str) -> Status:
    """Return the status of a commit that was pending, and that `preview` has left behind, or does not want built."""
    return Status("error", one_line(words_of_end(preview, sha), LONGEST_DESCRIPTION_CHARACTERS), None)


def words_of_end(preview: Preview, sha: str) -> str:
    """Return why a commit is not built: its preview holds it, or has left it behind."""
    is_held = preview.live and preview.head_sha == sha
    return f"Not built: {preview.held}" if is_held else end_of(preview)


def end_of(preview: Preview) -> str:
    """Return why a commit that `preview` has left behind is not built to the end."""
    if preview.live:
        return f"Superseded by {preview.head_sha[:7]}"
    gone = "the branch was deleted" if preview.kind == "branch" else "the pull request was closed"
    return f"Cancelled: {preview.held or gone}"


def reason_of_end(build: Build) -> str:
    """Return what was written down when a build was stopped: a preview may have moved on again since."""
    return str((build.fault or {}).get("message") or build.state.capitalize())


def text_of_fault(fault: Mapping[str, Any]) -> str:
    """Return the place at fault and what is wrong there, in one line."""
    file, line, step = fault.get("file"), fault.get("line"), fault.get("step")
    place = f"{file} line {line}" if file and line else file or step
    message = one_line(str(fault.get("message") or "see the log"), _LONGEST_QUOTE)
    # Some sentences begin with the file: they need not be told it twice.
    return message if not place or message.startswith(str(file or step)) else f"{place}: {message}"


def _ready(build: Build) -> str:
    facts = words_of_work(build)
    return one_line(f"{_READY} ({facts})" if facts else _READY, LONGEST_DESCRIPTION_CHARACTERS)


def words_of_work(build: Build) -> str:
    """Return how long a build took, its way, and what it re-used; empty where nothing is known."""
    result = build.result or {}
    return ", ".join(
        filter(None, (took(build), words_of_way(result.get("way")), words_of_layers(result.get("layers"))))
    )


def took(build: Build) -> str:
    """Return how long a build took, from its start to its end; empty where that is not known."""
    seconds = seconds_of(build)
    return "" if seconds is None else words_of_time(seconds)


def seconds_of(build: Build) -> float | None:
    """Return the seconds from a build's start to its end, None where they are not known."""
    known = build.started_at and build.finished_at
    return (build.finished_at - build.started_at).total_seconds() if known else None  # type: ignore[operator]
