"""What a session looks like to an engine: one Pod manifest for podman and Kubernetes alike, and how Jupyter is started.

Pure. Which port it gets and where it runs is the engine's choice.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from binder.hosts import CLOSED_V4, CLOSED_V6
from deploy.engine import SessionSpec
from deploy.placement import ANYWHERE, Placement, pod_fields
from deploy.service_manifests import (
    LABEL,
    WITH_HELPERS,
    containers_on_podman,
    host_name,
    label_of,
    meeting_on_cluster,
    pull_policy,
    resources_of,
    secret_data,
    seeds_on_cluster,
    sidecars_on_cluster,
    variables,
    variables_kept,
    volumes_of,
)
from modules.services import LOCALHOST, NO_SERVICES
from templates import Json, render, render_json
from templates.peers import peer_of

SERVER_PORT = 8888
_TOKEN_VARIABLE = "JUPYTER_TOKEN"  # noqa: S105 - a name

# Jupyter validates its own events with jsonschema, which would compile a grammar of RFC 3987 at each start (1 s) for a
# format that none of those events has: without the package it leaves that check out. The repository's kernels are
# processes of their own, and still have it. The repository's folder is where we are, and its modules are not Jupyter's.
#
# JupyterLab brings jupyter_lsp, which looks for language servers at each start (0.2 s), for an extension of its page
# that is not there: where the repository does not install that, an extension with nothing in it takes its place.
_LAUNCH = (
    "import sys; sys.path[:] = filter(None, sys.path); sys.modules['rfc3987_syntax'] = None; "
    "from importlib.util import find_spec; "
    "lsp = type(sys)('jupyter_lsp'); lsp._jupyter_server_extension_points = list; "
    "find_spec('jupyterlab_lsp') or sys.modules.setdefault('jupyter_lsp', lsp); "
    "from jupyterlab.labapp import main; sys.exit(main())"
)


# An extension of JupyterLab's page is two files in a folder where Jupyter looks for such. They are written before the
# server starts: no image has to hold them, no engine has to bring them, and where they cannot be written, all else goes
# on. What knows no such extensions (before JupyterLab 3) does not look. A variable says where they are, and no flag: an
# old server ends at a flag that it cannot read.
_NOTICE_FOLDER = "/tmp/binder"  # noqa: S108 - in the session's own container
# What we made has its Python first in PATH; an image of an author's own has whatever server its Dockerfile brought.
# It begins with no line end: what podman 4.3 makes of such a text in a manifest, it cannot read again.
_START = f"""\
if folder={_NOTICE_FOLDER}/labextensions/binder-notice && mkdir -p "$folder/static" 2>/dev/null &&
    printf %s "$1" >"$folder/package.json" && printf %s "$2" >"$folder/static/remoteEntry.js"
then export JUPYTER_PATH="{_NOTICE_FOLDER}${{JUPYTER_PATH:+:$JUPYTER_PATH}}"; fi
{WITH_HELPERS}
shift 2
if [ -d /opt/binder ]; then exec python -c "$0" "$@"; fi
for server in jupyter-lab jupyter-notebook jupyter-server; do
    if command -v "$server" >/dev/null; then exec "$server" "$@"; fi
done
echo "There is no jupyter-lab, jupyter-notebook or jupyter-server in the image." >&2
exit 127
"""
_PRELOAD_SECONDS = 900


def base_path_of(session_id: str) -> str:
    """Return the path that a session's notebook server answers under, in the container and on the proxy."""
    return f"/s/{session_id}/"


def server_arguments(session_id: str, reaches: Sequence[str] = ()) -> list[str]:
    """Return what the image's entry point is told to run. The token is no argument: every process could read it.

    `reaches` are other hosts whose pages it may bring to its visitor, by way of jupyter-server-proxy.

    Source: https://jupyter-server.readthedocs.io/en/latest/other/full-config.html, `jupyter-lab --help-all`
    """
    return [
        *("sh", "-c", _START, _LAUNCH, render("notice/package.json"), render("notice/remoteEntry.js")),
        "--no-browser",
        "--ServerApp.ip=0.0.0.0",
        f"--ServerApp.port={SERVER_PORT}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.base_url={base_path_of(session_id)}",
        "--ServerApp.allow_remote_access=True",
        "--ServerApp.trust_xheaders=True",
        "--ServerApp.quit_button=False",
        # Seconds between two looks at whether a kernel lives (3 by default): one that ran out of memory is soon back.
        "--KernelRestarter.time_to_dead=1.0",
        # Nothing is asked of the outside on a visitor's behalf.
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=None",
        "--LabApp.extension_manager=readonly",
        *([f"--ServerProxy.host_allowlist={['localhost', '127.0.0.1', *reaches]}"] if reaches else ()),
    ]


def pod_name(instance: str, session_id: str) -> str:
    """Return the name of a session's pod; no other service on this machine makes the same."""
    return f"binder-{instance}-{session_id}"


def service_host(instance: str, session_id: str, group: str) -> str:
    """Return where a component of a session with pods of its own is reached on a cluster, from the session's pods."""
    return host_name(pod_name(instance, session_id), group)


def session_manifest(spec: SessionSpec, *, instance: str, host_port: int) -> Json:
    """Return a session's Pod for podman. Its server can be reached on the host's loopback at `host_port`.

    Its limits are the control groups' that podman is started in.
    """
    port: Json = {"containerPort": SERVER_PORT, "hostIP": "127.0.0.1", "hostPort": host_port}
    token: Json = {"name": _TOKEN_VARIABLE, "value": spec.token}
    pod: Any = _pod(spec, instance=instance, port=port, token=token, resources={})
    if spec.services != NO_SERVICES:
        (notebook,) = pod["spec"]["containers"]
        notebook["env"] += variables(spec.services.environment)
        pod["metadata"]["labels"][LABEL] = label_of(spec.services)
        pod["spec"]["containers"] += containers_on_podman(spec.services, spec.image, pod["metadata"]["name"])
        pod["spec"]["volumes"] = volumes_of(spec.services.services, pod["metadata"]["name"])
    manifest: Json = pod
    return manifest


def secret_manifest(spec: SessionSpec, *, instance: str) -> Json:
    """Return the Secret of a session on Kubernetes: it holds the token and what its services are told, and owns all
    else that the session has.
    """
    secret: Any = render_json(
        "manifests/session-secret.json",
        pod=pod_name(instance, spec.id),
        instance=instance,
        session=spec.id,
        token=b64encode(spec.token.encode()).decode(),
    )
    secret["data"] |= secret_data(spec.services)
    manifest: Json = secret
    return manifest


def cluster_manifest(spec: SessionSpec, *, instance: str, owner_uid: str, placement: Placement = ANYWHERE) -> Json:
    """Return a session's Pod for Kubernetes. Its server can be reached at the pod's own address.

    `owner_uid` is that of the session's Secret: the pod goes when it goes. The root file system can be written to: a
    visitor changes the notebooks where the image has them, and a Dockerfile may have put them, and all that its server
    writes, anywhere.

    How many processes it may have is the kubelet's to say (`podPidsLimit`): a Pod has no word for it.
    """
    name = pod_name(instance, spec.id)
    token: Json = {"name": _TOKEN_VARIABLE, "valueFrom": {"secretKeyRef": {"name": name, "key": "token"}}}
    resources = resources_of(spec.cpus, spec.memory_bytes, placement, spec.gpus)
    pod: Any = _pod(spec, instance=instance, port={"containerPort": SERVER_PORT}, token=token, resources=resources)
    pod["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "Secret", "name": name, "uid": owner_uid}]
    pod["spec"] |= pod_fields(placement, spec.gpus)
    if spec.services != NO_SERVICES:
        (notebook,) = pod["spec"]["containers"]
        kept = variables_kept(name, "notebook", spec.services.environment)
        notebook["env"] += kept
        sidecars = sidecars_on_cluster(spec.services, spec.image, name, placement)
        before = [*meeting_on_cluster(spec.services, notebook), *seeds_on_cluster(spec.services, notebook, kept)]
        pod["spec"]["initContainers"] = [*sidecars, *before]
        pod["spec"]["volumes"] = volumes_of((one for one in spec.services.services if not one.apart), name)
    manifest: Json = pod
    return manifest


def preload_manifest(image: str, node: str, placement: Placement, *, name: str, instance: str) -> Json:
    """Return the Pod that brings an image to a node, and runs nothing of it."""
    pod: Any = render_json(
        "manifests/preload.json", pod=name, instance=instance, node=node, image=image, most_seconds=_PRELOAD_SECONDS
    )
    # A node's labels are no concern of it, and it gives way to whoever has a class.
    fields = pod_fields(replace(placement, node_selector={}, priority_class=""), 0)
    pod["spec"] |= fields
    manifest: Json = pod
    return manifest


def network_manifest(instance: str, proxies: Sequence[str]) -> Json:
    """Return the NetworkPolicy of all sessions of a service.

    `proxies` are those who may reach them: networks (`10.1.2.0/24`) and namespaces. They themselves reach names and the
    internet, but not each other, nor what has a private address: the nodes, the API server, other services, the
    metadata of a cloud.
    """
    return render_json(
        "manifests/sessions-network.json",
        instance=instance,
        proxies=[*map(peer_of, proxies)],
        port=SERVER_PORT,
        closed_v4=[*CLOSED_V4],
        closed_v6=[*CLOSED_V6],
    )


def _pod(spec: SessionSpec, *, instance: str, port: Json, token: Json, resources: Json) -> Json:
    reaches = sorted({one.host for one in spec.services.services} - {LOCALHOST})
    arguments: list[Json] = [*server_arguments(spec.id, reaches)]
    return render_json(
        "manifests/session.json",
        pod=pod_name(instance, spec.id),
        instance=instance,
        session=spec.id,
        image=spec.image,
        pull_policy=pull_policy(spec.image),
        arguments=arguments,
        token=token,
        ports=[port],
        resources=resources,
    )
