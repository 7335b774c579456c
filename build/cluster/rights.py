"""What builds ask of a cluster's API server, and so what the service's account must be allowed: no more, no less.

Each is a rule of RBAC. The chart's roles are made of these, and the tests of builds run as an account that has them and
nothing else. Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Rule: TypeAlias = Mapping[str, Sequence[str]]

BUILDS_RULES: Sequence[Rule] = (
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "create", "delete"]},
    # Deleted is a pod only whose node does not say that it ended.
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    # No order is read again.
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "delete"]},
    # Why a Job has no pod stands nowhere else.
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["create", "patch"]},
)
"""Rights in the namespace of the builds."""

NODES_RULES: Sequence[Rule] = ({"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]},)
"""Rights on the cluster, where builds keep their cache on nodes (`BINDER_BUILDER_CACHE=host:…`)."""
