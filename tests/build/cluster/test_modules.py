"""Modules on a real cluster: their images are made by a pod, which is given the operator's, and once for all."""

from pathlib import Path

import pytest

from binder.errors import OperatorFault
from binder.names import new_token
from modules.beginning import new_module
from modules.bound import as_json, images_of
from tests.build.cluster.conftest import Shop
from tests.build.git_servers import GitServer
from tests.builds import Builder
from tests.modules.test_checking import written

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

_PULL = 'buildah pull --quiet --tls-verify=false "$1" >/dev/null'
_ASKED = "modules:\n  box:\n    seed: first.txt\n    parameters: {greeting: Good morning}\n  own:\n"


async def test_a_pod_makes_the_images_of_modules_and_new_files_need_none(
    shop: Shop, git_of_pods: GitServer, builder: Builder, tmp_path: Path
) -> None:
    written(tmp_path / "box/1.0", new_module("box", "1.0"))
    repository = git_of_pods.repository("ada/notebooks")
    own = {f"binder/modules/own/2/{path}": data for path, data in new_module("own", "2").items()}
    sha = repository.commit({"binder.yml": _ASKED, "first.txt": "x", "a.ipynb": "{}", **own})
    source = git_of_pods.source("ada/notebooks")
    async with shop.service(modules=str(tmp_path)) as service:
        built = await service.build(source, sha)
        log = service.log.read_text()
        assert "==> Modules: box 1.0 (single-node), own 2 (single-node)" in log
        # Both have the same files, so that one image is both's.
        assert "==> Making the image server of the module box 1.0" in log
        assert "of the module own" not in log
        assert [(one.name, one.values["greeting"]) for one in built.modules] == [
            ("box", "Good morning"),
            ("own", "Hello"),
        ]
        images = images_of(as_json(built.modules))
        assert len(images) == 1
        for image in (*images, built.image):
            await builder.buildah.run_script(_PULL, image, step="pull", take=None)
        assert await builder.inside(next(iter(images)), "id -u; command -v server") == ["1000", "/usr/local/bin/server"]
        assert await builder.inside(built.image, "ls binder-modules /opt/binder/modules/binder_modules") == [
            *("/opt/binder/modules/binder_modules:", "__init__.py", "box.py", "own.py", ""),
            *("binder-modules:", "box.ipynb", "own.ipynb"),
        ]
        await builder.forget([*images, built.image])
        before = service.pods_made()
        again = await service.build(source, repository.commit({"a.ipynb": new_token()}))
        assert (again.way, again.modules, service.pods_made()) == ("content", built.modules, before)


async def test_an_operators_module_that_a_pod_cannot_make_is_the_operators_fault(
    shop: Shop, git_of_pods: GitServer, tmp_path: Path
) -> None:
    folder = written(tmp_path / "box/1.0", new_module("box", "1.0"))
    with (folder / "images/server/Containerfile").open("a") as file:
        file.write("RUN echo no; exit 3\n")
    sha = git_of_pods.repository("ada/notebooks").commit({"binder.yml": "modules: [box]", "a.ipynb": "{}"})
    async with shop.service(modules=str(tmp_path)) as service:
        with pytest.raises(OperatorFault, match=r"box 1\.0 .* cannot be made: .*Containerfile line 10"):
            await service.build(git_of_pods.source("ada/notebooks"), sha)
