"""What builds on a cluster ask of its API server, and so what the controller's account must be allowed for them.

Each is a rule of RBAC, as in `deploy.rights`: no more, no less.
"""

from collections.abc import Mapping, Sequence

BUILDS_RULES: Sequence[Mapping[str, Sequence[str]]] = (
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "create", "delete"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    # What is ordered is written, and never read again.
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "delete"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["create", "patch"]},
)
"""Rights in the namespace of the builds."""

NODES_RULES: Sequence[Mapping[str, Sequence[str]]] = ({"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]},)
"""Rights in no namespace: a repository is built where its layers are."""
