"""What a build did, in the words that its page and GitHub share: pure functions over `Build.result`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_WAYS: Final[Mapping[str, str]] = {
    "nothing": "image was there already",
    "content": "only files changed",
    "delta": "packages changed, one layer on the last environment",
    "full": "built whole",
}
_OUTCOMES: Final[Mapping[str | None, str]] = {"passed": "ran", "failed": "failed", "stopped": "stopped"}
_UNITS: Final = ("B", "kB", "MB", "GB")


def words_of_way(way: str | None) -> str:
    """Return what the way means: `only files changed`; a way that is not known here is its own word."""
    return _WAYS.get(way, way) if way else ""


def words_of_layers(layers: Sequence[Mapping[str, Any]] | None) -> str:
    """Return how many were re-used: `3 of 4 layers re-used`; empty where no layer is known."""
    if not layers:
        return ""
    return f"{sum(bool(layer.get('reused')) for layer in layers)} of {len(layers)} layers re-used"


def words_of_saving(saved: Mapping[str, Any] | None) -> str:
    """Return what was saved: `312 MB and 41 s`; empty where it is nothing, or not known."""
    size, seconds = (saved or {}).get("bytes") or 0, (saved or {}).get("seconds") or 0
    # Below a tenth of a second it would read as nothing at all.
    parts = [words_of_size(size) if size > 0 else "", words_of_time(seconds) if seconds >= 0.05 else ""]
    return " and ".join(filter(None, parts))


def word_of_outcome(outcome: str | None) -> str:
    """Return what became of a notebook that has to run."""
    return _OUTCOMES.get(outcome, "waits")


def words_of_notebooks(notebooks: Sequence[Mapping[str, Any]] | None) -> str:
    """Return how many ran: `2 of 3 notebooks ran`; empty where none had to."""
    if not notebooks:
        return ""
    return f"{sum(one.get('outcome') == 'passed' for one in notebooks)} of {len(notebooks)} notebooks ran"


def size_of_layers(layers: Sequence[Mapping[str, Any]] | None) -> int | None:
    """Return the bytes of an image of these layers, None where the size of one is not known."""
    sizes = [layer.get("bytes") for layer in layers or ()]
    return sum(size for size in sizes if size is not None) if sizes and None not in sizes else None


def words_of_size(size: float) -> str:
    """Return a number of bytes in decimal units, at most three digits before the point: `312 MB`."""
    unit = 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit and size < 9.95 else f"{size:.0f} {_UNITS[unit]}"


def words_of_time(seconds: float) -> str:
    """Return a length of time: `2.5 s`, `41 s`, `3 min 12 s`, `5 h 2 min`, `3 days 4 h`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 2 * 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = whole // 60
    if minutes < 2 * 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} days {minutes % 1440 // 60} h"
