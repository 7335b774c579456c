"""What the engine asks of a cluster's API server, and so what its account must be allowed: no more, no less.

Each is a rule of RBAC. The chart's roles are made of these, and the tests of the engine run as an account that has them
and nothing else. Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Rule: TypeAlias = Mapping[str, Sequence[str]]

# Where something is made by server-side apply, it asks for both `create` and `patch`.
SESSIONS_RULES: Sequence[Rule] = (
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch", "create", "patch", "delete"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    # Their labels alone are listed: no token is read again.
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch", "create", "patch", "delete"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["create", "patch", "delete"]},
    # Of services that have pods of their own (`mode: multi-node`); their Secret takes them with it.
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "create", "patch", "delete"]},
    {"apiGroups": [""], "resources": ["services"], "verbs": ["create", "patch", "delete"]},
)
"""Rights in the namespace of the sessions."""

NODES_RULES: Sequence[Rule] = ({"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]},)
"""Rights on the cluster, where images are brought to nodes before the click (`BINDER_PRELOAD_DISK_BYTES`)."""
