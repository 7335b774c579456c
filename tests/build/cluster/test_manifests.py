"""The Job of a build: its golden file, what Kubernetes knows of it, and what no value can break out of."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.client import ApiClient

from build.cluster.manifests import Builders, job_manifest, network_manifest, secret_manifest
from build.cluster.nodes import affinity_for
from templates import Json

_GOLDEN = Path(__file__).with_name("job.json")
_SELECTOR, _TAINTS = {"pool": "builds"}, (("builds", "yes", "NoSchedule"), ("any", "", ""))
BUILDERS = Builders("registry.example/builder:1", "host:/var/cache/builds", 2**31, 7200, _SELECTOR, _TAINTS, ("own",))


def _job(builders: Builders = BUILDERS, *, trusted: bool = True) -> dict[str, Any]:
    affinity = affinity_for("https://example.org/r.git", ["node-1"])
    made = job_manifest(
        builders,
        name="binder-0123abcd-7",
        secret="binder-0123abcd-7-order",
        instance="0123abcd",
        build="7",
        trusted=trusted,
        affinity=affinity,
    )
    job: dict[str, Any] = json.loads(json.dumps(made))
    return job


def test_the_job_is_the_golden_one() -> None:
    assert _job() == json.loads(_GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "manifest",
    [
        _job(),
        _job(replace(BUILDERS, cache="claim:builds")),
        secret_manifest(b"{}", name="s", instance="0123abcd", job="binder-0123abcd-7", job_uid="1"),
        network_manifest("0123abcd", ["10.1.2.0/24", "mirrors"]),
    ],
)
def test_kubernetes_knows_every_field(manifest: dict[str, Json]) -> None:
    client = ApiClient()
    known = client.deserialize(json.dumps(manifest), f"V1{manifest['kind']}", "application/json")
    # What the client does not know, it drops.
    assert client.sanitize_for_serialization(known) == manifest  # type: ignore[no-untyped-call]


@given(st.text(), st.text(), st.text())
def test_a_value_stays_where_it_was_put(image: str, label: str, folder: str) -> None:
    job = _job(replace(BUILDERS, image=image, cache=f"host:{folder}", node_selector={"pool": label}))
    golden = json.loads(_GOLDEN.read_text(encoding="utf-8"))
    spec = golden["spec"]["template"]["spec"]
    spec["containers"][0]["image"] = spec["initContainers"][0]["image"] = image
    spec["nodeSelector"] = {"pool": label}
    spec["volumes"][2]["hostPath"]["path"] = folder
    assert job == golden


@pytest.mark.parametrize(
    ("cache", "volume"),
    [
        ("", {"emptyDir": {}}),
        ("claim:builds", {"persistentVolumeClaim": {"claimName": "builds"}}),
        ("host:/a:b", {"hostPath": {"path": "/a:b", "type": "DirectoryOrCreate"}}),
    ],
)
def test_the_cache_is_where_it_is_said_to_be(cache: str, volume: dict[str, Any]) -> None:
    spec = _job(replace(BUILDERS, cache=cache))["spec"]["template"]["spec"]
    assert spec["volumes"][2] == {"name": "cache", **volume}
    # Only a folder of a node is root's at first.
    assert bool(spec["initContainers"]) == cache.startswith("host:")


def test_a_builder_has_two_capabilities_and_no_account() -> None:
    spec = _job()["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["SETUID", "SETGID"]}
    assert (spec["securityContext"]["runAsUser"], spec["automountServiceAccountToken"]) == (1000, False)
    assert "env" not in container
    assert "hostNetwork" not in spec


def test_a_fork_gets_less_of_the_processors() -> None:
    def processors(*, trusted: bool) -> str:
        (container,) = _job(trusted=trusted)["spec"]["template"]["spec"]["containers"]
        return str(container["resources"]["requests"]["cpu"])

    assert (processors(trusted=True), processors(trusted=False)) == ("500m", "125m")


def test_builds_reach_the_internet_and_what_is_named() -> None:
    policy = json.loads(
        json.dumps(network_manifest("0123abcd", ["10.1.2.0/24", "10.1.2.3/32:5000", "fd00::/64:443", "mirrors"]))
    )
    assert policy["spec"]["ingress"] == []
    names, anything, *more = policy["spec"]["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    internet, internet_v6 = anything["to"]
    assert "10.0.0.0/8" in internet["ipBlock"]["except"]
    assert "169.254.0.0/16" in internet["ipBlock"]["except"]
    assert "fc00::/7" in internet_v6["ipBlock"]["except"]
    assert more == [
        {"to": [{"ipBlock": {"cidr": "10.1.2.0/24"}}]},
        {"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"port": 5000, "protocol": "TCP"}]},
        {"to": [{"ipBlock": {"cidr": "fd00::/64"}}], "ports": [{"port": 443, "protocol": "TCP"}]},
        {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "mirrors"}}}]},
    ]
