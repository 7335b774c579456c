"""Our manifests are such as Kubernetes knows, by its own client's account; the chart's are looked at beside it."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import templates
from build.cluster import manifests as builds
from build.cluster.manifests import Builders, job_manifest
from deploy.engine import SessionSpec
from deploy.manifests import (
    cluster_manifest,
    network_manifest,
    preload_manifest,
    secret_manifest,
    session_manifest,
)
from deploy.placement import Placement, Toleration, pod_fields
from deploy.service_manifests import apart_manifests
from modules.services import Services
from tests.deploy.services import SOW, apart, store, with_seed
from tests.kubernetes_schema import objections_to

_SPEC = SessionSpec("s" + "a" * 15, "localhost/binder/content:0", "t" * 43, 2**30, 1.0, 512)

_SERVICES = with_seed(store("registry.example.org/store:1"), *SOW)
_SERVED = replace(_SPEC, services=_SERVICES)
_APART = replace(_SPEC, services=apart(_SERVICES, "binder-12345678-s-store-server"))

_PLACEMENT = Placement(
    {"pool": "sessions"}, (Toleration("for", "sessions", "NoSchedule"),), "sessions", "amd.com/gpu", ("own",), 2**30
)

_BUILDERS = Builders(
    "builder:1", "host:/var/cache/builds", 2**30, 60, {"pool": "builds"}, (("for", "builds", ""), ("any", "", ""))
)
_ANYWHERE = Builders("builder:1", "claim:cache", 2**30, 60)


def _apart(services: Services) -> list[Any]:
    secret: Any = secret_manifest(_APART, instance="12345678")
    secret["metadata"]["uid"] = "8a2e2f9e"
    fields = pod_fields(_PLACEMENT, 0)
    return apart_manifests(services, "registry.example.org/x:1", secret, fields, _PLACEMENT)


def _manifests() -> Sequence[Any]:
    return [
        session_manifest(_SERVED, instance="12345678", host_port=40000),
        cluster_manifest(_SERVED, instance="12345678", owner_uid="8a2e2f9e", placement=_PLACEMENT),
        cluster_manifest(_APART, instance="12345678", owner_uid="8a2e2f9e"),
        secret_manifest(_SERVED, instance="12345678"),
        *_apart(_APART.services),
        session_manifest(_SPEC, instance="12345678", host_port=40000),
        cluster_manifest(_SPEC, instance="12345678", owner_uid="8a2e2f9e"),
        cluster_manifest(replace(_SPEC, gpus=1), instance="12345678", owner_uid="8a2e2f9e", placement=_PLACEMENT),
        secret_manifest(_SPEC, instance="12345678"),
        network_manifest("12345678", ["192.0.2.1/32", "binder"]),
        preload_manifest("registry.example.org/x:1", "node", _PLACEMENT, name="binder-p", instance="12345678"),
        job_manifest(_BUILDERS, name="b-1", secret="o-1", instance="12345678", build="1", trusted=True, affinity={}),
        job_manifest(_ANYWHERE, name="b-2", secret="o-2", instance="12345678", build="2", trusted=False, affinity={}),
        builds.secret_manifest(b"{}", name="o-1", job="b-1", instance="12345678", job_uid="8a2e2f9e"),
        builds.network_manifest("12345678", ["192.0.2.0/24", "registry"]),
    ]


@pytest.mark.parametrize("manifest", _manifests())
def test_kubernetes_knows_every_field_of_what_it_is_given(manifest: Any) -> None:
    assert objections_to(manifest) == ""


def test_every_template_of_a_manifest_is_among_them() -> None:
    templates._text_of.cache_clear()
    _manifests()
    files = list((Path(templates.__file__).parent / "manifests").glob("*.json"))
    assert templates._text_of.cache_info().currsize == len(files)


def _pod() -> Any:
    return deepcopy(cluster_manifest(_SPEC, instance="12345678", owner_uid="8a2e2f9e"))


def test_an_unknown_field_is_named_wherever_it_is() -> None:
    pod = _pod()
    pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = True
    assert "containers[0].securityContext.readOnlyRootFileSystem is not known" in objections_to(pod)


@pytest.mark.parametrize(("name", "value"), [("enableServiceLinks", 0), ("terminationGracePeriodSeconds", "0")])
def test_a_value_of_another_type_is_named(name: str, value: object) -> None:
    pod = _pod()
    pod["spec"][name] = value
    assert name in objections_to(pod)


def test_what_is_missing_is_said() -> None:
    pod = _pod()
    del pod["spec"]["containers"]
    assert "containers" in objections_to(pod)


def test_an_unknown_kind_is_said_to_be_one() -> None:
    assert "Pot" in objections_to({"apiVersion": "v1", "kind": "Pot"})
    assert "apps/v7" in objections_to({"apiVersion": "apps/v7", "kind": "Deployment"})
    assert "Deployment" in objections_to({"apiVersion": "v1", "kind": "Deployment", "metadata": {"name": "a"}})
