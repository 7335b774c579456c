"""On which nodes a repository is built best: pure.

A repository's builds go to the same node as long as that is there, for its layers and packages are near then. Each node
has a draw of its own for each repository (rendezvous hashing): when one goes, only its repositories move.
"""

from collections.abc import Iterable

from binder.names import digest_of
from templates import Json

_WEIGHTS = (100, 50)


def by_preference(repository: str, nodes: Iterable[str]) -> list[str]:
    """Return the nodes, the best for a repository first."""
    return sorted(nodes, key=lambda node: (digest_of(repository, node), node), reverse=True)


def affinity_for(repository: str, nodes: Iterable[str]) -> Json:
    """Return the affinity that has a pod rather run on the best of the nodes, and else on the second; never must it."""
    preferred: list[Json] = [
        {
            "weight": weight,
            "preference": {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]},
        }
        for weight, node in zip(_WEIGHTS, by_preference(repository, nodes), strict=False)
    ]
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}} if preferred else {}
