"""The check run of a commit: pure functions from rows to its words, its annotations and its buttons."""

from collections.abc import Mapping
from typing import Any, Final

from binder.build_words import (
    size_of_layers,
    word_of_outcome,
    words_of_saving,
    words_of_size,
    words_of_time,
    words_of_way,
)
from binder.store.tables import Build, Preview
from githubapp.markdown import code_span, one_line, unmarked
from githubapp.reports import (
    Addresses,
    CommitFacts,
    headline_of_fault,
    is_waiting,
    notebooks_of,
    reason_of_end,
    text_of_fault,
    took,
    words_of_end,
    words_of_plan,
)
from githubapp.values import Check, CheckConclusion, CheckStatus
from templates import render

NAME = "binder/build"

# Source: https://docs.github.com/en/rest/checks/runs#create-a-check-run
_LONGEST_TITLE = 255
_LONGEST_MESSAGE = 2000
_LONGEST_TRACEBACK = 3000
_MOST_ANNOTATIONS = 50
_LONGEST_WORDS = 300
_MOST_NOTEBOOKS = 20
_MOST_PACKAGES = 30
_RERUN: Final = {"label": "Re-run", "description": "Build this commit again.", "identifier": "rerun"}
_APPROVE: Final = {"label": "Approve", "description": "Build this commit of a fork.", "identifier": "approve"}


def check_of(facts: CommitFacts, addresses: Addresses) -> Check | None:
    """Return the check run that a commit should show, None where there is nothing to say of it."""
    if facts.standing == "waiting":
        return _waiting_check(facts, addresses)
    return _check_of_build(facts, facts.build, addresses) if facts.build else None


def _check_of_build(facts: CommitFacts, build: Build, addresses: Addresses) -> Check:
    status, conclusion, title = _headline(facts, build)
    is_failed = conclusion == "failure"
    return Check(
        status,
        conclusion,
        one_line(title, _LONGEST_TITLE),
        _summary(facts, build, addresses),
        annotations=_annotations(build) if is_failed else [],
        actions=[_RERUN] if facts.live and (is_failed or conclusion == "cancelled") else [],
        details_url=addresses.build(build),
        external_id=str(build.id),
    )


def _headline(facts: CommitFacts, build: Build) -> tuple[CheckStatus, CheckConclusion | None, str]:
    match facts.standing:
        case "queued":
            return "queued", None, "Queued"
        case "building":
            return "in_progress", None, words_of_plan(build)
        case "ready":
            return "completed", "success", f"Ready in {took(build)}" if took(build) else "Ready"
        case "failed":
            return "completed", "failure", headline_of_fault(build.fault or {})
        case _:
            return "completed", "cancelled", reason_of_end(build)


def ended_check(preview: Preview, sha: str) -> Check:
    """Return the check of a commit that waited, and that `preview` has left behind, or does not want built."""
    title = words_of_end(preview, sha)
    conclusion: CheckConclusion = "neutral" if preview.live and preview.head_sha == sha else "cancelled"
    return Check("completed", conclusion, one_line(title, _LONGEST_TITLE), code_span(title, _LONGEST_WORDS))


def _waiting_check(facts: CommitFacts, addresses: Addresses) -> Check:
    pull = next(preview for preview in facts.live if is_waiting(preview))
    return Check(
        "completed",
        "action_required",
        "Waiting for approval",
        render("github/waiting.md", sha=facts.sha),
        actions=[_APPROVE],
        details_url=addresses.pull(facts.repository, pull.ref),
        external_id="waiting",
    )


def _annotations(build: Build) -> list[dict[str, Any]]:
    """Return the notes at the lines at fault: of each notebook that failed, or else of the build."""
    notebooks = [one for one in _notebooks_of(build) if one.get("outcome") == "failed" and one.get("message")]
    if notebooks:
        return [_annotation({**one, "file": one["path"]}) for one in notebooks[:_MOST_ANNOTATIONS]]
    fault = build.fault or {}
    return [_annotation(fault)] if fault.get("file") else []


def _annotation(fault: Mapping[str, Any]) -> dict[str, Any]:
    """Return the note at a line; a file without a line is noted at its first."""
    line = fault.get("line") or 1
    message = str(fault.get("message") or "See the log.")[:_LONGEST_MESSAGE]
    traceback = str(fault.get("traceback") or "")[-_LONGEST_TRACEBACK:]
    return {
        "path": str(fault["file"]),
        "start_line": line,
        "end_line": line,
        "annotation_level": "failure",
        "title": "This line" if fault.get("line") else "This file",
        "message": f"{message}\n\n{traceback}" if traceback else message,
    }


def _notebooks_of(build: Build) -> list[Mapping[str, Any]]:
    """Return how far the notebooks are that have to run before the build is good."""
    return list((build.result or {}).get("notebooks") or ())


def _summary(facts: CommitFacts, build: Build, addresses: Addresses) -> str:
    result, standing = build.result or {}, facts.standing
    is_made = standing == "ready"
    layers = result.get("layers") or []
    size = size_of_layers(layers) if is_made else None
    changed = [code_span(str(name), 100) for name in result.get("changed") or ()]
    notebooks = list(dict.fromkeys(path for preview in facts.live for path in notebooks_of(preview)))
    return render(
        "github/check.md",
        open_url=addresses.notebook(facts.repository, facts.sha, facts.notebook) if is_made else None,
        notebooks=[
            (code_span(path, _LONGEST_WORDS), addresses.notebook(facts.repository, facts.sha, path))
            for path in notebooks[:_MOST_NOTEBOOKS]
        ]
        if is_made
        else [],
        fault=code_span(text_of_fault(build.fault or {}), _LONGEST_WORDS) if standing == "failed" else None,
        checked=[_checked_row(one, addresses.service, build) for one in _notebooks_of(build)],
        way=_sentence(words_of_way(result.get("way"))),
        why=unmarked(str(result.get("why") or ""), _LONGEST_WORDS) if result.get("why") else None,
        saved=words_of_saving(result.get("saved")),
        layers=[_row(layer, is_made=is_made) for layer in layers],
        phases=[(phase, words_of_time(seconds)) for phase, seconds in (result.get("seconds") or {}).items()],
        size=None if size is None else words_of_size(size),
        packages=result.get("packages"),
        changed=changed[:_MOST_PACKAGES],
        more=max(0, len(changed) - _MOST_PACKAGES),
        short_sha=build.sha[:7],
        log_url=addresses.build(build),
    )


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"


def _checked_row(notebook: Mapping[str, Any], service: str, build: Build) -> tuple[str, str, str, str]:
    seconds = notebook.get("seconds")
    return (
        code_span(str(notebook.get("path")), _LONGEST_WORDS).replace("|", "\\|"),
        f"{service}/builds/{build.id}/notebooks/{int(notebook.get('id') or 0)}",
        word_of_outcome(notebook.get("outcome")),
        "–" if seconds is None else words_of_time(seconds),  # noqa: RUF001
    )


def _row(layer: Mapping[str, Any], *, is_made: bool) -> tuple[str, str, str, str]:
    size, seconds = layer.get("bytes"), layer.get("seconds")
    return (
        str(layer.get("kind") or "layer"),
        "re-used" if layer.get("reused") else "made" if is_made else "new",
        "–" if size is None else words_of_size(size),  # noqa: RUF001 - a dash, as in print
        "–" if seconds is None else words_of_time(seconds),  # noqa: RUF001
    )
