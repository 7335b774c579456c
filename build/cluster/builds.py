"""Builds of a service on a cluster: at once where registry and git are enough, else by a pod.

An image that is there, and one of which only the files are new, need no Buildah: what they are made of is read from the
registry, and the layer is laid over HTTP. As soon as anything else is asked for, the whole build is handed to a pod,
before anything was made. It finds by keys what is there.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from binder.errors import WorldFault
from build.cluster.absent import BuilderNeededError
from build.cluster.lines import Entered, Event, Planned, Said
from build.cluster.order import Order
from build.images import Images, name_of
from build.module_images import module_layers
from build.pipeline import Built
from build.planner import Job
from build.worker import Maker


class Pods(Protocol):
    """Has builds run by pods."""

    async def run(self, order: Order, heard: Callable[[Event], Awaitable[None]]) -> Built:
        """Have a build run to its end, telling each of its events, and return what it made.

        Raises: BinderError.
        """
        ...


class ClusterBuilds:
    """Makes images of commits; `near` has no Buildah (`AbsentBuildah`), and `order_for` says what a pod is told."""

    def __init__(self, near: Maker, images: Images, pods: Pods, order_for: Callable[[Job], Order]) -> None:
        self._near = near
        self._images = images
        self._pods = pods
        self._order_for = order_for

    async def build(self, job: Job) -> Built:
        """Turn a commit into an image.

        Raises: BinderError.
        """
        try:
            return await self._near.build(job)
        except BuilderNeededError:
            job.log.heading("More is to be made than a layer of files: a builder is asked for")

        async def heard(event: Event) -> None:
            match event:
                case Said(text):
                    await job.log.take(text)
                case Entered(state):
                    await job.enter(state)
                case Planned(layers):
                    await job.planned(layers)

        built = await self._pods.run(self._order_for(job), heard)
        await self._check(built)
        return built

    async def _check(self, built: Built) -> None:
        """See that the image is where a pod says it is: sessions run what the registry has, and nothing else."""
        uppermost = built.layers[-1].layer
        there = await self._images.present([uppermost])
        if (built.image, built.digest) != (name_of(self._images, uppermost), there.get(uppermost)):
            raise WorldFault("The image that the builder made is not in the registry.")
        layers = module_layers(built.modules, self._images.repository)
        if layers is None or len(await self._images.present(layers)) < len(layers):
            raise WorldFault("An image of a module that the builder made is not in the registry.")
