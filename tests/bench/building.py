"""`build`: what a build costs, from the commit that was fetched to the image that can be used, beside its peers.

Ours is the whole of `Pipeline.build` but for fetching: reading the recipe, planning, resolving, installing, laying. The
peers are what a person would write for one machine: a well-ordered Containerfile, built by podman as the same account
on the same base, with uv.
"""

from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from binder.containers import Registries, engine_environment, prepare_engine, release_engine
from binder.paths import Paths
from binder.process import Account, Command, find_account, run
from binder.settings import read_settings
from build.pipeline import Built
from build.plan import base_layer
from tests.bench.figures import Figure
from tests.bench.place import folder
from tests.bench.planning import planning
from tests.build.registry_servers import running_registry
from tests.builds import Builder, new_builder
from tests.repositories import LocalRepository, new_repository

_ROUNDS = 5
_COLD_ROUNDS = 2
_SCIENCE = "numpy\npandas\nmatplotlib\njupyterlab\n"
_ADDED = ("cowsay", "xmltodict", "toolz", "tomli", "colorama")
_LAID = "FROM {image}\nCOPY --chown=1000:1000 . /home/jovyan\n"
_INSTALLED = """
FROM {image}
USER 1000
RUN . /run/binder/environment && uv venv --quiet --python /usr/bin/python3 /opt/binder/peer
COPY requirements.txt /tmp/
RUN . /run/binder/environment && export UV_CACHE_DIR=${{PACKAGES:-/tmp/packages}} UV_LINK_MODE=copy \\
 && export UV_COMPILE_BYTECODE=1 UV_CONFIG_FILE=/run/binder/uv.toml \\
 && uv pip install --python /opt/binder/peer -r /tmp/requirements.txt -r /run/asked/jupyter.txt \\
 && rm -rf /tmp/packages
COPY --chown=1000:1000 . /home/jovyan
"""


async def measure() -> list[Figure]:
    """Build in all the ways, ours and the peer's in turn."""
    figures = []
    with folder() as home:
        place = await _Place.new(home)
        figures.append(await _cold(place))
        figures.append(await _one_package(place))
        figures.append(await _content_only(place))
        figures.append(await _same_environment(place))
        figures.append(await _fresh_worker(place))
        figures.append(await planning(place.builder, home))
        await release_engine(place.paths, place.account)
        await _emptied(place, place.paths.engine / "storage", place.paths.packages / "wheels")
    return figures


@dataclass(frozen=True)
class _Place:
    """A machine of our own: an engine, a package cache and a base, and nothing else."""

    home: Path
    paths: Paths
    account: Account
    builder: Builder
    peer: Path

    @staticmethod
    async def new(home: Path) -> "_Place":
        account = find_account(read_settings().build_account)
        builder = await _machine(home / "machine", account)
        peer = home / "peer"
        peer.mkdir()
        place = _Place(home, builder.paths, account, builder, peer)
        # The base is there on every machine that has built before.
        await place.build(place.repository("first"), {"a.ipynb": "{}"})
        return place

    def repository(self, name: str) -> LocalRepository:
        return new_repository(self.home / name, self.account)

    async def build(self, repository: LocalRepository, files: dict[str, str]) -> tuple[float, Built]:
        """Commit and build; return the time without fetching."""
        sha = repository.commit(files)
        began = monotonic()
        built = await self.builder.build(repository.source, sha)
        return monotonic() - began - built.seconds["fetch"], built

    async def podman_build(self, text: str, image: str, files: dict[str, str], *options: str) -> float:
        for name, content in files.items():
            (self.peer / name).write_text(content, encoding="utf-8")
        containerfile = self.home / "Containerfile"
        containerfile.write_text(text.format(image=image), encoding="utf-8")
        argv = ["podman", "--log-level", "error", "build", "--quiet", "--layers", "--isolation", "oci"]
        argv += ["--runtime", "runc", "--network", "host", "--volume", f"{self.paths.tools}:/run/binder:ro"]
        argv += [f"--volume={host}:{inside}:ro" for host, inside in self.builder.host.folders.items()]
        argv += [f"--volume={Path('templates/build').absolute()}:/run/asked:ro", *options]
        argv += ["--file", str(containerfile), "--tag", "localhost/peer", str(self.peer)]
        env = engine_environment(self.paths, self.account)
        began = monotonic()
        done = await run(Command(argv, env, self.paths.engine, self.account, outlives=True), timeout_seconds=600)
        assert done.ok, done.output
        return monotonic() - began

    @property
    def base(self) -> str:
        return f"localhost/binder:{base_layer(read_settings().debian_suite).tag}"


async def _machine(folder: Path, account: Account, **settings: object) -> Builder:
    folder.mkdir()
    folder.chmod(0o711)
    paths = Paths(folder / "state", folder / "cache")
    paths.make(account)
    own = Registries(str(settings["registry"]), plain_http=True) if settings else Registries()
    await prepare_engine(paths, account, own)
    return await new_builder(paths, account, settings=settings)


async def _emptied(place: _Place, *folders: Path) -> None:
    for path in folders:
        await place.builder.buildah.run_script('rm -rf -- "$1"', str(path), step="end", take=None)


async def _forget_all(place: _Place) -> None:
    """Make the machine one that has but the base and never saw a package."""
    images = await place.builder.buildah.images()
    await place.builder.forget([name for name in images if name != place.base])
    for kept in (*place.paths.locks.glob("lock-*"), *place.paths.locks.glob("record-environment-*")):
        kept.unlink()
    await _emptied(place, place.paths.packages / "wheels")
    await place.builder.wired.prepare()


async def _cold(place: _Place) -> Figure:
    ours, theirs = [], []
    repository = place.repository("cold")
    for number in range(_COLD_ROUNDS):
        await _forget_all(place)
        seconds, built = await place.build(repository, {"requirements.txt": _SCIENCE, "a.ipynb": f"[{number}]"})
        assert built.way == "full", built.why
        ours.append(seconds)
        theirs.append(await place.podman_build(_INSTALLED, place.base, {"requirements.txt": _SCIENCE}, "--no-cache"))
    what = "numpy, pandas, matplotlib, jupyterlab, nothing cached; peer: one Containerfile with uv, bytecode included"
    return Figure("cold-environment", ours, what, "podman-build-uv", theirs)


async def _one_package(place: _Place) -> Figure:
    ours, theirs = [], []
    repository = place.repository("grows")
    asked = _SCIENCE
    await place.build(repository, {"requirements.txt": asked, "a.ipynb": "{}"})
    cache = place.paths.packages / "of-peer"
    await place.builder.buildah.run_script('install -d -o 1000 -g 1000 "$1"', str(cache), step="peer", take=None)
    kept = ("--volume", f"{cache}:/run/packages:rw", "--env", "PACKAGES=/run/packages")
    await place.podman_build(_INSTALLED, place.base, {"requirements.txt": asked}, *kept)
    for name in _ADDED:
        asked += f"{name}\n"
        seconds, built = await place.build(repository, {"requirements.txt": asked, "a.ipynb": "{}"})
        assert built.way in {"delta", "full"}, built.why
        ours.append(seconds)
        theirs.append(await place.podman_build(_INSTALLED, place.base, {"requirements.txt": asked}, *kept))
    what = "one line more in requirements.txt; peer: the layer again, with uv and its cache mounted"
    return Figure("one-package", ours, what, "podman-build-uv-cached", theirs)


async def _content_only(place: _Place) -> Figure:
    ours, theirs = [], []
    repository = place.repository("typo")
    _, built = await place.build(repository, {"requirements.txt": _SCIENCE, "a.ipynb": "{}"})
    environment = next(one.layer for one in built.layers if one.layer.kind == "environment")
    for number in range(_ROUNDS):
        files = {"requirements.txt": _SCIENCE, "a.ipynb": f"[{number}]"}
        seconds, built = await place.build(repository, files)
        assert built.way == "content", built.why
        ours.append(seconds)
        theirs.append(await place.podman_build(_LAID, f"localhost/binder:{environment.tag}", files))
    what = "a notebook changed; peer: podman build --layers of FROM environment, COPY"
    return Figure("content-only", ours, what, "podman-build", theirs)


async def _same_environment(place: _Place) -> Figure:
    ours = []
    for number in range(_ROUNDS):
        repository = place.repository(f"other-{number}")
        seconds, built = await place.build(repository, {"requirements.txt": _SCIENCE, "b.ipynb": f"[{number}]"})
        assert built.way == "content", built.why
        ours.append(seconds)
    return Figure("same-environment", ours, "first build of a repository that asks for the same packages")


async def _fresh_worker(place: _Place) -> Figure:
    ours = []
    with running_registry(place.home) as registry:
        chosen = {"registry": f"{registry.host}/binder", "registry_plain_http": True}
        repository = place.repository("moved")
        files = {"requirements.txt": "six\n", "a.ipynb": "{}"}
        first = await _machine(place.home / "first-worker", place.account, **chosen)
        await first.build(repository.source, repository.commit(files))
        for number in range(_ROUNDS):
            worker = await _machine(place.home / f"worker-{number}", place.account, **chosen)
            sha = repository.commit(files | {"a.ipynb": f"[{number}]"})
            began = monotonic()
            built = await worker.build(repository.source, sha)
            assert built.way == "content", built.why
            ours.append(monotonic() - began - built.seconds["fetch"])
            await worker.wired.close()
        await first.wired.close()
    return Figure("fresh-worker", ours, "a notebook changed; a worker with empty storage, through a registry")
