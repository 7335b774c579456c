"""A real node runs what it is given: pods of the local registry, Jobs, commands in pods, and wires to them."""

import socket
from functools import partial

import pytest

from tests.cluster.given import Cluster, Pod, until
from tests.cluster.images import name_in

pytestmark = pytest.mark.cluster

_SERVE = ("sh", "-c", "echo here >/tmp/index.html; exec httpd -f -p 8080 -h /tmp")


def test_a_pod_of_the_local_registry_runs_and_its_output_is_kept(cluster: Cluster) -> None:
    with cluster.namespace() as namespace:
        pod = namespace.start(namespace.pod("speaks", "sh", "-c", "echo I am $(id -u) of $HOSTNAME"))
        until(lambda: pod.phase() == "Succeeded", "it did not end well", why=pod.why)
        assert pod.log() == "I am 1000 of speaks\n"


def test_a_job_tries_again_until_it_is_done(cluster: Cluster) -> None:
    with cluster.namespace() as namespace:
        spec = namespace.pod("work", "sh", "-c", "test -e /kept/tried || { touch /kept/tried; exit 1; }")["spec"]
        # The second try is the same pod's: what it wrote is there.
        spec |= {"restartPolicy": "OnFailure", "volumes": [{"name": "kept", "emptyDir": {}}]}
        spec["containers"][0]["volumeMounts"] = [{"name": "kept", "mountPath": "/kept"}]
        job = namespace.create("batch/v1", "Job", "work", spec={"template": {"spec": spec}})
        until(lambda: cluster.api.read(job)["status"].get("succeeded"), "the job is not done")
        (made,) = namespace.list("pods")
        assert made["status"]["containerStatuses"][0]["restartCount"] == 1


def test_commands_run_in_a_pod_and_ports_lead_to_it(cluster: Cluster) -> None:
    with cluster.namespace() as namespace:
        pod = namespace.run("serves", *_SERVE)
        until(lambda: pod.reaches("127.0.0.1", 8080), "it does not serve")
        assert pod.execute("cat", "/tmp/index.html") == "here\n"  # noqa: S108 - the pod's own
        with pod.wire(8080) as wire:
            assert _get(wire).endswith(b"here\n")
        # From this machine, as a proxy would that does not run on the cluster.
        with socket.create_connection((pod.address(), 8080), timeout=5) as wire:
            assert _get(wire).endswith(b"here\n")


def _get(wire: socket.socket) -> bytes:
    wire.sendall(b"GET / HTTP/1.0\r\n\r\n")
    said = b""
    while piece := wire.recv(4096):
        said += piece
    return said


def test_services_have_names_that_pods_know(cluster: Cluster) -> None:
    with cluster.namespace() as namespace:
        labels = {"app": "web"}
        namespace.run("web", *_SERVE, labels=labels)
        ports = [{"port": 80, "targetPort": 8080}]
        service = namespace.create("v1", "Service", "web", spec={"selector": labels, "ports": ports})
        visitor = namespace.run("visitor", "sleep", "600")
        for host in ("web", f"web.{namespace.name}.svc.cluster.local", service["spec"]["clusterIP"]):
            until(partial(_finds, visitor, host), f"there is no way to {host}")
        found = visitor.execute("nslookup", "kubernetes.default.svc.cluster.local")
        assert cluster.service_address("kubernetes", "default") in found


def _finds(visitor: Pod, host: str) -> bool:
    return visitor.execute("wget", "-qO-", f"http://{host}/") == "here\n"


def test_the_node_says_why_a_pod_does_not_run(cluster: Cluster) -> None:
    with cluster.namespace() as namespace:
        greedy = namespace.pod("greedy", "sh", "-c", "exec tail /dev/zero")
        greedy["spec"]["containers"][0]["resources"] = {"limits": {"memory": "32Mi"}}
        huge = namespace.pod("huge", "sleep", "600")
        huge["spec"]["containers"][0]["resources"] = {"requests": {"memory": "900Ti"}}
        missing = namespace.pod("missing", "sleep", "600")
        missing["spec"]["containers"][0]["image"] = name_in(cluster.registry, "not-there")
        pods = [namespace.start(pod) for pod in (greedy, huge, missing)]

        until(lambda: pods[0].phase() == "Failed", "it has memory enough", why=pods[0].why)
        ended = pods[0].container()["state"]["terminated"]
        assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)

        until(lambda: pods[1].status().get("conditions"), "nobody looked for a place for it", why=pods[1].why)
        (condition,) = pods[1].status()["conditions"]
        assert (condition["type"], condition["status"]) == ("PodScheduled", "False")
        assert (condition["reason"], "Insufficient memory" in condition["message"]) == ("Unschedulable", True)

        waiting = {"ErrImagePull", "ImagePullBackOff"}
        until(lambda: _waits_for(pods[2]) in waiting, "its image was found", why=pods[2].why)


def _waits_for(pod: Pod) -> str:
    return str(pod.container().get("state", {}).get("waiting", {}).get("reason", ""))
