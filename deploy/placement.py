"""Where a cluster runs sessions, and before whom: the operator's choices, and the fields of a Pod that say them. Pure.

All sessions have one priority class. A Pod's cannot be changed once it is there, and a standby becomes a visitor's
session: with a lower class it would go on giving way to others while somebody works in it. What gives way to sessions
is what the operator runs for that: placeholders, pods as large as a session that do nothing and have a lower class, as
JupyterHub's. Source: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from binder.settings import Settings
from templates import Json
from templates.tolerations import lost_for_a_while, toleration_of


@dataclass(frozen=True)
class Toleration:
    """A taint that sessions put up with; without a value any of the key's, without an effect all of them."""

    key: str
    value: str = ""
    effect: str = ""

    def tolerates(self, taint: Mapping[str, str]) -> bool:
        """Whether it puts up with a taint."""
        fits = self.key == taint["key"] and self.effect in {"", taint["effect"]}
        return fits and self.value in {"", taint.get("value", "")}

    def as_json(self) -> Json:
        """Return it as a Pod has it."""
        return toleration_of(self.key, self.value, self.effect)


@dataclass(frozen=True)
class Placement:
    """The operator's choices. `gpu_resource`: what the cluster calls a GPU; `pull_secrets`: who may read the images;
    `disk_bytes`: what a session may write there, where that is bounded.
    """

    node_selector: Mapping[str, str]
    tolerations: tuple[Toleration, ...] = ()
    priority_class: str = ""
    gpu_resource: str = "nvidia.com/gpu"
    pull_secrets: tuple[str, ...] = ()
    disk_bytes: int = 0


ANYWHERE = Placement({})


def placement_of(settings: Settings) -> Placement:
    """Return what the settings say."""
    return Placement(
        dict(settings.session_node_selector),
        tuple(Toleration(*parts) for parts in settings.session_tolerations),
        settings.session_priority_class,
        settings.session_gpu_resource,
        settings.session_pull_secrets,
        settings.session_disk_bytes,
    )


def may_run_on(node: Mapping[str, Any], placement: Placement) -> bool:
    """Whether sessions may run on a node (as the API server gives it): it has the labels, and no taint forbids it."""
    labels = node["metadata"].get("labels", {})
    taints = node["spec"].get("taints", ())
    return all(labels.get(key) == value for key, value in placement.node_selector.items()) and all(
        taint["effect"] == "PreferNoSchedule" or any(one.tolerates(taint) for one in placement.tolerations)
        for taint in taints
    )


def pod_fields(placement: Placement, gpus: int) -> dict[str, Json]:
    """Return what is added to the spec of a session's Pod: which nodes it may run on, before whom, and with
    which right to its image."""
    # Nodes with GPUs are kept for those who ask for them by a taint of the same name.
    tolerated = (*placement.tolerations, *([Toleration(placement.gpu_resource)] if gpus else []))
    fields: dict[str, Json] = {"tolerations": [*lost_for_a_while(), *(one.as_json() for one in tolerated)]}
    if placement.node_selector:
        fields["nodeSelector"] = dict(placement.node_selector)
    if placement.priority_class:
        fields["priorityClassName"] = placement.priority_class
    if placement.pull_secrets:
        fields["imagePullSecrets"] = [{"name": name} for name in placement.pull_secrets]
    return fields
