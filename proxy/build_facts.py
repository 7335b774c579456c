"""What a build's page tells of a build besides its log, in words. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from binder.build_words import (
    word_of_outcome,
    words_of_layers,
    words_of_saving,
    words_of_size,
    words_of_time,
    words_of_way,
)
from binder.settings import Settings
from binder.store.tables import Build, Repository


@dataclass(frozen=True)
class LayerFacts:
    """A layer: whether it was re-used, its size and how long it took; words that are empty are not known."""

    kind: str
    reused: bool
    size: str
    time: str


@dataclass(frozen=True)
class NotebookFacts:
    """A notebook that has to run: `number` is that of its page, empty words are not known."""

    number: int
    path: str
    outcome: str
    time: str


@dataclass(frozen=True)
class BuildFacts:
    """What is known of what a build did; words that are empty are not known.

    `took` holds (phase, time). `digest` names the image, whatever its name leads to later. `modules` are what its
    sessions have beside the notebook.
    """

    way: str
    why: str
    reused: str
    saved: str
    image: str
    digest: str
    packages: int | None
    took: tuple[tuple[str, str], ...]
    layers: tuple[LayerFacts, ...]
    modules: tuple[str, ...] = ()
    notebooks: tuple[NotebookFacts, ...] = ()


def facts_of(build: Build) -> BuildFacts:
    """Return what a build did, from its result, of which anything may be missing."""
    result = build.result or {}
    layers = result.get("layers") or []
    way = words_of_way(result.get("way"))
    return BuildFacts(
        way=way[:1].upper() + way[1:],
        why=result.get("why") or "",
        reused=words_of_layers(layers),
        saved=words_of_saving(result.get("saved")),
        image=result.get("image") or "",
        digest=result.get("digest") or "",
        packages=result.get("packages"),
        took=tuple((phase, words_of_time(seconds)) for phase, seconds in (result.get("seconds") or {}).items()),
        layers=tuple(_layer(layer) for layer in layers),
        modules=tuple(f"{one['title']} {one['version']} ({one['mode']})" for one in result.get("modules") or ()),
        notebooks=tuple(_notebook(one) for one in result.get("notebooks") or ()),
    )


def _notebook(notebook: Mapping[str, Any]) -> NotebookFacts:
    seconds = notebook.get("seconds")
    outcome = word_of_outcome(notebook.get("outcome"))
    return NotebookFacts(notebook["id"], notebook["path"], outcome, "" if seconds is None else words_of_time(seconds))


def _layer(layer: Mapping[str, Any]) -> LayerFacts:
    size, seconds = layer.get("bytes"), layer.get("seconds")
    return LayerFacts(
        layer["kind"],
        bool(layer.get("reused")),
        "" if size is None else words_of_size(size),
        "" if seconds is None else words_of_time(seconds),
    )


def place_address(build: Build, repository: Repository, settings: Settings) -> str | None:
    """Return GitHub's page of the line at fault; None where no file is, or the repository is not GitHub's."""
    fault = build.fault or {}
    if not fault.get("file") or repository.host != settings.github_host:
        return None
    line = f"#L{fault['line']}" if fault.get("line") else ""
    return f"{settings.github_url}/{quote(repository.full_name)}/blob/{build.sha}/{quote(fault['file'])}{line}"
