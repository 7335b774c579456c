"""The layers of an image, each with a key that stands for all that goes into it.

A key is a digest of a layer's inputs and of its parent's key, never of the repository's name: repositories with the
same environment share one image. Only the uppermost layer, with its labels, is one commit's own. Settings of the host
(mirrors, certificates) are in no key. A namespace keeps apart what may not be shared: what was made with credentials
of the host, and what forks made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from types import MappingProxyType
from typing import Literal

from binder.names import digest_of
from build.commits.git import Commit, Source
from build.commits.tree import Entry
from build.lock import Lock
from build.recipes.recipe import BuildSystem, Recipe
from templates import replacing_text, source_path

_END_OF_TIME = 4_102_444_800  # 2100-01-01; a commit may say any time, a layer cannot hold all of them

_NOTHING: Mapping[str, str] = MappingProxyType({})
_WITH_CREDENTIALS = "with credentials"

LayerKind = Literal["base", "system", "environment", "prepared", "content", "module"]

BASE_PACKAGES = ("ca-certificates", "git", "less", "procps", "python3")
"""What Debian gives every image. Changing it changes every key."""

R_PACKAGES = ("r-base-core", "r-cran-irkernel")
"""What Debian gives an image of R."""

R_COMPILERS = ("r-base-dev",)
"""What CRAN's packages are compiled with, where an author asks for some of them."""

BEGINNING_OF_TIME = 315_532_800  # 1980-01-01, the earliest that a zip archive can hold
"""The time, in seconds of the epoch, of all layers that are no commit's own."""

ENVIRONMENT_HOME = "/opt/binder"
HOME = "/home/jovyan"


@dataclass(frozen=True)
class Layer:
    """One layer of an image: its kind, and the key that its inputs have.

    `is_taken`: it was there, and whoever plans with it may not make it.
    """

    kind: LayerKind
    key: str
    is_taken: bool = field(default=False, compare=False)

    @property
    def tag(self) -> str:
        """The tag of the image that ends with this layer."""
        return f"{self.kind}-{self.key}"


@dataclass(frozen=True)
class Namespaces:
    """What a build may take of what others made (`taken`), and where it keeps what it makes itself (`kept`).

    The namespace `""` is everybody's. A commit of a fork takes what is everybody's, and adds nothing to it.
    """

    taken: str = ""
    kept: str = ""

    @property
    def with_credentials(self) -> bool:
        """Whether credentials of the host may be used, and what was made with them."""
        return self.taken == _WITH_CREDENTIALS

    @property
    def is_trusted(self) -> bool:
        """Whether others may take what the build makes."""
        return self.taken == self.kept


EVERYBODYS = Namespaces()
"""Those of a trusted build on a host without credentials."""


def namespaces_for(source: Source, *, has_credentials: bool) -> Namespaces:
    """Return the namespaces of a build of a commit that comes from `source`, on a host that may have credentials."""
    if not source.trusted:
        return Namespaces("", f"fork of {source.url}")
    return Namespaces(_WITH_CREDENTIALS, _WITH_CREDENTIALS) if has_credentials else EVERYBODYS


def in_namespace(namespace: str, layer: Layer) -> Layer:
    """Return a layer as it is called in a namespace."""
    return replace(layer, key=_key_in(namespace, layer.key))


def lock_tags(key: str, namespaces: Namespaces) -> tuple[str, str]:
    """Return the tag of a lock that may be taken, and of that which is kept."""
    return f"lock-{_key_in(namespaces.taken, key)}", f"lock-{_key_in(namespaces.kept, key)}"


def _key_in(namespace: str, key: str) -> str:
    return digest_of("namespace", namespace, key) if namespace else key


@dataclass(frozen=True)
class ToResolve:
    """What an environment is resolved from. `newest` (UTC) hides what was published later; None hides nothing.

    `tree` is git's id of the commit's tree where resolving reads the repository's files, else None.
    """

    recipe: Recipe
    newest: datetime | None
    tree: str | None
    namespaces: Namespaces = EVERYBODYS


@cache
def template(name: str) -> str:
    """Return the text of a template of builds."""
    return source_path(f"build/{name}").read_text(encoding="utf-8")


def default_packages() -> str:
    """Return the packages that every environment has, as a requirements.txt."""
    return template("jupyter.txt")


def time_of(commit: Commit) -> int:
    """Return the time that an image of the commit says it was made: the commit's, in seconds of the epoch."""
    return min(max(commit.time, 0), _END_OF_TIME)


def base_layer(suite: str) -> Layer:
    """Return the layer of a Debian release."""
    return Layer("base", digest_of("base", suite, BASE_PACKAGES, template("base.sh")))


def debian_packages(recipe: Recipe) -> tuple[str, ...]:
    """Return the packages of Debian that a recipe needs."""
    r = recipe.r
    of_r = (*R_PACKAGES, *(R_COMPILERS if r.install or r.description else ())) if r else ()
    return tuple(sorted({*recipe.system, *of_r}))


def system_layer(base: Layer, packages: Sequence[str], preferred: Sequence[str] = ()) -> Layer:
    """Return the layer of Debian's packages; the base itself where none are wanted."""
    if not packages:
        return base
    return Layer(
        "system",
        digest_of(
            "system",
            base.key,
            packages,
            preferred,
            template("system.sh"),
            *replacing_text("build/system.Containerfile"),
        ),
    )


def to_resolve(recipe: Recipe, committed_at: datetime, tree: str, namespaces: Namespaces = EVERYBODYS) -> ToResolve:
    """Return what the environment of a commit is resolved from."""
    as_of = recipe.options.as_of
    newest = committed_at if as_of == "commit-date" else _end_of(as_of) if isinstance(as_of, date) else None
    return ToResolve(recipe, newest, tree if recipe.python.reads_tree else None, namespaces)


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def asked_key(suite: str, asked: ToResolve) -> str:
    """Return what stands for what is asked for, whatever version of ours resolves it: a kept lock is of this."""
    recipe = asked.recipe
    of_python = (recipe.python.asked, recipe.python.roots, recipe.python.constraints, recipe.python.index_options)
    conda = recipe.conda
    locked = [asdict(package) for package in conda.locked] if conda and conda.locked is not None else None
    of_conda = (conda.channels, conda.specs, conda.pip, conda.priority, locked) if conda else None
    return digest_of("asked", suite, of_python, of_conda, str(recipe.options.as_of))


def lock_key(base: Layer, asked: ToResolve) -> str:
    """Return the key of an environment that is asked for and not yet resolved."""
    newest = asked.newest.isoformat() if asked.newest else None
    scripts = [template("resolve.sh"), *([template("conda.py")] if asked.recipe.conda else [])]
    return digest_of("lock", base.key, asked_key("", asked), newest, asked.tree, default_packages(), scripts)


def build_asked_key(suite: str, asked: ToResolve, system: BuildSystem) -> str:
    """Return what stands for what a project asks to be built with, as `asked_key` for the environment."""
    recipe = asked.recipe
    return digest_of("build", suite, system.requires, recipe.python.index_options, str(recipe.options.as_of))


def build_lock_key(base: Layer, asked: ToResolve, system: BuildSystem, python: str | None) -> str:
    """Return the key of what a project is built with and is not yet resolved, for a version of Python, or Debian's."""
    newest = asked.newest.isoformat() if asked.newest else None
    return digest_of("build-lock", base.key, build_asked_key("", asked, system), newest, python, template("resolve.sh"))


def locks_of(base: Layer, asked: ToResolve, python: str | None) -> tuple[str, ...]:
    """Return the tags of the locks that what is asked may be resolved to: its own, and those of its build systems."""
    systems = asked.recipe.python.build_systems.values()
    keys = [lock_key(base, asked), *(build_lock_key(base, asked, system, python) for system in systems)]
    return tuple(dict.fromkeys(tag for key in keys for tag in lock_tags(key, asked.namespaces)))


def environment_family(parent: Layer, namespace: str = "") -> str:
    """Return what environments have in common that differ only in their packages: one can be made of another."""
    scripts = (template("environment.sh"), template("environment.Containerfile"))
    return _key_in(namespace, digest_of("family", parent.key, *scripts))


def environment_layer(
    parent: Layer, lock: Lock, of_r: Mapping[str, str], variables: Mapping[str, str] = _NOTHING
) -> Layer:
    """Return the layer of a resolved environment.

    `of_r` holds what decides which packages R gets, `variables` what the author wants to be set.
    """
    of_conda = [*lock.conda, *([template("conda.py")] if lock.conda else [])]
    inputs = (environment_family(parent), lock.pypi, of_conda, of_r, dict(variables))
    return Layer("environment", digest_of("environment", *inputs))


def prepared_layer(parent: Layer, recipe: Recipe, files: Mapping[str, Entry]) -> Layer:
    """Return the layer of a postBuild that says what it reads; its parent where none does."""
    inputs = recipe.options.post_build_inputs
    if recipe.post_build is None or inputs is None:
        return parent
    read = [(path, files[path].mode, files[path].object_id) for path in sorted({recipe.post_build, *inputs})]
    scripts = (template("content.sh"), template("content.Containerfile"))
    return Layer("prepared", digest_of("prepared", parent.key, recipe.post_build, read, scripts))


def containerfile_layer(source: str, commit: Commit) -> Layer:
    """Return the layer of a commit whose own Dockerfile says what its image is."""
    return Layer("content", digest_of("containerfile", source, commit.sha, commit.tree, template("pull.sh")))


def content_layer(
    parent: Layer, source: str, commit: Commit, built_with: Mapping[str, str] = _NOTHING, clients: str = ""
) -> Layer:
    """Return the layer of a commit's files; its labels name `source`, the address that the commit came from.

    `built_with` maps the paths of the repository's own projects to the exact packages that they are built with.
    `clients` stands for the files that modules lay beside them.
    """
    scripts = (template("content.sh"), template("content.Containerfile"))
    inputs = (source, commit.sha, commit.tree, commit.time, scripts, dict(built_with), *([clients] if clients else []))
    return Layer("content", digest_of("content", parent.key, *inputs))


def module_layer(base: Layer, files: str, *, has_packages: bool) -> Layer:
    """Return the layer of a module's image: the same for all who ask for it; `files` is the digest of its folder."""
    return Layer("module", digest_of("module", base.key, files, template("system.sh") if has_packages else ""))
