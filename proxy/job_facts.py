"""What a job of a workflow is told of a build, as JSON. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from binder.build_words import words_of_layers, words_of_saving, words_of_way
from binder.lifecycle import is_final
from binder.settings import Settings
from binder.store.tables import Build, NotebookRun, Repository
from proxy.answers import WHOSE_FAULT
from proxy.links import link_to
from proxy.progress import words_of_state
from proxy.providers import named_of, provider_of


def build_told(build: Build, repository: Repository, settings: Settings, *, was_there: bool) -> dict[str, Any]:
    """Return how far a build is, what it made or what went wrong, and where a person sees more.

    `image` names it for good where there is a registry. `seconds` is how long it took from when it was queued.
    """
    result = build.result or {}
    link = link_to(provider_of(repository).id, named_of(repository), build.sha, {})
    took = (build.finished_at - build.queued_at).total_seconds() if build.finished_at else None
    words = (words_of_way(result.get("way")), words_of_layers(result.get("layers")), _saved(result))
    return {
        "build": build.id,
        "repository": repository.full_name,
        "sha": build.sha,
        "state": build.state.value,
        "label": words_of_state(build),
        "is_over": is_final(build.state),
        "was_there": was_there,
        "seconds": took,
        "facts": "; ".join(filter(None, words)),
        "image": _image(result, settings),
        "fault": _fault(build),
        "url": f"{settings.url}{link.address}",
        "page": f"{settings.url}/builds/{build.id}",
    }


def notebooks_told(runs: Sequence[NotebookRun], settings: Settings) -> list[dict[str, Any]]:
    """Return how far the notebooks are that a job wants to see run."""
    return [
        {
            "path": run.path,
            "outcome": run.outcome,
            "seconds": run.seconds,
            "reused": run.reused,
            "fault": run.fault and {name: run.fault.get(name) for name in ("party", "message", "line")},
            "page": f"{settings.url}/builds/{run.build_id}/notebooks/{run.id}",
        }
        for run in runs
    ]


def _saved(result: Mapping[str, Any]) -> str:
    saved = words_of_saving(result.get("saved"))
    return f"saved {saved}" if saved else ""


def _image(result: Mapping[str, Any], settings: Settings) -> str | None:
    name, digest = result.get("image"), result.get("digest")
    return f"{settings.registry}@{digest}" if name and digest and settings.registry else name


def _fault(build: Build) -> dict[str, Any] | None:
    if not build.fault:
        return None
    fault = {name: build.fault.get(name) for name in ("party", "message", "file", "line", "step")}
    return fault | {"whose": WHOSE_FAULT.get(build.fault.get("party", "operator"), WHOSE_FAULT["operator"])}
