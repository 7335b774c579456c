"""What a builder's pod is told: the commit, the settings that matter to a build, and what the controller's host knows.

It comes in a Secret, for it holds what the commit is fetched and the image is pushed with. Pure, but for the files that
are read into an order and written from it.
"""

import json
import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from binder.errors import OperatorFault
from binder.names import digest_of, is_inside
from binder.settings import Settings
from build.commits.git import Source
from build.host import HostSettings
from modules.catalogue import OURS, Catalogue, built_in
from modules.reading import read_module
from templates import replaced

_MOST_BYTES = 1_000_000
"""What fits into a Secret. Source: https://kubernetes.io/docs/concepts/configuration/secret/"""

_OF_BUILDS = (
    "debian_suite",
    "fetch_timeout_seconds",
    "build_timeout_seconds",
    "build_log_bytes",
    "build_memory_bytes",
    "disk_reserve_bytes",
    "build_network",
    "session_memory_bytes",
    "session_memory_at_most_bytes",
    "session_cpus",
    "session_cpus_at_most",
    "session_gpus_at_most",
    "repository_bytes",
    "repository_modules",
    "modules_memory_bytes_at_most",
    "registry",
    "registry_username",
    "registry_plain_http",
    "docker_mirror",
    "conda_channel_alias",
    "zenodo_url",
    "figshare_api_url",
    "hydroshare_url",
    "doi_url",
    "git_hosts",
)
_LINKS = "UV_FIND_LINKS"
_OF_A_FOLDER = "/run/links/"


@dataclass(frozen=True)
class Known:
    """What the controller's host knows about package indexes, with what is in the files that it names.

    A folder of packages on that host is not among it.
    """

    variables: dict[str, str]
    secrets: tuple[str, ...]
    apt: str
    apt_of_host: str
    sources: dict[str, str]
    netrc: str
    keyrings: dict[str, str]
    certificates: str | None


@dataclass(frozen=True)
class Order:
    """An order for one build; `mark` begins the lines by which the pod tells of it, and `name` is the Job's.

    `settings` are the service's own, by name, `registry_certificates` what is in that file.
    """

    mark: str
    name: str
    sha: str
    source: Source
    settings: dict[str, Any]
    registry_password: str
    registry_certificates: str | None
    known: Known
    modules: str = ""
    """The operator's modules, packed; the pod has Binder's own."""
    templates: dict[str, str] = field(default_factory=dict)
    """What the operator put in the place of templates of builds: path → text."""

    @property
    def secret(self) -> str:
        """The name of the Secret that it is in: nobody's else, for nodes remember for a while what they were given."""
        return f"{self.name}-{digest_of(self.mark)[:10]}"


_ORDER = TypeAdapter(Order)


def known_by(host: HostSettings) -> Known:
    """Return what a host knows."""
    variables = dict(host.variables)
    links = [link for link in variables.pop(_LINKS, "").split(",") if link and not link.startswith(_OF_A_FOLDER)]
    return Known(
        variables | ({_LINKS: ",".join(links)} if links else {}),
        tuple(sorted(host.secrets)),
        host.apt,
        host.apt_of_host,
        dict(host.sources),
        host.netrc,
        {name: b64encode(path.read_bytes()).decode() for path, name in host.keyrings.items() if path.is_file()},
        _text_of(host.certificates),
    )


def order_for(
    settings: Settings, known: Known, source: Source, sha: str, *, name: str, mark: str, catalogue: Catalogue
) -> Order:
    """Return the order for a build; `catalogue` has the modules that it may ask for."""
    of_builds = settings.model_dump(mode="json", include=set(_OF_BUILDS))
    password = settings.registry_password.get_secret_value()
    certificates = _text_of(settings.registry_certificates)
    return Order(
        mark, name, sha, source, of_builds, password, certificates, known, _packed(catalogue), replaced("build")
    )


def templates_in(order: Order, state: Path) -> Path | None:
    """Return the folder of templates of an order, written below `state`; None, where it brings none."""
    folder = state / "templates"
    for name, text in order.templates.items():
        if not is_inside(name):
            raise OperatorFault(f"The order brings a template {name[:100]!r}, which none is called.")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return folder if order.templates else None


def _packed(catalogue: Catalogue) -> str:
    """Return the modules that are not Binder's own, as a text."""
    found = [
        (one.name, one.version, one.origin, {path: b64encode(data).decode() for path, data in one.files.items()})
        for one in catalogue.all()
        if one.origin != OURS
    ]
    return b64encode(zlib.compress(json.dumps(found).encode(), 9)).decode() if found else ""


def catalogue_in(order: Order) -> Catalogue:
    """Return the modules that a build may ask for.

    Raises: RepositoryFault, where one cannot be read: then it could not be by whoever ordered, either.
    """
    if not order.modules:
        return built_in()
    found = json.loads(zlib.decompress(b64decode(order.modules)))
    return built_in().joined(
        read_module(name, version, {path: b64decode(data) for path, data in files.items()}, origin=origin)
        for name, version, origin, files in found
    )


def _text_of(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise OperatorFault(f"The certificates in {path} cannot be read: {error.strerror}.") from error


def order_bytes(order: Order) -> bytes:
    """Return an order as it is sent.

    Raises: OperatorFault, where it is too large.
    """
    data = _ORDER.dump_json(order)
    if len(data) > _MOST_BYTES:
        raise OperatorFault(
            "The certificates, keyrings and sources of packages that this service knows, and its modules "
            f"(BINDER_MODULES), are too large to be sent to a builder: {len(data)} bytes; a Secret of Kubernetes holds "
            f"{_MOST_BYTES}."
        )
    return data


def order_in(data: bytes) -> Order:
    """Return the order that was sent.

    Raises: OperatorFault.
    """
    try:
        return _ORDER.validate_json(data)
    except ValidationError as error:
        # What is wrong, and not with what: an order holds secrets.
        places = json.dumps([fault["loc"] for fault in error.errors()])
        raise OperatorFault(f"The order of the build cannot be read, at {places}.") from None


def settings_in(order: Order, folder: Path) -> dict[str, Any]:
    """Return the settings of an order, by name; the files that they name are written to a folder of the pod's."""
    certificates = _written(folder / "registry.pem", order.registry_certificates)
    return {
        **order.settings,
        "registry_password": order.registry_password,
        "registry_certificates": certificates,
    }


def host_in(order: Order, folder: Path) -> HostSettings:
    """Return what the controller's host knows; the files of it are written to a folder of the pod's."""
    known = order.known
    keyrings = {folder / name: name for name in known.keyrings}
    for path, name in keyrings.items():
        path.write_bytes(b64decode(known.keyrings[name]))
    return HostSettings(
        known.variables,
        {},
        _written(folder / "certificates.pem", known.certificates),
        frozenset(known.secrets),
        known.apt,
        known.apt_of_host,
        known.sources,
        keyrings,
        known.netrc,
    )


def _written(path: Path, text: str | None) -> Path | None:
    if text is None:
        return None
    path.write_text(text, encoding="utf-8")
    return path
