"""What is asked of Conda channels, where they are, and what went wrong with them: pure readings and translations.

Each kind of file has a module of its own; solving and installing is done by `templates/build/conda.py`, inside a build.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from binder.errors import BinderError, RepositoryFault, WorldFault
from binder.hosts import CONDA
from build.recipes.conda_files import (
    IMPLIED_CHANNEL,
    SUBDIR,
    CondaPackage,
    CondaRequest,
    channel_and_rest,
    environment_request,
)
from build.recipes.pixi import pixi_request
from build.recipes.pixi_lock import lock_request

__all__ = ["CondaChannels", "CondaPackage", "CondaRequest", "channel_urls", "conda_request", "explain_conda"]

_READERS = {"pixi.toml": pixi_request, "pixi.lock": lock_request}
_ALIAS = f"https://{CONDA}"
_DEFAULTS = frozenset({"defaults", "main", "anaconda", "r", "pkgs/main", "pkgs/r", "pkgs/free", "pkgs/msys2"})
_DEFAULTS_AT = ("https://repo.anaconda.com/pkgs/", "https://repo.continuum.io/pkgs/")
_SAID = re.compile(r"^binder: (\w+): (.*)$", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_LONGEST = 500
_MOST_READ = 20_000


@dataclass(frozen=True)
class CondaChannels:
    """Where this service gets Conda's packages: a channel named by a word is at `alias`/word, or in `replacements`."""

    alias: str = _ALIAS
    replacements: Mapping[str, str] = field(default_factory=dict)


def conda_request(path: str, text: str) -> CondaRequest:
    """Return what an environment.yml, a pixi.toml or a pixi.lock asks for.

    Raises: RepositoryFault, with file and line.
    """
    return _READERS.get(path.rpartition("/")[2], environment_request)(path, text)


def channel_urls(channels: Sequence[str], alias: str, replacements: Mapping[str, str]) -> tuple[str, ...]:
    """Return the addresses of channels, in order; an address that stands for a word is treated like the word.

    `defaults` is conda-forge here: Anaconda's own channels may not be used by everybody for free, and a service cannot
    accept their terms for its visitors. An operator who has a licence replaces `defaults` by its address.
    """
    urls: list[str] = []
    for channel in map(_word_of, channels):
        if channel == "nodefaults":
            continue
        word = IMPLIED_CHANNEL if channel in _DEFAULTS and channel not in replacements else channel
        is_address = "://" in word and word not in replacements
        urls.append(word if is_address else replacements.get(word, f"{alias.rstrip('/')}/{word}").rstrip("/"))
    return tuple(dict.fromkeys(urls))


def request_json(request: CondaRequest, channels: CondaChannels, newest: str | None) -> str:
    """Return what `conda.py solve` reads; `newest` (ISO 8601, UTC) hides the packages that came later."""
    specs, named = [], []
    for spec in request.specs:
        channel, rest = channel_and_rest(spec)
        named += [channel] if channel else []
        places = _urls_of([channel], channels) if channel else ()
        specs.append({"spec": rest, "channel": places[0] if places else None})
    # As in conda, a channel that is named only before a package is searched after all others.
    return json.dumps(
        {
            "channels": _urls_of([*request.channels, *named], channels),
            "specs": specs,
            "as_of": newest,
            "priority": request.priority,
            "subdir": SUBDIR,
        }
    )


def locked_records(request: CondaRequest, channels: CondaChannels) -> list[dict[str, Any]] | None:
    """Return the packages of a lock as `conda.py solve` would print them, at this service's channels; None without."""
    if request.locked is None:
        return None
    return [asdict(package) | {"url": _located(package.url, channels)} for package in request.locked]


def explain_conda(output: str, request: CondaRequest | None) -> BinderError | None:
    """Return the fault in what `conda.py` printed, or None where there is none; an installation has no request."""
    said = _SAID.findall(output[-_MOST_READ:])
    if not said:
        return None
    kind, what = said[-1]
    path, lines = (request.path, request.lines) if request else (None, {})
    if kind == "unreachable":
        return WorldFault(_sentence(f"A Conda channel could not be reached: {what}"))
    if kind == "checksum":
        return WorldFault(_sentence(f"A Conda package is not what the lock names. {what}"))
    name = _WORD.findall(what.lower())[0] if _WORD.search(what) else ""
    line = lines.get(name)
    if kind == "unsatisfiable":
        line = next((lines[word] for word in _WORD.findall(what.lower()) if word in lines), None)
    messages = {
        "nochannel": f"There is no Conda channel at {what}",
        "unknown": f"No channel has a package named {what}. Its name may be another one, or it may only be on PyPI",
        "unmatched": "No version satisfies {}; the newest that there are: {}".format(*what.partition(": ")[::2]),
        "unsatisfiable": f"The Conda packages do not go together. {what}",
        "spec": f"Not a Conda package with a version: {what}",
        "unlockable": f"The channel has no checksum for {what}, so that nobody could tell whether it is the same again",
        "install": f"The Conda packages could not be installed: {what}",
    }
    message = messages.get(kind, what)
    return RepositoryFault(_sentence(message), file=path, line=line, step="environment")


def _urls_of(channels: Sequence[str], places: CondaChannels) -> tuple[str, ...]:
    return channel_urls(channels, places.alias, places.replacements)


def _word_of(channel: str) -> str:
    channel = channel.rstrip("/")
    if channel.startswith(_DEFAULTS_AT):
        return "defaults"
    return channel.removeprefix(f"{_ALIAS}/")


def _located(url: str, channels: CondaChannels) -> str:
    channel, subdir, name = url.rsplit("/", 2)
    # What a lock names exactly is not on another channel.
    if _word_of(channel) in {*_DEFAULTS, "nodefaults"} - set(channels.replacements):
        return url
    return f"{_urls_of([channel], channels)[0]}/{subdir}/{name}"


def _sentence(text: str) -> str:
    text = " ".join(text.split()).rstrip(";")
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return text if text.endswith((".", "…")) else text + "."
