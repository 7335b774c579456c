"""Our manifests are such as Kubernetes knows, by its own client's account of them."""

import json
from dataclasses import replace

import pytest
from kubernetes.client import ApiClient

from deploy.engine import SessionSpec
from deploy.manifests import cluster_manifest, network_manifest, secret_manifest, session_manifest
from deploy.placement import Placement, Toleration
from templates import Json

_SPEC = SessionSpec("s" + "a" * 15, "localhost/binder/content:0", "t" * 43, 2**30, 1.0, 512)

_PLACEMENT = Placement(
    {"pool": "sessions"}, (Toleration("for", "sessions", "NoSchedule"),), "sessions", "amd.com/gpu", ("own",)
)


@pytest.mark.parametrize(
    "manifest",
    [
        session_manifest(_SPEC, instance="12345678", host_port=40000),
        cluster_manifest(_SPEC, instance="12345678", owner_uid="8a2e2f9e"),
        cluster_manifest(replace(_SPEC, gpus=1), instance="12345678", owner_uid="8a2e2f9e", placement=_PLACEMENT),
        secret_manifest(_SPEC, instance="12345678"),
        network_manifest("12345678", [{"ipBlock": {"cidr": "192.0.2.1/32"}}]),
    ],
)
def test_kubernetes_knows_every_field_of_what_it_is_given(manifest: dict[str, Json]) -> None:
    client = ApiClient()
    known = client.deserialize(json.dumps(manifest), f"V1{manifest['kind']}", "application/json")
    # What the client does not know, it drops.
    assert client.sanitize_for_serialization(known) == manifest  # type: ignore[no-untyped-call]
