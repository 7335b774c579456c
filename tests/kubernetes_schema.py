"""What Kubernetes would say of a manifest, as `binder render` asks it too."""

from deploy.kubernetes_schema import objections_to

__all__ = ["objections_to"]
