"""What a build is to a cluster: a Job, the Secret with its order, and how far its pod reaches. Pure."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from binder.hosts import CLOSED_V4, CLOSED_V6
from templates import Json, render_json
from templates.peers import peer_of
from templates.tolerations import lost_for_a_while, toleration_of

ORDER = "/run/order/order.json"
"""Where a builder's pod finds its order."""

_TRUSTED_PROCESSORS, _FORKS_PROCESSORS = "500m", "125m"


@dataclass(frozen=True)
class Builders:
    """The pods in which builds run: their image, their cache, and where they may run.

    `cache` is `host:/FOLDER` of their node, `claim:NAME` of a PersistentVolumeClaim, or empty: then it ends with the
    pod. `tolerations` are taints: key, value (empty for any) and effect (empty for all). `seconds` is how long one may
    take as a whole.
    """

    image: str
    cache: str
    memory_bytes: int
    seconds: int
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[tuple[str, str, str]] = ()
    pull_secrets: Sequence[str] = ()

    @property
    def are_sticky(self) -> bool:
        """Whether it matters on which node a repository is built."""
        return self.cache.startswith("host:")


def job_manifest(
    builders: Builders, *, name: str, secret: str, instance: str, build: str, trusted: bool, affinity: Json
) -> Json:
    """Return the Job of a build, whose order is in a Secret."""
    tolerations = [*(toleration_of(*parts) for parts in builders.tolerations), *lost_for_a_while()]
    return render_json(
        "manifests/build.json",
        job=name,
        secret=secret,
        instance=instance,
        build=build,
        image=builders.image,
        seconds=builders.seconds,
        memory=str(builders.memory_bytes),
        cpu=_TRUSTED_PROCESSORS if trusted else _FORKS_PROCESSORS,
        affinity=affinity,
        node_selector=dict(builders.node_selector),
        tolerations=tolerations,
        pull_secrets=[{"name": name} for name in builders.pull_secrets],
        cache=_cache_volume(builders.cache),
        init_containers=[_owning(builders.image)] if builders.cache.startswith("host:") else [],
        order=ORDER,
    )


def secret_manifest(order: bytes, *, name: str, instance: str, job: str, job_uid: str) -> Json:
    """Return the Secret of a build, which goes with its Job."""
    return render_json(
        "manifests/build-order.json",
        secret=name,
        instance=instance,
        job=job,
        job_uid=job_uid,
        order=base64.b64encode(order).decode(),
    )


def network_manifest(instance: str, reached: Sequence[str]) -> Json:
    """Return the NetworkPolicy of all builds of a service: names, the internet, and what is `reached` beside it.

    That are networks (`10.1.2.0/24`) and namespaces, or one port of them (`10.1.2.3/32:5000`): the registry, and
    mirrors of package indexes. Nobody reaches builds.
    """
    return render_json(
        "manifests/builds-network.json",
        instance=instance,
        egress=[_NAMES, {"to": _internet()}, *(_rule(one) for one in reached)],
    )


def _internet() -> list[Json]:
    return [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": [*CLOSED_V4]}},
        {"ipBlock": {"cidr": "::/0", "except": [*CLOSED_V6]}},
    ]


def _rule(reached: str) -> Json:
    # An address of IPv6 has colons too, but none after its slash.
    network, slash, rest = reached.rpartition("/")
    end, _, port = rest.partition(":")
    place = f"{network}{slash}{end}"
    return {"to": [peer_of(place)], **({"ports": [{"port": int(port), "protocol": "TCP"}]} if port else {})}


_NAMES: Json = {
    "to": [peer_of("kube-system")],
    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
}


def _cache_volume(cache: str) -> Json:
    kind, _, place = cache.partition(":")
    if kind == "host":
        return {"name": "cache", "hostPath": {"path": place, "type": "DirectoryOrCreate"}}
    if kind == "claim":
        return {"name": "cache", "persistentVolumeClaim": {"claimName": place}}
    return {"name": "cache", "emptyDir": {}}


def _owning(image: str) -> Json:
    """Return the container that makes a folder of a node the builder's: Kubernetes makes it root's."""
    return render_json("manifests/build-owning.json", image=image)
