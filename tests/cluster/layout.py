"""Where things are: the addresses of the one node, and its files below a folder."""

from dataclasses import dataclass
from pathlib import Path

HOST_ADDRESS = "10.245.0.1"
"""This machine, as the cluster sees it."""
OUTSIDE_ADDRESS = "203.0.113.1"
"""This machine too, as the internet: reached like all that is not the cluster's."""
NODE_ADDRESS = "10.245.0.2"
PODS = "10.244.0.0/24"
SERVICES = "10.96.0.0/16"
"""Both can be reached from this machine as from the node."""
API_SERVICE_ADDRESS = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"
DOMAIN = "cluster.local"

NODE = "node"
"""The node's name, and that of its network namespace."""
LINK = "binder-cluster"
"""This machine's end of the wire to the node; the node's whole network is gone with the node."""
CGROUP = "binder-cluster"
HIDDEN = ("/run", "/var/lib")
"""Folders in which daemons have files by fixed names: the node has empty ones in their place."""

API_SERVER = f"https://{NODE_ADDRESS}:6443"
REGISTRY = f"{NODE_ADDRESS}:5000"
"""Speaks plain HTTP."""
HOST_REGISTRY = f"{HOST_ADDRESS}:5001"
"""Where a test may have a registry of its own, which the node speaks plain HTTP to."""


@dataclass(frozen=True)
class Folder:
    """All files of a cluster that runs; nothing of it is elsewhere."""

    root: Path

    @property
    def certificates(self) -> Path:
        """Folder of keys, certificates and kubeconfigs."""
        return self.root / "certificates"

    @property
    def kubeconfig(self) -> Path:
        """What its administrator reaches it with."""
        return self.certificates / "admin.kubeconfig"

    @property
    def settings(self) -> Path:
        """Folder of what the daemons read."""
        return self.root / "settings"

    @property
    def data(self) -> Path:
        """Folder of what the daemons keep: a folder for each."""
        return self.root / "data"

    @property
    def logs(self) -> Path:
        """Folder of the daemons' logs: `NAME.log`."""
        return self.root / "logs"

    @property
    def owner(self) -> Path:
        """Which process waits for the cluster: `PID START_TIME`, as /proc has them."""
        return self.root / "owner"

    @property
    def ready(self) -> Path:
        """There once all runs."""
        return self.root / "ready"

    @property
    def reason(self) -> Path:
        """Why it does not run (any more): there once it has ended by itself."""
        return self.root / "reason"
