"""Images are brought to a real cluster's nodes before anybody clicks, by an account that may do just that."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from binder.lifecycle import BuildState
from binder.settings import read_settings
from binder.store import Store, open_store
from deploy.placement import ANYWHERE
from deploy.preload import PreloadFacts, Pull
from deploy.preloader import Preloader, opened_preloader
from deploy.rights import NODES_RULES, SESSIONS_RULES
from tests.cluster.given import Cluster, Namespace, until
from tests.cluster.images import BUSYBOX_IMAGE, name_in, push_images
from tests.deploy.conftest import connection_of
from tests.proxy.rows import SHA, add_build, add_preview, add_repository

pytestmark = pytest.mark.cluster

_LAYERS = [{"kind": "content", "key": "one", "reused": False, "bytes": 1000, "seconds": None}]


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    with cluster.namespace(pod_security="restricted") as namespace:
        yield namespace


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(read_settings(state_dir=tmp_path).store_url) as store:
        yield store


@pytest.fixture
async def preloader(cluster: Cluster, namespace: Namespace, store: Store, tmp_path: Path) -> AsyncIterator[Preloader]:
    settings = read_settings(state_dir=tmp_path, preload_disk_bytes=10**6, preload_copies=1)
    async with connection_of(cluster, namespace.account(SESSIONS_RULES, NODES_RULES)) as connection:
        preloader = Preloader(
            connection, store, settings, namespace=namespace.name, instance="0123abcd", placement=ANYWHERE
        )
        async with opened_preloader(preloader):
            yield preloader


async def _show(store: Store, image: str) -> None:
    """Have a preview whose image this is."""
    repository = await add_repository(store)
    preview = await add_preview(store, repository, "main", SHA)
    result = {"image": image, "layers": _LAYERS}
    await add_build(store, repository, BuildState.SUCCEEDED, sha=SHA, preview_id=preview.id, result=result)


async def _until(preloader: Preloader, is_so: Callable[[PreloadFacts], object]) -> PreloadFacts:
    for _ in range(600):
        facts, _ = await preloader.round()
        if is_so(facts):
            return facts
        await asyncio.sleep(0.1)
    raise AssertionError("it does not become so")


async def test_the_image_of_a_preview_comes_to_a_node_and_nothing_of_it_runs(
    preloader: Preloader, store: Store, cluster: Cluster, namespace: Namespace
) -> None:
    name = f"preloaded-{os.getpid()}"
    says = ["/bin/sh", "-c", "echo I was started"]
    made = {name: replace(BUSYBOX_IMAGE["busybox"], entry_point=says)}
    await asyncio.to_thread(push_images, made, cluster.registry)
    image = name_in(cluster.registry, name)
    await _show(store, image)
    assert not any(image in node.images for node in (await preloader.look()).nodes)
    _, plan = await preloader.round()
    assert [pull.image for pull in plan] == [image]
    assert [pod["metadata"]["labels"] for pod in namespace.list("pods")] == [{"binder.preload": "0123abcd"}]
    facts = await _until(preloader, lambda facts: facts.tried)
    assert (facts.busy, facts.tried) == ([], plan)
    assert namespace.list("pods") == []
    # Nodes tell of so many images only; who may not bring one has to find it.
    has = namespace.pod("has", "sh", "-c", "exit 0")
    has["spec"] |= {"nodeName": plan[0].node}
    has["spec"]["containers"][0] |= {"image": image, "imagePullPolicy": "Never"}
    pod = namespace.start(has)
    await asyncio.to_thread(until, lambda: pod.phase() == "Succeeded", "the image is not there", why=pod.why)


async def test_the_operator_sees_what_is_where_and_brings_the_rest(
    store: Store, cluster: Cluster, namespace: Namespace, tmp_path: Path
) -> None:
    name = f"brought-{os.getpid()}"
    made = {name: replace(BUSYBOX_IMAGE["busybox"], entry_point=["/bin/sh", "-c", "exit 1"])}
    await asyncio.to_thread(push_images, made, cluster.registry)
    image = name_in(cluster.registry, name)
    await _show(store, image)
    settings = {
        "BINDER_STATE_DIR": str(tmp_path),
        "BINDER_NAMESPACE": namespace.name,
        "BINDER_PRELOAD_DISK_BYTES": "1000000",
        "BINDER_PRELOAD_COPIES": "1",
        "KUBECONFIG": str(cluster.kubeconfig),
        "COLUMNS": "200",
    }
    code, said = await _preload("--dry-run", **settings, BINDER_ENGINE="podman")
    assert (code, "for BINDER_ENGINE=kubernetes" in said) == (4, True)
    settings["BINDER_ENGINE"] = "kubernetes"
    code, said = await _preload("--dry-run", **settings)
    assert (code, said.splitlines()[0]) == (0, "0 of 1 images are where they should be.")
    assert f"{image}: on 0 of " in said
    code, said = await _preload(**settings)
    assert (code, f": bringing {image}" in said) == (0, True)


async def _preload(*arguments: str, **settings: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "binder", "preload", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **settings},
    )
    async with asyncio.timeout(120):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_an_image_that_is_not_there_is_tried_once(
    preloader: Preloader, store: Store, cluster: Cluster, namespace: Namespace
) -> None:
    image = name_in(cluster.registry, "not-there")
    await _show(store, image)
    facts = await _until(preloader, lambda facts: facts.tried)
    assert {pull.image for pull in facts.tried} == {image}
    assert await preloader.round() == (facts, [])
    assert namespace.list("pods") == []
    assert all(isinstance(pull, Pull) for pull in facts.tried)
