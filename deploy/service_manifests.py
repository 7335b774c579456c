"""What the services of a session look like to an engine: containers beside its notebook, or workloads of their own.

Pure. What a module says is text to both engines: neither finds a variable in it, nor is it a template any more.
On a cluster all variables are keys of the session's Secret: no manifest shows a password.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from deploy.placement import Placement
from modules.services import Seed, Service, Services
from templates import Json, render_json

LABEL = "binder.services"
"""On podman, what is to be known of a session's services for as long as it runs: JSON."""
SERVICE = "binder.service"
"""On a cluster, the label of a service's own pod: the service's name."""
OWNER = "binder.owner"
"""On a cluster, another label of such a pod: the uid of its session's Secret, which each start makes anew."""
WITH_HELPERS = (
    'if [ -d /opt/binder/modules ]; then export PYTHONPATH="/opt/binder/modules${PYTHONPATH:+:$PYTHONPATH}"; fi'
)
"""A line of a shell's that lets Python find what modules laid into the image (the package `binder_modules`)."""
MEETING = "meeting"
"""On a cluster, the container in a session's pod that waits for the way to services with pods of their own."""
MEETING_SECONDS = 60
"""How long it waits for them, all together."""

# Python is what a notebook server needs. Where it is under no usual name, nobody waits.
MEETING_SCRIPT = """\
python=$(command -v python3 || command -v python) || exit 0
exec "$python" -I -c '
import socket, sys, time
last = time.monotonic() + float(sys.argv[1])
for asked in sys.argv[2:]:
    host, ports = asked.split(":")
    failed = ""
    while time.monotonic() < last:
        for port in ports.split(","):
            try:
                socket.create_connection((host, int(port)), 2).close()
                break
            except OSError as error:
                failed = f"{asked}: {error}"
        else:
            time.sleep(0.1)
            continue
        break
    else:
        sys.exit(failed)
' "$0" "$@"
"""
_OF_THIS_MACHINE = "localhost/"
# Of those who have a session open, one in ten computes: a node is given as many as that.
_BUSY_AT_ONCE = 0.1
_DISK = "ephemeral-storage"
_LONGEST_NAME = 63
_PROBE_SECONDS = 2


def is_of_this_machine(image: str) -> bool:
    """Whether an image is in no registry."""
    return image.startswith(_OF_THIS_MACHINE)


def pull_policy(image: str) -> str:
    """Return when an engine looks for an image in its registry."""
    return "Never" if is_of_this_machine(image) else "IfNotPresent"


def literal(text: str) -> str:
    """Return what an engine takes for this very text, where it would replace `$(NAME)` by a variable.

    Source: https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
    """
    return text.replace("$", "$$")


def with_helpers(command: Sequence[str]) -> list[str]:
    """Return a command of a module's with its Python helpers where Python finds them."""
    return ["sh", "-c", f'{WITH_HELPERS}; exec "$@"', "sh", *command]


def resources_of(cpus: float, memory_bytes: int, placement: Placement, gpus: int = 0) -> Json:
    """Return what a container asks of a cluster, and the most that it gets.

    No container is ended because another one needs memory. Processors are shared by what is asked for.
    """
    memory, cpu = str(memory_bytes), f"{max(1, round(cpus * _BUSY_AT_ONCE * 1000))}m"
    asked: dict[str, Json] = {placement.gpu_resource: str(gpus)} if gpus else {}
    # A bound of the disk sets nothing aside for one session that another may write.
    bound, free = ({_DISK: str(placement.disk_bytes)}, {_DISK: "0"}) if placement.disk_bytes else ({}, {})
    return {
        "requests": {"cpu": cpu, "memory": memory, **free, **asked},
        "limits": {"memory": memory, **bound, **asked},
    }


# Podman


def containers_on_podman(services: Services, notebook: str, pod: str) -> list[Json]:
    """Return the containers of a session's services, all in its one pod; `notebook` is the notebook's image."""
    return [
        _container(one, notebook, pod, environment=variables(one.environment), resources={})
        for one in services.services
    ]


def variables(environment: Mapping[str, str]) -> list[Json]:
    """Return variables with their values."""
    return [{"name": name, "value": value} for name, value in environment.items()]


def label_of(services: Services) -> str:
    """Return what an engine needs to know of services once they run."""
    known = {one.name: {"title": one.title, "health": one.health, "seconds": one.seconds} for one in services.services}
    return json.dumps(known, separators=(",", ":"))


def volumes_of(services: Iterable[Service], pod: str) -> list[Json]:
    """Return the folders that services of a session have of their own.

    To podman 4.3, volumes of one name are one volume, whatever pods they are of.
    """
    return [{"name": name, "emptyDir": {}} for one in services for name in _volumes(one, pod)]


# Kubernetes


def secret_data(services: Services) -> dict[str, Json]:
    """Return what the Secret of a session holds for its services: key → value, in base64."""
    found = {_key("notebook", name): value for name, value in services.environment.items()}
    for one in services.services:
        found |= {_key(one.name, name): value for name, value in one.environment.items()}
    return {key: b64encode(value.encode()).decode() for key, value in found.items()}


def variables_kept(secret: str, container: str, names: Iterable[str]) -> list[Json]:
    """Return variables whose values the Secret of the session has."""
    return [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": _key(container, name)}}} for name in names
    ]


def sidecars_on_cluster(services: Services, notebook: str, secret: str, placement: Placement) -> list[Json]:
    """Return the services that run in the session's own pod: started before all else there, and for as long as it runs.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
    """
    sidecars: list[Json] = []
    for one in services.services:
        if not one.apart:
            sidecar = _on_cluster(one, notebook, secret, placement)
            sidecars.append({**sidecar, "restartPolicy": "Always"})
    return sidecars


def seeds_on_cluster(services: Services, notebook: Mapping[str, Any], environment: Json) -> list[Json]:
    """Return what is run once before the notebook, in containers like its own."""
    return [
        {
            **_like(notebook),
            "name": seed_name(index),
            "args": [literal(part) for part in with_helpers(seed.command)],
            "env": environment,
        }
        for index, seed in enumerate(services.seeds)
    ]


def meeting_on_cluster(services: Services, notebook: Mapping[str, Any]) -> list[Json]:
    """Return what waits, in a container like the notebook's, until services with pods of their own can be reached.

    That one is ready is what its own node says of it: names, and what enforces the policy, learn of a new pod later.
    """
    ports: dict[str, list[int]] = {}
    for one in services.services:
        if one.apart and one.ports:
            ports[one.host] = sorted({*ports.get(one.host, ()), *one.ports.values()})
    if not ports:
        return []
    asked = [f"{host}:{','.join(map(str, of_host))}" for host, of_host in ports.items()]
    return [
        {
            **_like(notebook),
            "name": MEETING,
            "command": ["sh", "-c", literal(MEETING_SCRIPT), str(MEETING_SECONDS), *asked],
        }
    ]


def seed_name(index: int) -> str:
    """Return the name of a seed's container: that of a service has a hyphen in it."""
    return f"seed{index}"


def seed_of(container: str, services: Services) -> Seed | None:
    """Return the seed that a container runs."""
    return next((seed for index, seed in enumerate(services.seeds) if seed_name(index) == container), None)


def apart_manifests(
    services: Services, notebook: str, secret: Mapping[str, Any], pod_fields: Mapping[str, Json], placement: Placement
) -> list[Any]:
    """Return the workloads of the services that have pods of their own, and what lets the session's pods meet.

    `secret` is the session's, as the API server gave it back: it owns them all. A name of the cluster's DNS stands for
    all pods of a component, from their start on, whatever ports they listen at.
    """
    apart = [one for one in services.services if one.apart]
    if not apart:
        return []
    metadata = secret["metadata"]
    owner = {"apiVersion": "v1", "kind": "Secret", "name": metadata["name"], "uid": metadata["uid"]}
    common: dict[str, Json] = {
        "pod": metadata["name"],
        "owner": owner,
        "owner_uid": metadata["uid"],
        "instance": metadata["labels"]["binder.instance"],
        "session": metadata["labels"]["binder.session"],
    }
    hosts = {one.host: f"{one.module}-{one.component}" for one in apart}
    made = [render_json("manifests/session-meets.json", **common)]
    made += [render_json("manifests/service-name.json", **common, service=host, group=hosts[host]) for host in hosts]
    for one in apart:
        workload: Any = render_json(
            "manifests/service-workload.json",
            **common,
            workload=workload_name(metadata["name"], one.name),
            service=one.name,
            group=hosts[one.host],
            container=_on_cluster(one, notebook, metadata["name"], placement),
            volumes=volumes_of([one], metadata["name"]),
        )
        workload["spec"]["template"]["spec"] |= pod_fields
        made.append(workload)
    return made


def short_name(name: str, longest: int = 46) -> str:
    """Return a name that is no longer than a cluster takes, and that no other name becomes.

    The names of a Deployment's pods are longer by 17 characters: without that, they are cut off.
    """
    return (
        name if len(name) <= longest else f"{name[: longest - 9].rstrip('-')}-{sha256(name.encode()).hexdigest()[:8]}"
    )


def workload_name(pod: str, service: str) -> str:
    """Return the name of what runs a service of a session that has a pod of its own."""
    return short_name(f"{pod}-{service}")


def host_name(pod: str, group: str) -> str:
    """Return the name under which the pods of a session meet a component that has pods of its own."""
    return short_name(f"{pod}-{group}", _LONGEST_NAME)


def _like(notebook: Mapping[str, Any]) -> dict[str, Json]:
    return {key: notebook[key] for key in ("image", "imagePullPolicy", "resources", "securityContext")}


def _on_cluster(one: Service, notebook: str, secret: str, placement: Placement) -> dict[str, Json]:
    environment = variables_kept(secret, one.name, one.environment)
    resources = resources_of(one.cpus, one.memory_bytes, placement)
    probe: Json = {
        "exec": {"command": [literal(part) for part in one.health]},
        "periodSeconds": _PROBE_SECONDS,
        "timeoutSeconds": 10,
        "failureThreshold": max(1, -(-one.seconds // _PROBE_SECONDS)),
    }
    container = _container(one, notebook, secret, environment=environment, resources=resources)
    if one.command:
        container["command"] = [literal(part) for part in one.command]
    return {**container, "startupProbe": probe}


def _container(one: Service, notebook: str, pod: str, *, environment: list[Json], resources: Json) -> dict[str, Json]:
    image = one.image or notebook
    mounts: list[Json] = [
        {"name": name, "mountPath": folder} for name, folder in zip(_volumes(one, pod), one.folders, strict=True)
    ]
    container: Any = render_json(
        "manifests/service.json",
        service=one.name,
        image=image,
        pull_policy=pull_policy(image),
        environment=environment,
        resources=resources,
        mounts=mounts,
    )
    if one.command:
        container["command"] = list(one.command)
    made: dict[str, Json] = container
    return made


def _volumes(one: Service, pod: str) -> list[str]:
    return [short_name(f"{pod}-{one.name}-{index}", _LONGEST_NAME) for index in range(len(one.folders))]


def _key(container: str, name: str) -> str:
    return f"{container}.{name}"
