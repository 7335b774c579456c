"""How a real cluster gets the images of sessions: from private registries too, and why it does not is told apart."""

import base64
import json
from collections.abc import Callable

import pytest

from binder.errors import OperatorFault
from deploy.kubernetes import KubernetesEngine
from deploy.kubernetes import kubernetes_engine as open_engine
from deploy.placement import Placement
from tests.cluster.given import Cluster, Namespace
from tests.cluster.images import name_in
from tests.cluster.private_registry import private_registry
from tests.deploy.conftest import new_spec

pytestmark = pytest.mark.cluster


async def test_an_image_of_a_private_registry_is_brought_by_who_may_read_it(
    kubernetes_engine: KubernetesEngine, odd_cluster_images: Callable[[str], str], cluster: Cluster
) -> None:
    place, behind = cluster.host_registry, odd_cluster_images("waits").partition("/")[0]
    image = odd_cluster_images("waits").replace(behind, place)
    namespace = Namespace(cluster, kubernetes_engine.namespace)
    sign_in = {"auths": {place: {"auth": base64.b64encode(b"node:secret").decode()}}}
    data = {".dockerconfigjson": base64.b64encode(json.dumps(sign_in).encode()).decode()}
    namespace.create("v1", "Secret", "registry", type="kubernetes.io/dockerconfigjson", data=data)
    async with open_engine(
        kubernetes_engine.connection,
        namespace=namespace.name,
        instance=kubernetes_engine.instance,
        placement=Placement({}, pull_secrets=("registry",)),
    ) as allowed:
        with private_registry(place, behind, user="node", password="secret"):
            with pytest.raises(OperatorFault, match="may not read its image: the registry refuses it"):
                await kubernetes_engine.start(new_spec(image))
            spec = new_spec(image)
            await allowed.start(spec)
        assert set(await allowed.running()) == {spec.id}


async def test_an_image_that_is_not_there_and_a_registry_that_is_not_are_told_apart(
    kubernetes_engine: KubernetesEngine, cluster: Cluster
) -> None:
    with pytest.raises(OperatorFault, match="Its image is not in the registry"):
        await kubernetes_engine.start(new_spec(name_in(cluster.registry, "not-there")))
    with pytest.raises(OperatorFault, match="cannot be reached"):
        await kubernetes_engine.start(new_spec(f"{cluster.host_registry}/anything:1"))
    assert await kubernetes_engine.running() == {}
