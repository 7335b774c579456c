"""How a build was done, and what that saved: pure, from what was there before and what is known of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from build.plan import Layer

Way = Literal["nothing", "content", "delta", "full"]
"""Nothing to do; one layer of files; packages exchanged in an earlier environment; the environment too, whole."""

_SHOWN = 3


@dataclass(frozen=True)
class BuiltLayer:
    """One layer of an image: whether it was there, and what is known of its size and of how long it took to make."""

    layer: Layer
    reused: bool
    size_bytes: int | None = None
    seconds: float | None = None


def way_of(layers: Sequence[BuiltLayer], *, is_delta: bool) -> Way:
    """Return the way of a build whose layers are these, from the bottom up."""
    if layers[-1].reused:
        return "nothing"
    if is_delta:
        return "delta"
    kept = {layer.layer.kind for layer in layers if layer.reused}
    return "content" if "environment" in kept else "full"


def why_of(way: Way, layers: Sequence[BuiltLayer], changed: Sequence[str] = ()) -> str:
    """Return why it was that way, as a sentence; `changed` are the packages that were exchanged."""
    made = [layer.layer.kind for layer in layers if not layer.reused]
    match way:
        case "nothing":
            return "The image of this commit was there already."
        case "content" if "prepared" in made:
            return "What postBuild reads has changed; the environment of these packages was there."
        case "content":
            return "The environment of these packages was there: only the repository's files were laid on it."
        case "delta":
            more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
            return f"An earlier environment differs only in {', '.join(changed[:_SHOWN])}{more}: those were exchanged."
        case "full":
            below = " and Debian's packages" if "system" in made else ""
            return f"No environment of these packages{below} was there, nor one that is near it."


def saved_by(layers: Sequence[BuiltLayer]) -> dict[str, float]:
    """Return what the re-used layers would have cost: `bytes` and `seconds`, as far as it is known."""
    reused = [layer for layer in layers if layer.reused]
    return {
        "bytes": sum(layer.size_bytes or 0 for layer in reused),
        "seconds": round(sum(layer.seconds or 0 for layer in reused), 1),
    }
