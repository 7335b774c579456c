"""A Lease of a Kubernetes cluster, as the record of who leads.

Source: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/
"""

from datetime import datetime
from typing import Any

from kubernetes.aio.client import ApiClient, ApiException, CoordinationV1Api

from binder.cluster import MISSING, cluster_faults
from binder.leadership import LEASE_SECONDS, Lease
from binder.store.tables import utc_now

_CONFLICT = 409
_REQUEST: Any = {"_request_timeout": 5.0}


class ClusterLease:
    """The Lease `name` in `namespace`, which is created where there is none."""

    def __init__(self, connection: ApiClient, *, namespace: str, name: str) -> None:
        self._leases = CoordinationV1Api(connection)
        self._namespace = namespace
        self._name = name

    async def read(self) -> Lease | None:
        """Return the Lease; None where there never was one.

        Raises: OperatorFault; WorldFault.
        """
        with cluster_faults():
            try:
                return lease_of(await self._leases.read_namespaced_lease(self._name, self._namespace, **_REQUEST))
            except ApiException as error:
                if error.status == MISSING:
                    return None
                raise

    async def write(self, holder: str, over: Lease | None) -> Lease | None:
        """Write a holder over what was read, and return what stands there now; None where somebody was quicker.

        Raises: OperatorFault; WorldFault.
        """
        body: Any = lease_manifest(self._name, holder, over, utc_now())
        with cluster_faults():
            try:
                if over is None:
                    written = await self._leases.create_namespaced_lease(self._namespace, body, **_REQUEST)
                else:
                    written = await self._leases.replace_namespaced_lease(self._name, self._namespace, body, **_REQUEST)
            except ApiException as error:
                if error.status == _CONFLICT:
                    return None
                raise
        return lease_of(written)


def lease_manifest(name: str, holder: str, over: Lease | None, now: datetime) -> dict[str, object]:
    """Return the Lease that `holder` writes over another one; the server refuses it where that has changed. Pure."""
    is_new = over is None or over.holder != holder
    acquired_at = now if over is None or is_new else over.acquired_at
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, **({"resourceVersion": over.version} if over else {})},
        "spec": {
            "holderIdentity": holder or None,
            # Who leaves it to others has none: client-go's own reads one second as "at once".
            "leaseDurationSeconds": int(LEASE_SECONDS) if holder else 1,
            "acquireTime": _micro_time(acquired_at),
            "renewTime": _micro_time(now),
            "leaseTransitions": (over.turns if over else 0) + bool(holder and is_new),
        },
    }


def lease_of(found: Any) -> Lease:
    """Return what a Lease of the API says."""
    spec = found.spec
    return Lease(
        spec.holder_identity or "",
        float(spec.lease_duration_seconds or LEASE_SECONDS),
        spec.lease_transitions or 0,
        found.metadata.resource_version,
        spec.acquire_time,
    )


def _micro_time(at: datetime | None) -> str | None:
    """Return a time as the API wants it: with six digits, no more and no less."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at else None
