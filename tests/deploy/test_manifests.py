"""The session's manifest: its golden file, and what no value can break out of."""

import json
import socket
import subprocess
import threading
from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from binder.names import new_session_id
from deploy.engine import SessionSpec
from deploy.manifests import (
    base_path_of,
    cluster_manifest,
    secret_manifest,
    server_arguments,
    service_host,
    session_manifest,
)
from deploy.placement import ANYWHERE, Placement, pod_fields
from deploy.podman import allowance_of, without_secrets
from deploy.service_manifests import MEETING_SCRIPT, workload_name
from templates import render
from tests.deploy.services import apart, store, with_seed

GOLDEN = Path(__file__).with_name("session.json")
SPEC = SessionSpec("s234567abcdefghi", "localhost/binder/content:1", "T0KEN", memory_bytes=1, cpus=1.0, pids=1)


NOTICE = ("notice/package.json", "notice/remoteEntry.js")


def golden_manifest() -> dict[str, Any]:
    """Return the golden file, with the texts of templates in place of their names."""
    golden: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    (container,) = golden["spec"]["containers"]
    container["args"] = [render(argument) if argument in NOTICE else argument for argument in container["args"]]
    return golden


def test_the_manifest_is_the_golden_one() -> None:
    assert session_manifest(SPEC, instance="0123abcd", host_port=40000) == golden_manifest()


@given(st.text(), st.text())
def test_a_value_stays_where_it_was_put(image: str, token: str) -> None:
    spec = SessionSpec(SPEC.id, image, token, memory_bytes=1, cpus=1.0, pids=1)
    manifest = json.loads(json.dumps(session_manifest(spec, instance="0123abcd", host_port=40000)))
    golden = golden_manifest()
    golden["spec"]["containers"][0] |= {"image": image, "imagePullPolicy": policy_for(image)}
    golden["spec"]["containers"][0]["env"] = [{"name": "JUPYTER_TOKEN", "value": token}]
    assert manifest == golden


def policy_for(image: str) -> str:
    return "Never" if image.startswith("localhost/") else "IfNotPresent"


def test_an_image_of_a_registry_is_pulled_and_one_of_this_machine_is_not() -> None:
    policies = []
    for image in ("localhost/binder:content-1", "registry.example.org/binder:content-1"):
        spec = SessionSpec(SPEC.id, image, "t", memory_bytes=1, cpus=1.0, pids=1)
        manifest = json.loads(json.dumps(session_manifest(spec, instance="0", host_port=1)))
        policies.append(manifest["spec"]["containers"][0]["imagePullPolicy"])
    assert policies == ["Never", "IfNotPresent"]


def test_the_token_is_no_argument_and_in_no_repr() -> None:
    assert not any(SPEC.token in argument for argument in server_arguments(SPEC.id))
    assert SPEC.token not in repr(SPEC)


def test_pages_of_other_hosts_are_let_through_where_there_are_such() -> None:
    option = "--ServerProxy.host_allowlist=['localhost', '127.0.0.1', 'binder-x-spark-master']"
    assert option in server_arguments(SPEC.id, ["binder-x-spark-master"])
    assert not any("ServerProxy" in argument for argument in server_arguments(SPEC.id))
    host = service_host("0123abcd", SPEC.id, "spark-master")
    spec = replace(SPEC, services=apart(store("a"), host))
    manifest: Any = cluster_manifest(spec, instance="0123abcd", owner_uid="8a2e2f9e")
    assert any(host in argument for argument in manifest["spec"]["containers"][0]["args"] if "ServerProxy" in argument)


@given(st.from_regex(r"[a-z][a-z0-9-]{0,80}[a-z0-9]", fullmatch=True), st.from_regex(r"[a-z]{1,80}", fullmatch=True))
def test_names_on_a_cluster_are_short_enough_and_each_its_own(group: str, other: str) -> None:
    names = [service_host("0123abcd", SPEC.id, name) for name in (group, other)]
    assert all(len(name) <= 63 and not name.endswith("-") for name in names)
    assert (names[0] == names[1]) is (group == other)
    assert len(workload_name("binder-0123abcd-s234567abcdefghi", group)) <= 46


def test_no_secret_of_a_service_is_in_a_manifest_of_a_cluster() -> None:
    secret = "p4ssw0rd-of-the-session"
    spec = replace(SPEC, services=store("a", greeting=secret))
    manifest: Any = cluster_manifest(spec, instance="0123abcd", owner_uid="8a2e2f9e")
    assert secret not in json.dumps(manifest)
    assert secret not in repr(spec)
    kept: Any = secret_manifest(spec, instance="0123abcd")
    asked = [one for one in _variables(manifest) if one["name"] == "GREETING"]
    assert [kept["data"][one["valueFrom"]["secretKeyRef"]["key"]] for one in asked] == [
        b64encode(value.encode()).decode() for value in (secret, f"to {secret}")
    ]


def _variables(manifest: Any) -> list[Any]:
    containers = [*manifest["spec"].get("initContainers", ()), *manifest["spec"]["containers"]]
    return [one for container in containers for one in container["env"]]


def test_every_container_of_a_session_meets_the_restricted_standard() -> None:
    spec = replace(SPEC, services=with_seed(store("a"), "true"))
    manifest: Any = cluster_manifest(spec, instance="0", owner_uid="8a2e2f9e")
    containers = [*manifest["spec"]["initContainers"], *manifest["spec"]["containers"]]
    assert [one["name"] for one in containers] == ["store-server", "seed0", "notebook"]
    for container in containers:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]


def test_a_notebook_waits_for_the_way_to_services_with_pods_of_their_own_before_seeds() -> None:
    spec = replace(SPEC, services=with_seed(apart(store("a"), "binder-x-store"), "true"))
    manifest: Any = cluster_manifest(spec, instance="0", owner_uid="8a2e2f9e")
    meeting, seed = manifest["spec"]["initContainers"]
    assert (meeting["name"], seed["name"]) == ("meeting", "seed0")
    assert meeting["command"][-1] == "binder-x-store:8070"
    beside: Any = cluster_manifest(replace(SPEC, services=store("a")), instance="0", owner_uid="8a2e2f9e")
    assert [one["name"] for one in beside["spec"]["initContainers"]] == ["store-server"]


def _meets(seconds: float, *asked: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", MEETING_SCRIPT, str(seconds), *asked]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_it_goes_on_once_any_port_of_each_host_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        first, second = (server.getsockname()[1] for server in (one, other))
        assert _meets(5, f"127.0.0.1:1,{first}", f"localhost:{second}").returncode == 0
    closed = _meets(0.3, f"127.0.0.1:1,{first}")
    assert closed.returncode == 1
    assert closed.stderr.startswith(f"127.0.0.1:1,{first}: ")


def test_it_waits_for_a_port_that_is_opened_later() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        opening = threading.Timer(0.5, server.listen)
        opening.start()
        assert _meets(10, f"127.0.0.1:{server.getsockname()[1]}").returncode == 0
        opening.join()


def test_a_session_may_use_what_its_services_may_besides() -> None:
    alone, beside = allowance_of(SPEC), allowance_of(replace(SPEC, services=store("a")))
    assert (alone.memory_bytes, alone.pids, alone.cpus) == (1, 1, 1.0)
    assert (beside.memory_bytes, beside.pids, beside.cpus) == (1 + 64 * 2**20, 2, 1.5)


def test_what_podman_says_tells_no_secret() -> None:
    spec = replace(SPEC, services=store("a", greeting="p4ssw0rd-of-the-session"))
    said = without_secrets("Error: T0KEN, p4ssw0rd-of-the-session and localhost", spec)
    assert said == "Error: ***, *** and localhost"


def test_no_engine_finds_a_variable_in_an_argument() -> None:
    """Source: https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/."""
    assert not any("$(" in argument or "$$" in argument for argument in server_arguments(SPEC.id))


def test_the_server_answers_under_the_sessions_own_path() -> None:
    session_id = new_session_id()
    assert f"--ServerApp.base_url={base_path_of(session_id)}" in server_arguments(session_id)


def test_on_a_cluster_it_is_the_same_but_for_its_port_its_limits_and_where_its_token_is() -> None:
    spec = SessionSpec(SPEC.id, SPEC.image, SPEC.token, memory_bytes=2**30, cpus=1.5, pids=1)
    manifest = json.loads(json.dumps(cluster_manifest(spec, instance="0123abcd", owner_uid="8a2e2f9e")))
    golden = golden_manifest()
    name = golden["metadata"]["name"]
    golden["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "Secret", "name": name, "uid": "8a2e2f9e"}]
    kept = {"secretKeyRef": {"name": name, "key": "token"}}
    golden["spec"] |= pod_fields(ANYWHERE, 0)
    golden["spec"]["containers"][0] |= {
        "env": [{"name": "JUPYTER_TOKEN", "valueFrom": kept}],
        "ports": [{"containerPort": 8888}],
        "resources": {"requests": {"cpu": "150m", "memory": "1073741824"}, "limits": {"memory": "1073741824"}},
    }
    assert manifest == golden


def test_a_gpu_is_asked_for_by_the_clusters_own_name() -> None:
    spec, placement = replace(SPEC, gpus=2), Placement({}, gpu_resource="amd.com/gpu")
    manifest: Any = cluster_manifest(spec, instance="0123abcd", owner_uid="8a2e2f9e", placement=placement)
    resources = manifest["spec"]["containers"][0]["resources"]
    assert resources["limits"]["amd.com/gpu"] == resources["requests"]["amd.com/gpu"] == "2"


def test_the_disk_that_a_session_may_fill_is_bounded_and_not_set_aside() -> None:
    placement = Placement({}, disk_bytes=2**30)
    manifest: Any = cluster_manifest(SPEC, instance="0123abcd", owner_uid="8a2e2f9e", placement=placement)
    resources = manifest["spec"]["containers"][0]["resources"]
    assert (resources["requests"]["ephemeral-storage"], resources["limits"]["ephemeral-storage"]) == ("0", "1073741824")


def test_the_secret_of_a_session_is_named_as_its_pod_and_holds_its_token() -> None:
    secret = json.loads(json.dumps(secret_manifest(SPEC, instance="0123abcd")))
    pod = json.loads(json.dumps(cluster_manifest(SPEC, instance="0123abcd", owner_uid="8a2e2f9e")))
    assert {key: pod["metadata"][key] for key in ("name", "labels")} == secret["metadata"]
    assert b64decode(secret["data"]["token"]).decode() == SPEC.token
    assert SPEC.token not in json.dumps(pod)


def test_a_session_meets_the_restricted_standard() -> None:
    """Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted."""
    manifest = json.loads(json.dumps(cluster_manifest(SPEC, instance="0", owner_uid="8a2e2f9e")))
    pod, (container,) = manifest["spec"]["securityContext"], manifest["spec"]["containers"]
    assert pod == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["runAsUser"] == 1000
