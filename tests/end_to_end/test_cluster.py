"""The main job with the service on this machine, and its sessions on a real cluster."""

from pathlib import Path

import pytest

from binder.cli.visit import compute, open_link
from tests.cluster.given import Cluster
from tests.stage import NOTEBOOK, running_stage

pytestmark = pytest.mark.cluster


async def test_a_push_becomes_a_notebook_on_the_cluster(home: Path, cluster: Cluster) -> None:
    with cluster.namespace(pod_security="restricted") as namespace:
        settings = {
            "BINDER_ENGINE": "kubernetes",
            "BINDER_NAMESPACE": namespace.name,
            "BINDER_REGISTRY": f"{cluster.registry}/binder",
            "BINDER_REGISTRY_PLAIN_HTTP": "true",
            "BINDER_SESSION_PROXIES": f"{cluster.host}/32",
            "KUBECONFIG": str(cluster.kubeconfig),
        }
        async with running_stage(home, settings=settings) as stage:
            sha = await stage.push({"index.ipynb": NOTEBOOK})
            status = await stage.final_status(sha, timeout_seconds=600)
            assert status.state == "success", status.description
            assert status.target_url
            visit = await open_link(status.target_url, timeout_seconds=60)
            assert await compute(visit, "print(6 * 7)") == "42\n"
            session_id = visit.base_url.split("/")[-2]
            assert session_id in {pod["metadata"]["labels"]["binder.session"] for pod in namespace.list("pods")}
        assert namespace.list("pods") == []  # it was ephemeral
