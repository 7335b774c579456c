"""What keeps one from another on a real cluster: Pod Security, RBAC, and network policies that are enforced."""

from functools import partial

import pytest

from tests.cluster.api import Refused
from tests.cluster.given import Cluster, Namespace, until
from tests.cluster.layout import NODE_ADDRESS

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("hostNetwork", True, r"host namespaces \(hostNetwork=true\)"),
        ("hostPID", True, r"host namespaces \(hostPID=true\)"),
        ("volumes", [{"name": "root", "hostPath": {"path": "/"}}], r"uses restricted volume type \"hostPath\""),
    ],
)
def test_pod_security_refuses_what_reaches_the_node(cluster: Cluster, field: str, value: object, reason: str) -> None:
    with cluster.namespace(pod_security="restricted") as namespace:
        pod = namespace.pod("bold", "sleep", "1")
        pod["spec"][field] = value
        with pytest.raises(Refused, match=f'violates PodSecurity "restricted.*{reason}') as refused:
            namespace.start(pod)
        assert refused.value.status == 403


def test_pod_security_refuses_a_privileged_container(cluster: Cluster) -> None:
    with cluster.namespace(pod_security="restricted") as namespace:
        pod = namespace.pod("bold", "sleep", "1")
        pod["spec"]["containers"][0]["securityContext"] = {"privileged": True}
        with pytest.raises(Refused, match=r"must not set securityContext.privileged=true"):
            namespace.start(pod)
        assert namespace.run("modest", "sleep", "600").phase() == "Running"


def test_an_account_may_do_what_its_role_says_and_nothing_else(cluster: Cluster) -> None:
    with cluster.namespace() as namespace, cluster.namespace() as other:
        rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
        account = cluster.api.as_bearer(namespace.account(rules))

        def status_of(path: str) -> int:
            try:
                account.list(path)
            except Refused as error:
                return error.status
            return 200

        until(lambda: status_of(f"/api/v1/namespaces/{namespace.name}/pods") == 200, "the role has no effect")
        assert status_of(f"/api/v1/namespaces/{namespace.name}/secrets") == 403
        assert status_of(f"/api/v1/namespaces/{other.name}/pods") == 403
        assert status_of("/api/v1/nodes") == 403
        account.close()


_SERVE = ("sh", "-c", "exec httpd -f -p 8080 -h /tmp")


def test_nothing_reaches_a_pod_that_no_policy_lets_in(cluster: Cluster) -> None:
    with cluster.namespace() as namespace:
        address = namespace.run("served", *_SERVE, labels={"app": "served"}).address()
        friend = namespace.run("friend", "sleep", "600", labels={"app": "friend"})
        stranger = namespace.run("stranger", "sleep", "600", labels={"app": "stranger"})
        until(lambda: friend.reaches(address, 8080), "nobody serves")
        assert stranger.reaches(address, 8080)
        _apply_policy(
            namespace,
            podSelector={"matchLabels": {"app": "served"}},
            policyTypes=["Ingress"],
            ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}],
        )
        until(lambda: not stranger.reaches(address, 8080), "the policy has no effect")
        assert friend.reaches(address, 8080)


def test_a_pod_reaches_only_what_its_policy_names(cluster: Cluster) -> None:
    """As a session's will be: its own modules, but no other session, nor the node, nor the API server."""
    with cluster.namespace() as namespace:
        other = namespace.run("other", *_SERVE, labels={"session": "other"})
        module = namespace.run("module", *_SERVE, labels={"session": "own"})
        session = namespace.run("session", "sleep", "600", labels={"session": "own"})
        api_server = cluster.service_address("kubernetes", "default")
        for address, port in (
            (other.address(), 8080),
            (module.address(), 8080),
            (api_server, 443),
            (NODE_ADDRESS, 6443),
        ):
            until(partial(session.reaches, address, port), f"{address} cannot be reached")
        own = {"podSelector": {"matchLabels": {"session": "own"}}}
        dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
        ports = [{"port": 53, "protocol": kind} for kind in ("UDP", "TCP")]
        _apply_policy(
            namespace,
            podSelector={"matchLabels": {"session": "own"}},
            policyTypes=["Ingress", "Egress"],
            ingress=[{"from": [own]}],
            egress=[{"to": [own]}, {"to": [dns], "ports": ports}],
        )
        until(lambda: not session.reaches(other.address(), 8080), "the policy has no effect")
        assert not session.reaches(api_server, 443)
        assert not session.reaches(NODE_ADDRESS, 6443)
        assert not other.reaches(module.address(), 8080)
        assert session.reaches(module.address(), 8080)
        assert api_server in session.execute("nslookup", "kubernetes.default.svc.cluster.local")


def _apply_policy(namespace: Namespace, **spec: object) -> None:
    namespace.create("networking.k8s.io/v1", "NetworkPolicy", "policy", spec=spec)
