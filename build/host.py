"""What this host knows about package indexes, brought to a build and kept out of its image, its keys and its log.

pip's own account of its settings (files and `PIP_*`) is translated for uv, which does not read them; settings for uv
itself win. apt's sources are given for each Debian release, with their keys. All of it reaches a build in one folder
that is mounted read-only while a command runs.
"""

import ast
import os
import re
import shlex
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import uv

from binder.errors import OperatorFault
from binder.hosts import PYPI
from binder.paths import Paths
from binder.process import Command, capture
from build.buildah import Mount
from build.recipes.debian import PYTHON_OF_SUITE, debian_sources

_PASSED_ON = re.compile(r"\A(UV_(?!PUBLISH_)|(HTTPS?|NO|ALL)_PROXY\Z)", re.IGNORECASE)
_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
    "proxy": "HTTPS_PROXY",
}
# What only makes sense on the host: places that a build does not have, or has of its own.
_LEFT_OUT = frozenset({"UV_CACHE_DIR", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "UV_CONFIG_FILE", "UV_SYSTEM_PYTHON"})
_SIGN_IN = re.compile(r"_(USERNAME|PASSWORD|TOKEN)\Z")
_PROXY = re.compile(r"_PROXY\Z", re.IGNORECASE)
_CREDENTIALS = re.compile(r"([\w+.-]+://)[^\s,/@]*@")
_INDEX = re.compile(r"(?:\b([\w-]+)=)?([\w+.-]+://[^\s,]+)")
_SECRET = re.compile(r"_(PASSWORD|TOKEN)\Z")
_ADDRESS = re.compile(r"[\w+.-]+://[^\s,]+")
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_APT_PASSED_ON = re.compile(r'\AAcquire::(https?::|Check-|Max-ValidTime|Retries|ForceIPv)[^"]* "[^"]+";\Z')
_APT = Path("/etc/apt")
# A client's own certificate stays on the host: who builds could read it.
_APT_OF_HOST = re.compile(r"\AAcquire::https::(?:.*::)?(?:CaInfo|CaPath|CRLFile|SslCert|SslKey)\b", re.IGNORECASE)
_KEYRINGS = re.compile(r"(?<=[\[\s]signed-by=)[^]\s]+")
_NETWORK = re.compile(r"\Adeb (?:\[[^]]*\] )?https?://")
_INSIDE = "/run/binder"
_KEYRINGS_INSIDE = "/run/apt/keyrings"


@dataclass(frozen=True)
class HostFacts:
    """What was found on the host: pip's settings by option, apt's as it prints them, and certificates.

    `folders` are those of the folders that find-links names that are there. `sources` maps the name of each file of
    apt's sources to its text. `cran` and `cran_snapshot` are addresses of R's packages; `{date}` stands in the latter.
    """

    pip: Mapping[str, str]
    apt: str
    environ: Mapping[str, str]
    certificates: Path | None
    folders: Collection[Path] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    cran: str = ""
    cran_snapshot: str = ""


@dataclass(frozen=True)
class HostSettings:
    """What a build is given: variables for its commands, folders that they name, and secrets that a log must not show.

    `folders` maps a path on the host to its path in the build, `keyrings` a file to its name among theirs,
    `sources` a Debian release to apt's sources of it. `apt` is what apt is told in a build, `apt_of_host` beside it.
    `netrc` holds the credentials for package indexes, which are in no variable: it is for steps only that run nothing
    of a repository's.
    """

    variables: Mapping[str, str]
    folders: Mapping[Path, str]
    certificates: Path | None
    secrets: frozenset[str]
    apt: str
    apt_of_host: str
    sources: Mapping[str, str]
    keyrings: Mapping[Path, str]
    netrc: str = ""

    @property
    def has_credentials(self) -> bool:
        """Whether there are packages that only this host's credentials open: of Python or of Debian."""
        return bool(self.netrc) or self.public_sources != self.sources

    @property
    def public_sources(self) -> dict[str, str]:
        """Those of apt's sources that are open to all, by Debian release."""
        return {
            suite: _lines(line for line in text.splitlines() if not _CREDENTIALS.search(line))
            for suite, text in self.sources.items()
        }


def step_mounts(
    host: HostSettings, paths: Paths, given: Path, *more: Mount, reads_credentials: bool = False
) -> list[Mount]:
    """Return what a step sees of this host: our tools, what it is `given`, the folders of the settings, and `more`.

    `reads_credentials`, where there are some: only for a step that runs nothing of a repository's.
    """
    settings: list[Mount] = [(folder, inside, "ro") for folder, inside in host.folders.items()]
    if reads_credentials and host.netrc:
        settings.append((paths.credentials, "/run/credentials", "ro"))
    return [(paths.tools, "/run/binder", "ro"), (given, "/run/asked", "ro"), *more, *settings]


def pip_settings(listing: str) -> dict[str, str]:
    """Return pip's settings by option, from what `pip config list` prints; the environment wins over the files."""
    found: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        rank = {"global": 1, "install": 2, ":env:": 3}.get(section)
        if rank and value and rank >= found.get(option, (0, ""))[0]:
            found[option] = (rank, " ".join(str(ast.literal_eval(value)).split()))
    return {option: value for option, (_, value) in found.items()}


def settings_for(facts: HostFacts) -> HostSettings:
    """Return what a build is given, for what was found on the host."""
    variables = {_TO_UV[option]: value for option, value in facts.pip.items() if option in _TO_UV}
    variables |= {
        name: value for name, value in facts.environ.items() if _PASSED_ON.match(name) and name not in _LEFT_OUT
    }
    if "UV_INDEX" in variables:
        # pip takes the best version of all indexes; uv's own way would take the first index that has the name.
        variables.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    folders: dict[Path, str] = {}
    variables.pop("UV_FIND_LINKS", None)
    if links := [place for link in _links(facts.pip, facts.environ) if (place := _place_of(link, facts, folders))]:
        variables["UV_FIND_LINKS"] = ",".join(links)
    for_pip = ("index-url", "extra-index-url", "trusted-host", "proxy", "default-timeout")
    variables |= {f"PIP_{name.upper().replace('-', '_')}": facts.pip[name] for name in for_pip if name in facts.pip}
    if facts.certificates:
        inside = f"{_INSIDE}/certificates.pem"
        variables |= dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO"), inside)
    cran = {"BINDER_CRAN_URL": facts.cran, "BINDER_CRAN_SNAPSHOT_URL": facts.cran_snapshot}
    variables |= {name: value for name, value in cran.items() if value}
    apt_of_host = [line for line in facts.apt.splitlines() if _APT_PASSED_ON.match(line)]
    apt = [line for line in apt_of_host if not _APT_OF_HOST.match(line)]
    if facts.certificates:
        apt.append(f'Acquire::https::CaInfo "{_INSIDE}/certificates.pem";')
    keyrings: dict[Path, str] = {}
    sources = {suite: _sources_inside(debian_sources(facts.sources, suite), keyrings) for suite in PYTHON_OF_SUITE}
    return HostSettings(
        without_credentials(variables),
        folders,
        facts.certificates,
        _secrets_in([*variables.values(), *sources.values()]) | _passwords_in(variables),
        _lines(apt),
        _lines(apt_of_host),
        sources,
        keyrings,
        netrc_of(variables),
    )


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _sources_inside(sources: str, keyrings: dict[Path, str]) -> str:
    """Return apt's sources as a build has them, and add the keyrings that they name; a folder of the host is none."""

    def place(match: re.Match[str]) -> str:
        named = match[0].split(",")
        return ",".join(f"{_KEYRINGS_INSIDE}/{_keyring(Path(one), keyrings)}" if "/" in one else one for one in named)

    return _lines(_KEYRINGS.sub(place, line) for line in sources.splitlines() if _NETWORK.match(line))


def _keyring(path: Path, keyrings: dict[Path, str]) -> str:
    # apt tells the kind of a keyring by how its name ends.
    return keyrings.setdefault(path, f"{len(keyrings)}{path.suffix}")


def _links(pip: Mapping[str, str], environ: Mapping[str, str]) -> list[str]:
    return (environ.get("UV_FIND_LINKS") or pip.get("find-links", "")).replace(",", " ").split()


def _place_of(link: str, facts: HostFacts, folders: dict[Path, str]) -> str | None:
    """Return what find-links says in a build, where a folder of the host has a place of its own; add it to `folders`.

    None for a folder that is not there: pip passes over it, uv would not.
    """
    if "://" in link and not link.startswith("file:"):
        return link
    folder = _folder_of(link)
    return folders.setdefault(folder, f"/run/links/{len(folders)}") if folder in facts.folders else None


def _folder_of(link: str) -> Path:
    return Path(unquote(urlsplit(link).path) if link.startswith("file:") else link)


def _passwords_in(variables: Mapping[str, str]) -> frozenset[str]:
    return frozenset(value for name, value in variables.items() if value and _SECRET.search(name))


def _secrets_in(values: Iterable[str]) -> frozenset[str]:
    """Return what must not be seen of addresses: passwords and tokens, and where this host gets its packages from."""
    secrets: set[str] = set()
    for address in (urlsplit(found) for value in values for found in _ADDRESS.findall(value)):
        signed_in = address.password or address.username or ""
        secrets |= {signed_in, unquote(signed_in), address.netloc.rpartition("@")[2]}
    return frozenset(filter(None, secrets))


def shell_text(variables: Mapping[str, str]) -> str:
    """Return a shell script that exports the variables and finds our uv."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    return "\n".join([*lines, f"export PATH={_INSIDE}/bin:$PATH", ""])


async def find_host_settings(*, cran: str = "", cran_snapshot: str = "") -> HostSettings:
    """Look at this host; the operator may say where R's packages are."""
    pip = await _pip()
    apt = await _said(Command(["apt-config", "dump"]))
    environ = dict(os.environ)
    folders = [folder for folder in map(_folder_of, _links(pip, environ)) if folder.is_dir()]
    sources = apt_source_texts()
    return settings_for(HostFacts(pip, apt, environ, _bundle_of(pip), folders, sources, cran, cran_snapshot))


async def find_certificates() -> Path | None:
    """Return the file with the authorities that this host trusts, None where none is to be found."""
    return _bundle_of(await _pip())


async def _pip() -> dict[str, str]:
    return pip_settings(await _said(Command([sys.executable, "-m", "pip", "config", "list"], env=dict(os.environ))))


def base_sources(paths: Paths, suite: str) -> str:
    """Return apt's sources of a release for who bootstraps it: those of this host, or where it has none, of builds."""
    if sources := debian_sources(apt_source_texts(), suite):
        return sources
    # A builder's pod has those of its order, with the keyrings beside them.
    file = paths.apt / f"sources-{suite}.list"
    return file.read_text(encoding="utf-8").replace(f"{_KEYRINGS_INSIDE}/", f"{paths.apt}/keyrings/")


def apt_source_texts() -> dict[str, str]:
    """Return the host's files of apt's sources: name → text; none where it has no apt."""
    found = [_APT / "sources.list", *_APT.glob("sources.list.d/*.list"), *_APT.glob("sources.list.d/*.sources")]
    return {path.name: path.read_text(encoding="utf-8") for path in found if path.is_file()}


async def _said(command: Command) -> str:
    code, output = await capture(command, timeout_seconds=30, most_bytes=2**20)
    return "" if code else output.decode(errors="replace")


def _bundle_of(pip: Mapping[str, str]) -> Path | None:
    named = (pip.get("cert"), os.environ.get("SSL_CERT_FILE"), *_BUNDLES)
    return next((Path(path) for path in named if path and Path(path).is_file()), None)


def without_credentials(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables as a repository's code may see them; a proxy's stay, as nothing could be reached without."""
    return {
        name: value if _PROXY.search(name) else _CREDENTIALS.sub(r"\1", value)
        for name, value in variables.items()
        if not _SIGN_IN.search(name)
    }


def netrc_of(variables: Mapping[str, str]) -> str:
    """Return the credentials for package indexes, by host.

    Not as variables: a requirements.txt may name any variable in an address of its own.
    Raises: OperatorFault, where one cannot be written down.
    Source: https://docs.astral.sh/uv/concepts/authentication/http/
    """
    found: dict[str, tuple[str, str]] = {}
    for name, value in variables.items():
        for label, address in _INDEX.findall("" if _PROXY.search(name) else value):
            place, of = urlsplit(address), f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', label.upper())}"
            user = unquote(place.username or "") or variables.get(f"{of}_USERNAME", "")
            password = unquote(place.password or "") or variables.get(f"{of}_PASSWORD", "")
            if any(character.isspace() for character in user + password):
                raise OperatorFault(
                    f"The user name or password for {place.hostname} holds a space, which no build can be given."
                )
            if place.hostname and (user or password):
                found[place.hostname] = (user, password)
    return _lines(
        " ".join(["machine", host, *(["login", user] if user else []), *(["password", password] if password else [])])
        for host, (user, password) in found.items()
    )


def uv_settings(variables: Mapping[str, str]) -> str:
    """Return uv's settings, as TOML: how long it may take what the public index said for true.

    That is what the index itself says, where nothing on the way keeps it from being heard. An operator's own index is
    asked each time.
    """
    if {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & variables.keys():
        return ""
    fresh = 'cache-control = { api = "max-age=600", files = "max-age=31536000, immutable" }'
    return f'[[index]]\nurl = "https://{PYPI}/simple"\ndefault = true\n{fresh}\n'


def write_host_folder(settings: HostSettings, paths: Paths) -> None:
    """Write the folders that builds mount; the account of builds can read them, and nobody can change them but us.

    Raises: OperatorFault.
    """
    folder = paths.tools
    try:
        tool = Path(uv.find_uv_bin())
    except FileNotFoundError as error:
        raise OperatorFault("uv is not installed beside the service. Run `make set-up`.") from error
    copy = folder / "bin" / "uv"
    copy.parent.mkdir(parents=True, exist_ok=True)
    if not copy.exists() or copy.stat().st_size != tool.stat().st_size:
        shutil.copyfile(tool, copy)
    texts = {
        folder / "environment": shell_text(settings.variables),
        folder / "uv.toml": uv_settings(settings.variables),
        paths.apt / "apt-host.conf": settings.apt_of_host,
    }
    keyrings = {name: path.read_bytes() for path, name in settings.keyrings.items() if path.is_file()}
    files = {path: text.encode() for path, text in texts.items()}
    if settings.certificates:
        files[folder / "certificates.pem"] = settings.certificates.read_bytes()
    for apt, sources in ((paths.apt, settings.sources), (paths.public_apt, settings.public_sources)):
        (apt / "keyrings").mkdir(exist_ok=True)
        (apt / "keyrings").chmod(0o755)
        files |= {apt / "keyrings" / name: content for name, content in keyrings.items()}
        files |= {apt / f"sources-{suite}.list": text.encode() for suite, text in sources.items()}
        files[apt / "apt.conf"] = settings.apt.encode()
    files[paths.credentials / "netrc"] = settings.netrc.encode()
    for path, content in files.items():
        path.write_bytes(content)
        path.chmod(0o644)
    for path in (folder, copy.parent, copy):
        path.chmod(0o755)
