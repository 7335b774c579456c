"""The layers of an image, each with a key that stands for all that goes into it.

A key is a digest of a layer's inputs and of its parent's key, never of the repository's name: repositories with the
same environment share one image. Settings of the host (mirrors, certificates) are in no key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from binder.names import digest_of
from build.recipe import Recipe
from templates import source_path

LayerKind = Literal["base", "environment", "content"]

BASE_PACKAGES = ("ca-certificates", "git", "less", "procps", "python3")
"""What Debian gives every image. Changing it changes every key."""

ENVIRONMENT_HOME = "/opt/binder"
HOME = "/home/jovyan"


@dataclass(frozen=True)
class Layer:
    """One layer of an image: its kind, and the key that its inputs have."""

    kind: LayerKind
    key: str

    @property
    def image(self) -> str:
        """The name of the image that ends with this layer."""
        return f"localhost/binder/{self.kind}:{self.key}"


@dataclass(frozen=True)
class BuildPlan:
    """The layers of one image, from the bottom up."""

    base: Layer
    environment: Layer
    content: Layer

    @property
    def layers(self) -> Sequence[Layer]:
        """All of them, from the bottom up."""
        return (self.base, self.environment, self.content)


@cache
def _template(name: str) -> str:
    return source_path(f"build/{name}").read_text(encoding="utf-8")


def default_packages() -> str:
    """Return the packages that every environment has, as a requirements.txt."""
    return _template("jupyter.txt")


def base_layer(suite: str) -> Layer:
    """Return the layer of a Debian release."""
    return Layer("base", digest_of("base", suite, BASE_PACKAGES, _template("base.sh")))


def lock_key(base: Layer, recipe: Recipe) -> str:
    """Return the key of an environment that is asked for and not yet resolved."""
    asked = recipe.requirements.text if recipe.requirements else ""
    return digest_of("lock", base.key, asked, default_packages(), _template("resolve.sh"))


def plan_build(base: Layer, recipe: Recipe, lock: str, tree: str) -> BuildPlan:
    """Return the layers of an image; `tree` is git's id of the commit's tree, `lock` the resolved environment."""
    environment = Layer("environment", digest_of("environment", base.key, lock, _template("environment.Containerfile")))
    content = Layer(
        "content", digest_of("content", environment.key, tree, recipe.post_build, _template("content.Containerfile"))
    )
    return BuildPlan(base, environment, content)
