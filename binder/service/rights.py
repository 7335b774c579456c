"""What the controller's account must be allowed on a cluster, by where: each part says what it asks for. Pure."""

from collections.abc import Mapping, Sequence
from typing import Literal

from build.cluster.rights import BUILDS_RULES
from build.cluster.rights import NODES_RULES as NODES_OF_BUILDS_RULES
from deploy.rights import NODES_RULES, SESSIONS_RULES, Rule

Place = Literal["sessions", "builds", "cluster"]

# Who leads is written down beside what he starts.
_LEASES_RULES: Sequence[Rule] = (
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
)

CONTROLLER_RIGHTS: Mapping[Place, Sequence[Rule]] = {
    "sessions": (*SESSIONS_RULES, *_LEASES_RULES),
    "builds": BUILDS_RULES,
    "cluster": [*NODES_OF_BUILDS_RULES, *NODES_RULES],
}
"""Rules of RBAC for the namespaces of sessions and of builds, and for what is in none."""
