"""What those who make layers of images work with: one machine's, for as long as its builder is there."""

from dataclasses import dataclass

from binder.paths import Paths
from build.alone import Alone
from build.buildah import Buildah
from build.foundations import Foundations
from build.host import HostSettings
from build.images import Images, Texts


@dataclass(frozen=True)
class Tools:
    """Where things are, what makes images, and what is there already; `foundations` works with the same `buildah`."""

    paths: Paths
    buildah: Buildah
    images: Images
    texts: Texts
    foundations: Foundations
    host: HostSettings
    alone: Alone
