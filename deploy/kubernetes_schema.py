"""What Kubernetes would say of a manifest, without a cluster: by its own client's account of all kinds and fields.

Importing it takes two seconds: whoever may do without imports it late.
"""

import json
from functools import cache
from typing import Any

from kubernetes import client
from kubernetes.client import ApiClient


@cache
def _connection() -> ApiClient:
    return ApiClient()


def objections_to(manifest: Any) -> str:
    """Return what Kubernetes would not take of a manifest: a kind or a field that it does not know, a value of another
    type than its own, something that is missing. Nothing, where it would take all of it.
    """
    version, kind = manifest["apiVersion"], manifest["kind"]
    if not _is_known(version, kind):
        return f"{version} has no {kind}"
    try:
        model = f"V{version.rpartition('/')[2].removeprefix('v')}{kind}"
        known = _connection().deserialize(json.dumps(manifest), model, "application/json")
    except (AttributeError, ValueError) as error:
        return f"{kind}: {error}"
    # What the client does not know, it drops; what is of another type, it converts.
    return _difference(manifest, _connection().sanitize_for_serialization(known), kind)  # type: ignore[no-untyped-call]


def _is_known(version: str, kind: str) -> bool:
    """Whether an API group has a kind: its client can create one, in a namespace or without."""
    group, _, number = version.rpartition("/")
    name = "".join(part.capitalize() for part in (group or "core").removesuffix(".k8s.io").split("."))
    api = getattr(client, f"{name}{number.capitalize()}Api", None)
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind)
    return any(hasattr(api, f"create{scope}{words}") for scope in ("_namespaced", ""))


def _difference(given: Any, known: Any, place: str) -> str:
    if isinstance(given, dict) and isinstance(known, dict):
        return next((said for name, value in given.items() if (said := _of_field(name, value, known, place))), "")
    if isinstance(given, list) and isinstance(known, list) and len(given) == len(known):
        pairs = enumerate(zip(given, known, strict=True))
        return next((said for i, (one, other) in pairs if (said := _difference(one, other, f"{place}[{i}]"))), "")
    # JSON tells numbers from truth, Python does not.
    if type(given) is type(known) and given == known:
        return ""
    return f"{place} is {json.dumps(given)}, which would be read as {json.dumps(known)}"


def _of_field(name: str, value: Any, known: dict[str, Any], place: str) -> str:
    return _difference(value, known[name], f"{place}.{name}") if name in known else f"{place}.{name} is not known"
