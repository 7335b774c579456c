"""The session's manifest is one that Kubernetes knows, by its own client's account of a Pod."""

import json

import pytest
from kubernetes.client import ApiClient

from deploy.engine import SessionSpec
from deploy.manifests import cluster_manifest, session_manifest
from templates import Json

_SPEC = SessionSpec("s" + "a" * 15, "localhost/binder/content:0", "t" * 43, 2**30, 1.0, 512)


@pytest.mark.parametrize(
    "manifest",
    [session_manifest(_SPEC, instance="12345678", host_port=40000), cluster_manifest(_SPEC, instance="12345678")],
)
def test_kubernetes_knows_every_field_of_the_pod(manifest: Json) -> None:
    client = ApiClient()
    pod = client.deserialize(json.dumps(manifest), "V1Pod", "application/json")
    # What the client does not know, it drops.
    assert client.sanitize_for_serialization(pod) == manifest  # type: ignore[no-untyped-call]
