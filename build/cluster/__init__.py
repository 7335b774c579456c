"""Builds as Jobs of a Kubernetes cluster: what needs no Buildah is done at once, all else by a pod that has it."""
