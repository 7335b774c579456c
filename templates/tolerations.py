"""What a Pod puts up with of nodes, as it has it.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

from collections.abc import Sequence

from templates import Json

# A node that is not heard of for 50 s is taken to be lost (the controller manager's word); 300 s more are the default.
_LOST_SECONDS = 30


def toleration_of(key: str, value: str, effect: str) -> Json:
    """Return the toleration of a taint; without a value of any of the key's, without an effect of all of them."""
    said: dict[str, Json] = {"key": key, "operator": "Equal" if value else "Exists"}
    return said | {name: text for name, text in (("value", value), ("effect", effect)) if text}


def lost_for_a_while() -> Sequence[Json]:
    """Return the tolerations of a node that is lost: it may be back soon."""
    keys = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    said: dict[str, Json] = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _LOST_SECONDS}
    return [{"key": key, **said} for key in keys]
