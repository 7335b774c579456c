"""What is on the cluster for the cluster: its DNS, and the rights of what enforces network policies. Pure.

Source: https://github.com/coredns/deployment/blob/master/kubernetes/coredns.yaml.sed,
https://github.com/cloudnativelabs/kube-router/blob/v2.1.0/daemonset/generic-kuberouter.yaml
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.cluster.api import Object
from tests.cluster.images import name_in
from tests.cluster.layout import DNS_ADDRESS, DOMAIN, REGISTRY

SYSTEM = "kube-system"
"""The namespace that all of it is in."""
KUBE_ROUTER = "system:kube-router"
"""The user that kube-router is."""
_CORE_FILE = f"""\
.:53 {{
    errors
    health
    ready
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 5
        fallthrough in-addr.arpa ip6.arpa
    }}
    forward . /etc/resolv.conf
    cache 5
}}
"""
_RBAC = "rbac.authorization.k8s.io"
_READ = ["get", "list", "watch"]
_NAMES = {"": ["endpoints", "namespaces", "pods", "services"], "discovery.k8s.io": ["endpointslices"]}
_POLICIES = {**_NAMES, "": [*_NAMES[""], "nodes"], "networking.k8s.io": ["networkpolicies"]}


def system_objects() -> Sequence[Object]:
    """Return all that is to be there, in the order in which it is made."""
    return [
        _object("v1", "ServiceAccount", "coredns"),
        *_role("coredns", _NAMES, {"kind": "ServiceAccount", "name": "coredns", "namespace": SYSTEM}),
        _object("v1", "ConfigMap", "coredns", data={"Corefile": _CORE_FILE}),
        _object("apps/v1", "Deployment", "coredns", spec=_pods("coredns", _dns_pod(), replicas=1)),
        _object("v1", "Service", "kube-dns", spec=_DNS_SERVICE),
        *_role("kube-router", _POLICIES, {"kind": "User", "apiGroup": _RBAC, "name": KUBE_ROUTER}),
    ]


def _object(api_version: str, kind: str, name: str, **fields: Any) -> Object:
    metadata = {"name": name, "namespace": SYSTEM}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def _role(name: str, may_read: Mapping[str, Sequence[str]], subject: Object) -> Sequence[Object]:
    """Return what lets a user or an account read all objects of some kinds: API group → kinds."""
    role = {"apiVersion": f"{_RBAC}/v1", "metadata": {"name": f"system:{name}"}}
    rules = [{"apiGroups": [group], "resources": kinds, "verbs": _READ} for group, kinds in may_read.items()]
    reference = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": f"system:{name}"}
    return [
        {"kind": "ClusterRole", **role, "rules": rules},
        {"kind": "ClusterRoleBinding", **role, "roleRef": reference, "subjects": [subject]},
    ]


def _pods(name: str, pod: Object, **fields: Any) -> Object:
    labels = {"k8s-app": name}
    template = {"metadata": {"labels": labels}, "spec": {"serviceAccountName": name, **pod}}
    return {"selector": {"matchLabels": labels}, "template": template, **fields}


def _dns_pod() -> Object:
    container = {
        "name": "coredns",
        "image": name_in(REGISTRY, "coredns"),
        "args": ["-conf", "/etc/coredns/Corefile"],
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/coredns", "readOnly": True}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    return {
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "containers": [container],
        "volumes": [{"name": "settings", "configMap": {"name": "coredns"}}],
    }


_DNS_SERVICE = {
    "clusterIP": DNS_ADDRESS,
    "selector": {"k8s-app": "coredns"},
    "ports": [{"name": f"dns-{kind.lower()}", "port": 53, "protocol": kind} for kind in ("UDP", "TCP")],
}
