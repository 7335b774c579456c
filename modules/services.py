"""The services of one session: what runs beside its notebook, what the notebook is told of it, what is done first.

Pure. Passwords are made of the session's token and of nothing else: whoever has a session has them, nobody else can
know them, and nobody has to keep them.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modules.bound import Bound, BoundComponent
from modules.definition import Page
from modules.filling import fill, fill_text
from templates import Json

LOCALHOST = "127.0.0.1"


@dataclass(frozen=True)
class Service:
    """One container beside the notebook. `image` None: the notebook's own.

    `name` is a DNS label that no other of the session has: `spark-worker-1`, or `postgres-server` where there is but
    one. `host` is where it is reached. `health` is a command that succeeds once it can be used, and that is run inside;
    `seconds` are how long it may take until then. `folders` are its own, empty at first, and go with it.
    """

    name: str
    module: str
    component: str
    host: str
    image: str | None
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    ports: Mapping[str, int]
    health: tuple[str, ...]
    seconds: int
    memory_bytes: int
    cpus: float
    folders: tuple[str, ...]
    apart: bool
    """Whether it wants a pod of its own (`multi-node`)."""
    title: str = ""
    """What people call it: its module's title, with the component where the module has several."""


@dataclass(frozen=True)
class Seed:
    """A command that is run once, in the notebook's image and the repository's folder, when all services are ready."""

    module: str
    file: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Link:
    """A page of a service: `path` is below the notebook server's base address, by way of jupyter-server-proxy."""

    module: str
    title: str
    path: str


@dataclass(frozen=True)
class Services:
    """All that a session has besides its notebook. `environment` is what the notebook, and each seed, is given."""

    services: tuple[Service, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    seeds: tuple[Seed, ...] = ()
    links: tuple[Link, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    """What people call the modules: name → title."""

    @property
    def memory_bytes(self) -> int:
        """What they may use together, the notebook aside."""
        return sum(service.memory_bytes for service in self.services)


NO_SERVICES = Services()


def services_of(modules: Sequence[Bound], token: str, host_of: Callable[[str], str] | None = None) -> Services:
    """Return the services of the session with this token.

    `host_of` returns where a service of its own pod is reached, by its name; without it, everything runs in the
    session's pod, whatever mode is asked for.

    Raises: TemplateError; jinja2.UndefinedError, where a definition was not checked before it was bound.
    """
    services: list[Service] = []
    environment: dict[str, str] = {}
    seeds: list[Seed] = []
    links: list[Link] = []
    for module in modules:
        reached = host_of if module.mode == "multi-node" else None
        values = _values_of(module, token, reached)
        services += _services(module, values, reached)
        environment |= {name: fill_text(text, values) for name, text in module.environment.items()}
        if module.seed:
            file = module.seed.file
            command = tuple(fill_text(part, values | {"file": file}) for part in module.seed.command)
            seeds.append(Seed(module.name, file, command))
        of_module = {service.component: service for service in reversed(services) if service.module == module.name}
        links += [_link(module.name, page, of_module[page.component]) for page in module.pages]
    titles = {module.name: module.title for module in modules}
    return Services(tuple(services), environment, tuple(seeds), tuple(links), titles)


def password_of(token: str, module: str, secret: str) -> str:
    """Return a secret of a module in the session with this token: 40 hexadecimal digits, so that nothing escapes it."""
    return hmac.new(token.encode(), f"module {module} {secret}".encode(), hashlib.sha256).hexdigest()[:40]


def _values_of(module: Bound, token: str, host_of: Callable[[str], str] | None) -> dict[str, Json]:
    secrets = {secret: password_of(token, module.name, secret) for secret in module.secrets}
    hosts = {one.name: host_of(f"{module.name}-{one.name}") if host_of else LOCALHOST for one in module.components}
    return {**module.values, **secrets, "hosts": {**hosts}}


def _services(module: Bound, values: Mapping[str, Json], host_of: Callable[[str], str] | None) -> Iterator[Service]:
    for component in module.components:
        group = f"{module.name}-{component.name}"
        for index in range(component.replicas):
            name = group if component.replicas == 1 else f"{group}-{index}"
            filled: Any = fill(
                dict(component.template), {**values, "index": index, "memory_bytes": component.memory_bytes}
            )
            yield _service(
                module, component, name, host_of(group) if host_of else LOCALHOST, filled, apart=bool(host_of)
            )


def _service(module: Bound, component: BoundComponent, name: str, host: str, filled: Any, *, apart: bool) -> Service:
    return Service(
        name=name,
        module=module.name,
        component=component.name,
        host=host,
        image=component.image,
        command=tuple(map(str, filled.get("command", ()))),
        environment={key: str(value) for key, value in filled.get("environment", {}).items()},
        ports={key: int(value) for key, value in filled.get("ports", {}).items()},
        health=tuple(map(str, filled["health"])),
        seconds=int(filled.get("seconds", 60)),
        memory_bytes=component.memory_bytes,
        cpus=float(filled.get("cpus", 1)),
        folders=tuple(filled.get("folders", ())),
        apart=apart,
        title=_title_of(module, name),
    )


def _title_of(module: Bound, name: str) -> str:
    is_one_of_several = len(module.components) > 1 or module.components[0].replicas > 1
    return f"{module.title} ({name.removeprefix(f'{module.name}-')})" if is_one_of_several else module.title


def _link(module: str, page: Page, service: Service) -> Link:
    port = service.ports[page.port]
    where = str(port) if service.host == LOCALHOST else f"{service.host}:{port}"
    return Link(module, page.title, f"proxy/{where}{page.path}")
