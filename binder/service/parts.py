"""The parts of a service, and which of them may run apart. Pure.

The *proxy* part is what visitors and GitHub meet, in as many replicas as are wanted; it needs no engine and no cluster.
The *controller* part is all loops that make things so; one of it works at a time. *all* is both in one process.
"""

from typing import Literal

from binder.settings import Settings

Part = Literal["all", "proxy", "controller"]
EngineName = Literal["podman", "kubernetes"]


def complaints_about_parts(part: Part, settings: Settings) -> list[str]:
    """Return why the settings do not let that part run, a sentence each with what mends it."""
    complaints = []
    if part != "all" and settings.engine == "podman":
        complaints.append(
            f"With BINDER_ENGINE=podman, sessions run beside the service, which is one process: --part {part} asks for "
            "BINDER_ENGINE=kubernetes."
        )
    elif part != "all" and not settings.database_url:
        complaints.append(
            f"Parts that run apart share their store: --part {part} asks for a BINDER_DATABASE_URL of PostgreSQL."
        )
    if settings.engine == "kubernetes" and not settings.registry:
        complaints.append(
            "The cluster's nodes pull images from a registry: BINDER_ENGINE=kubernetes asks for a BINDER_REGISTRY."
        )
    return complaints
