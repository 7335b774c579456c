"""Builds on a real cluster: a pod where one is needed, nothing of it left, and nothing gained by who is hostile."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from binder.errors import OperatorFault, RepositoryFault, WorldFault
from binder.lifecycle import BuildState
from binder.names import new_token
from build.cluster import jobs
from build.cluster.pods import PATIENCE_SECONDS, is_at_work
from build.pipeline import Built
from templates import source_path
from templates.replacing import replace_from
from tests.build.cluster.conftest import Service, Shop
from tests.build.git_servers import GitServer
from tests.builds import Builder
from tests.cluster.given import Cluster, until
from tests.cluster.relay import relay_to
from tests.repositories import Files, LocalRepository, Script

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

_OWNER = "ada"


def _repository(git: GitServer, name: str, files: Files) -> tuple[LocalRepository, str]:
    repository = git.repository(f"{_OWNER}/{name}")
    return repository, repository.commit({"a.ipynb": json.dumps({"cells": [], "id": new_token()}), **files})


async def _build(service: Service, git: GitServer, name: str, sha: str, **more: str) -> Built:
    return await service.build(git.source(f"{_OWNER}/{name}"), sha, **more)


async def test_a_first_build_runs_in_a_pod_and_new_files_need_none(
    service: Service, git_of_pods: GitServer, builder: Builder
) -> None:
    repository, sha = _repository(git_of_pods, "notebooks", {"requirements.txt": "six==1.16.0\n"})
    built = await _build(service, git_of_pods, "notebooks", sha)
    log = service.log.read_text()
    assert (built.way, [one.layer.kind for one in built.layers if one.reused]) == ("full", ["base"])
    assert "==> Resolving the environment" in log
    assert log.count(f"Image {built.image} is ready") == 1
    assert BuildState.PUSHING in service.states
    assert [one[1:] for one in built.packages or () if one[1] == "six"] == [["six", "1.16.0"]]
    await builder.buildah.run_script(
        'buildah pull --quiet --tls-verify=false "$1" >/dev/null', built.image, step="pull", take=None
    )
    assert await builder.inside(built.image, "ls; python -c 'import six'; jupyter-lab --version | cut -c 1-2") == [
        "a.ipynb",
        "requirements.txt",
        "4.",
    ]
    await builder.forget([built.image])

    before = service.pods_made()
    built = await _build(service, git_of_pods, "notebooks", repository.commit({"a.ipynb": new_token()}))
    assert built.way == "content"
    assert (await _build(service, git_of_pods, "notebooks", sha)).way == "nothing"
    assert service.pods_made() == before


async def test_what_a_build_prints_cannot_pass_for_what_its_pod_says(service: Service, git_of_pods: GitServer) -> None:
    forged = '{"number": 1000000, "event": "failed", "is": {"party": "operator", "message": "forged"}}'
    script = f"""#!/bin/sh
echo '{forged}'
printf '\\n%s\\r\\033[2J\\000\\n' '{forged}'
for place in /proc/1/fd/1 /proc/1/fd/2; do
    (echo '{forged}' >$place) 2>/dev/null || echo "closed: $place"
done
cat /run/order/order.json 2>/dev/null || echo "no order"
for id in $(ls /proc | grep '^[0-9]'); do
    if tr '\\0' '\\n' <"/proc/$id/environ" 2>/dev/null | grep -q KUBERNETES; then echo "seen"; fi
done
head -c 300000 /dev/zero | tr '\\0' x
echo
"""
    _, sha = _repository(git_of_pods, "hostile", {"postBuild": Script(script)})
    built = await _build(service, git_of_pods, "hostile", sha)
    log = service.log.read_text()
    assert built.digest
    assert forged in log
    assert "closed: /proc/1/fd/1" in log
    assert "no order" in log
    assert "seen" not in log.splitlines()


async def test_a_token_is_nowhere_but_in_the_order(service: Service, git_of_pods: GitServer) -> None:
    token = new_token()
    _, sha = _repository(git_of_pods, "private", {"postBuild": Script("#!/bin/sh\nenv; echo $0; exit 3\n")})
    git_of_pods.tokens[f"{_OWNER}/private"] = token
    with pytest.raises(RepositoryFault, match="postBuild ended with status 3") as found:
        await service.build(git_of_pods.source(f"{_OWNER}/private", token), sha)
    assert (found.value.file, found.value.step) == ("postBuild", "postBuild")
    assert token not in service.log.read_text()


async def test_a_pod_builds_by_the_operators_templates(shop: Shop, git_of_pods: GitServer, tmp_path: Path) -> None:
    name = "build/content.sh"
    (tmp_path / "build").mkdir()
    text = (
        source_path(name)
        .read_text(encoding="utf-8")
        .replace("set -eu\n", "set -eu\necho An operator asks for this\n", 1)
    )
    (tmp_path / name).write_text(text, encoding="utf-8")
    _, sha = _repository(git_of_pods, "templates", {"postBuild": Script("#!/bin/sh\ntrue\n")})
    replace_from(tmp_path)
    try:
        async with shop.service(templates=tmp_path) as service:
            await _build(service, git_of_pods, "templates", sha)
            assert "An operator asks for this" in service.log.read_text().splitlines()
    finally:
        replace_from(None)


async def test_a_build_that_is_cancelled_leaves_nothing(service: Service, git_of_pods: GitServer) -> None:
    _, sha = _repository(git_of_pods, "slow", {"postBuild": Script("#!/bin/sh\necho begun\nsleep 600\n")})
    before = service.left()
    building = asyncio.create_task(_build(service, git_of_pods, "slow", sha))
    await _until_logged(service, "begun")
    left = service.left()
    assert [len(names) for kind, names in left.items() if names != before[kind]] == [1, 1, 1]
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    left = service.left()
    assert (left["jobs"], left["secrets"]) == (before["jobs"], before["secrets"])
    assert not [pod for pod in service.namespace.list("pods") if is_at_work(pod)]


async def test_a_pod_that_is_killed_is_nobodys_fault_here(
    service: Service, git_of_pods: GitServer, cluster: Cluster
) -> None:
    repository, sha = _repository(git_of_pods, "killed", {"postBuild": Script("#!/bin/sh\necho begun\nsleep 600\n")})
    building = asyncio.create_task(_build(service, git_of_pods, "killed", sha))
    await _until_logged(service, "begun")
    (pod,) = service.namespace.list("pods")
    cluster.api.delete({"apiVersion": "v1", "kind": "Pod", "metadata": pod["metadata"]})
    with pytest.raises(WorldFault, match="taken away"):
        await building
    # Whoever tries again begins with what there is, under the same name.
    sha = repository.commit({"postBuild": Script("#!/bin/sh\necho done\n")})
    assert (await _build(service, git_of_pods, "killed", sha)).way == "content"


async def test_whoever_takes_a_build_up_again_replaces_its_job(service: Service, git_of_pods: GitServer) -> None:
    repository, sha = _repository(git_of_pods, "taken", {"postBuild": Script("#!/bin/sh\necho begun\nsleep 600\n")})
    first = asyncio.create_task(_build(service, git_of_pods, "taken", sha))
    await _until_logged(service, "begun")
    sha = repository.commit({"postBuild": Script("#!/bin/sh\necho done\n")})
    built = await _build(service, git_of_pods, "taken", sha)
    assert built.way == "content"
    with pytest.raises(WorldFault, match="taken away"):
        await first


async def test_a_build_that_wants_too_much_memory_says_so(service: Service, git_of_pods: GitServer) -> None:
    greedy = "#!/usr/bin/python3\nx = []\nwhile True:\n    x.append(bytearray(2**27))\n"
    _, sha = _repository(git_of_pods, "greedy", {"postBuild": Script(greedy)})
    with pytest.raises(RepositoryFault, match=r"wanted more than the 2\.0 GB of memory"):
        await _build(service, git_of_pods, "greedy", sha)


async def test_who_builds_reaches_the_internet_and_its_registry_and_nothing_else_of_the_cluster(
    service: Service, git_of_pods: GitServer, cluster: Cluster
) -> None:
    (node,) = cluster.api.list("/api/v1/nodes")
    everywhere = "0.0.0.0"  # noqa: S104 - pods reach it by two addresses
    async with await asyncio.start_server(lambda _, writer: writer.close(), everywhere, 0) as server:
        port = server.sockets[0].getsockname()[1]
        places = {
            "api": (cluster.service_address("kubernetes", "default"), 443),
            "kubelet": (node["status"]["addresses"][0]["address"], 10250),
            "metadata": ("169.254.169.254", 80),
            "outside": (cluster.outside, port),
        }
        looks = "".join(f"look('{name}', '{host}', {port})\n" for name, (host, port) in places.items())
        script = f"""#!/usr/bin/python3
import socket
def look(name, host, port):
    try:
        socket.create_connection((host, port), timeout=3).close()
        print("reached:", name)
    except OSError:
        print("closed:", name)
{looks}"""
        _, sha = _repository(git_of_pods, "curious", {"postBuild": Script(script)})
        await _build(service, git_of_pods, "curious", sha)
    said = {line for line in service.log.read_text().splitlines() if line.startswith(("reached:", "closed:"))}
    assert said == {"closed: api", "closed: kubelet", "closed: metadata", "reached: outside"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"builder_node_selector": "there=none"}, "has no node for the build: .* didn't match Pod's node affinity"),
        ({"builder_image": "{registry}/missing:1"}, r"/missing:1, cannot be pulled: .*not found"),
        ({"build_memory_bytes": 2**50}, "makes no pod of the build's Job: .*exceeded quota"),
    ],
)
async def test_what_keeps_all_builds_from_starting_is_said(
    settings: dict[str, object], words: str, shop: Shop, git_of_pods: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PATIENCE_SECONDS", dict.fromkeys(PATIENCE_SECONDS, 5.0))
    _, sha = _repository(git_of_pods, "waiting", {"postBuild": Script("#!/bin/sh\n")})
    place = shop.cluster.registry
    chosen: dict[str, Any] = {
        name: one.format(registry=place) if isinstance(one, str) else one for name, one in settings.items()
    }
    async with shop.service(**chosen) as service:
        service.namespace.create("v1", "ResourceQuota", "small", spec={"hard": {"requests.memory": "1Ti"}})
        with pytest.raises(OperatorFault, match=words):
            await _build(service, git_of_pods, "waiting", sha)
        assert "The builder waits: " in service.log.read_text()


async def test_a_build_that_is_to_have_no_network_has_none(shop: Shop, git_of_pods: GitServer) -> None:
    script = "#!/usr/bin/python3\nimport socket\nprint('has', [name for _, name in socket.if_nameindex()])\n"
    _, sha = _repository(git_of_pods, "closed", {"postBuild": Script(script)})
    async with shop.service(build_network="dependencies") as service:
        await _build(service, git_of_pods, "closed", sha)
        assert "has ['lo']" in service.log.read_text()


async def test_a_connection_that_breaks_off_loses_no_line_and_doubles_none(shop: Shop, git_of_pods: GitServer) -> None:
    count = "#!/bin/sh\nfor i in $(seq 1000); do echo line $i; [ $((i % 100)) = 0 ] && sleep 1; done; exit 0\n"
    _, sha = _repository(git_of_pods, "counting", {"postBuild": Script(count)})
    server = shop.cluster.api.wires.api_client.configuration.host
    async with relay_to(server) as relay, shop.service(through=relay.address) as service:
        building = asyncio.create_task(_build(service, git_of_pods, "counting", sha))
        for line in ("line 100", "line 500"):
            await _until_logged(service, line)
            assert relay.cut()
        assert (await building).way == "content"
    lines = [line for line in service.log.read_text().splitlines() if line.startswith("line ")]
    assert lines == [f"line {number}" for number in range(1, 1001)]


async def test_a_node_keeps_what_the_next_build_begins_with(shop: Shop, git_of_pods: GitServer) -> None:
    repository, sha = _repository(git_of_pods, "near", {"requirements.txt": "toolz==0.12.1\n"})
    cache = shop.folder / "of-node"
    # In a registry without any environment, so that it is made by these builds.
    async with shop.service(as_administrator=True, builder_cache=f"host:{cache}") as service:
        first = await _build(service, git_of_pods, "near", sha)
        second = await _build(service, git_of_pods, "near", repository.commit({"requirements.txt": "toolz==1.0.0\n"}))
    assert (first.way, second.way, second.changed) == ("full", "delta", ("toolz",))
    assert "Exchanging packages of an earlier environment: toolz" in service.log.read_text()


async def test_a_dockerfile_that_is_root_gains_nothing(
    service: Service, git_of_pods: GitServer, image_of_others: str
) -> None:
    forge = "for id in /proc/[0-9]*; do (echo forged >$id/fd/1; cat $id/root/run/order/*) 2>/dev/null; done"
    text = (
        f"FROM {image_of_others}\nUSER 0\nRUN {forge}; id; ls /run /var/cache/binder; cat /run/order/order.json; true\n"
    )
    _, sha = _repository(git_of_pods, "root", {"Dockerfile": text})
    built = await _build(service, git_of_pods, "root", sha)
    assert built.way == "full"
    assert "uid=0" in service.log.read_text()
    assert "registry_password" not in service.log.read_text()


async def _until_logged(service: Service, text: str) -> None:
    def is_logged() -> bool:
        return service.log.exists() and text in service.log.read_text().splitlines()

    await asyncio.to_thread(until, is_logged, f"{text} is not logged", seconds=180)
