"""All objects of a cluster, of every kind that its API server knows: what was there before, and what is left after."""

from collections.abc import Iterator
from typing import Any

from tests.cluster.api import Api, Refused

Place = tuple[str, str, str]
"""What an object is: its group and kind, its namespace (empty for none) and its name."""

# They tell of what happened, and go by themselves an hour later.
_OF_THE_PAST = "Event"
_OF_THE_CLUSTER = {"default", "kube-node-lease", "kube-public", "kube-system"}


def everything(api: Api) -> set[Place]:
    """Return all objects there are."""
    return {place for path in _versions(api) for place in _objects_of(api, path)}


def left_behind(before: set[Place], after: set[Place], *, ours: str) -> list[Place]:
    """Return what is there since `before` and is not of namespaces that others made meanwhile, as other tests do.

    `ours` is in the names of all namespaces of whoever is looked at; what others have in none is named after theirs.
    """
    others = {name for kind, _, name in after if kind == "v1 Namespace" and ours not in name} - _OF_THE_CLUSTER
    return sorted(place for place in after - before if not _is_of(place, others))


def _is_of(place: Place, namespaces: set[str]) -> bool:
    _, namespace, name = place
    return namespace in namespaces or (not namespace and any(other in name for other in namespaces))


def _versions(api: Api) -> Iterator[str]:
    yield "/api/v1"
    for group in api.ask("GET", "/apis")["groups"]:
        yield f"/apis/{group['preferredVersion']['groupVersion']}"


def _objects_of(api: Api, path: str) -> Iterator[Place]:
    for resource in api.ask("GET", path)["resources"]:
        if "list" not in resource["verbs"] or resource["kind"] == _OF_THE_PAST:
            continue
        kind = f"{path.removeprefix('/apis/').removeprefix('/api/')} {resource['kind']}"
        for found in _listed(api, f"{path}/{resource['name']}"):
            yield kind, found["metadata"].get("namespace", ""), found["metadata"]["name"]


def _listed(api: Api, path: str) -> list[dict[str, Any]]:
    try:
        return api.ask("GET", path)["items"] or []
    except Refused as refused:
        if refused.status in {404, 405}:
            return []  # it is listed somewhere else
        raise
