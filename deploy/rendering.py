"""What would be applied for a session, to be shown: the manifests of an engine, with no secret in them. Pure.

They are made as the engine makes them, for a session that there is not, and held against what Kubernetes knows of kinds
and fields. Then all that is secret is `***`: the token, what is derived from it, and what a Secret holds.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, Literal

from binder.errors import OperatorFault
from binder.names import new_token
from binder.session_resources import Resources
from binder.settings import Settings
from deploy.manifests import cluster_manifest, secret_manifest, service_host, session_manifest
from deploy.placement import placement_of, pod_fields
from deploy.service_manifests import apart_manifests
from deploy.specs import spec_of
from modules.bound import Bound
from modules.services import password_of

SESSION: Final = "s" + "a" * 15
"""The id of a session that there is not."""
MASK: Final = "***"
_PORT = 0
_OWNER = "00000000-0000-0000-0000-000000000000"


def rendered(
    settings: Settings,
    instance: str,
    image: str,
    asked: Resources,
    modules: Sequence[Bound],
    engine: Literal["podman", "kubernetes"],
) -> list[Any]:
    """Return the manifests of a session of an image, in the order in which they are applied.

    Raises: OperatorFault, where Kubernetes would not take one of them.
    """
    token = new_token()

    def host_of(group: str) -> str:
        return service_host(instance, SESSION, group)

    on_cluster = engine == "kubernetes"
    spec = spec_of(
        settings,
        asked,
        modules,
        session_id=SESSION,
        image=image,
        token=token,
        host_of=host_of if on_cluster else None,
    )
    if on_cluster:
        placement = placement_of(settings)
        secret: Any = secret_manifest(spec, instance=instance)
        owner = {"metadata": {**secret["metadata"], "uid": _OWNER}}
        fields = pod_fields(placement, 0)
        apart = apart_manifests(spec.services, image, owner, fields, placement)
        pod = cluster_manifest(spec, instance=instance, owner_uid=_OWNER, placement=placement)
        manifests = [secret, *apart, pod]
    else:
        manifests = [session_manifest(spec, instance=instance, host_port=_PORT)]
    _check(manifests)
    passwords = [password_of(token, module.name, secret) for module in modules for secret in module.secrets]
    return [_masked(manifest, [token, *passwords]) for manifest in manifests]


def _check(manifests: Sequence[Any]) -> None:
    # Kubernetes' client takes two seconds.
    from deploy.kubernetes_schema import objections_to  # noqa: PLC0415

    for manifest in manifests:
        if objection := objections_to(manifest):
            raise OperatorFault(f"Kubernetes would not take {manifest.get('kind')}: {objection}.")


def _masked(manifest: Any, secrets: Sequence[str]) -> Any:
    text = json.dumps(manifest)
    for secret in secrets:  # each of them is of characters that JSON writes as they are
        text = text.replace(secret, MASK)
    shown = json.loads(text.replace(_OWNER, MASK))
    if shown["kind"] == "Secret":
        shown["data"] = dict.fromkeys(shown.get("data") or (), MASK)
    return shown
