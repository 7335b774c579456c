"""The adapter to Buildah: what it says of steps that fail, and of images that come and go."""

import asyncio

import pytest

from binder.errors import BinderError, OperatorFault, RepositoryFault
from binder.process import Account
from tests.build.machines import said_by_buildah
from tests.builds import Builder

pytestmark = pytest.mark.slow


async def test_a_full_disk_is_the_operators_fault(builder: Builder) -> None:
    script = 'echo "write /x: no space left on device"; exit 1'

    def explain(output: str) -> BinderError:
        return RepositoryFault(output)

    with pytest.raises(OperatorFault, match="disk of this service is full"):
        await builder.buildah.run_script(script, step="x", take=None, explain=explain)


async def test_a_step_that_takes_too_long_is_stopped(builder: Builder, account: Account) -> None:
    buildah = type(builder.buildah)(builder.paths, account, timeout_seconds=0.3)
    with pytest.raises(RepositoryFault, match=r"“postBuild” did not end within 0\.3 seconds"):
        await buildah.run_script("sleep 60", step="postBuild", take=None)


async def test_images_without_a_name_are_passed_over(builder: Builder, jupyter_image: str) -> None:
    script = 'c=$(buildah from --pull-never "$1") && buildah commit --quiet --rm "$c"'
    made: list[str] = []

    async def take(line: str) -> None:
        made.append(line)

    await builder.buildah.run_script(script, jupyter_image, step="unnamed", take=take)
    try:
        assert '"names": null' in await said_by_buildah(builder, "images", "--json")
        images = await builder.buildah.images()
        assert jupyter_image in images
        assert all(name and digest.startswith("sha256:") for name, digest in images.items())
    finally:
        await said_by_buildah(builder, "rmi", made[-1])


async def test_images_may_go_while_they_are_listed(builder: Builder, jupyter_image: str) -> None:
    script = (
        'for n in 1 2 3 4; do c=$(buildah from "$1"); i=$(buildah commit --quiet --rm "$c"); buildah rmi "$i"; done'
    )
    going = asyncio.create_task(builder.buildah.run_script(script, jupyter_image, step="going", take=None))
    while not going.done():
        assert jupyter_image in await builder.buildah.images()
    await going
