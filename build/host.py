"""What this host knows about package indexes, brought to a build and kept out of its image, its keys and its log.

pip's own account of its settings (files and `PIP_*`) is translated for uv, which does not read them; settings for uv
itself win. All of it reaches a build in one folder that is mounted read-only while a command runs.
"""

import ast
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import uv

from binder.errors import OperatorFault
from binder.process import Command, run

_PASSED_ON = re.compile(r"\A(UV_|(HTTPS?|NO|ALL)_PROXY\Z)", re.IGNORECASE)
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
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_APT_PASSED_ON = re.compile(r'\AAcquire::(https?::|Check-|Max-ValidTime|Retries|ForceIPv)[^"]* "[^"]+";\Z')
_INSIDE = "/run/binder"


@dataclass(frozen=True)
class HostFacts:
    """What was found on the host: pip's settings by option, apt's as it prints them, and certificates."""

    pip: Mapping[str, str]
    apt: str
    environ: Mapping[str, str]
    certificates: Path | None


@dataclass(frozen=True)
class HostSettings:
    """What a build is given: variables for its commands, folders that they name, and secrets that a log must not show.

    `folders` maps a path on the host to its path in the build.
    """

    variables: Mapping[str, str]
    folders: Mapping[Path, str]
    certificates: Path | None
    secrets: frozenset[str]
    apt: str


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
    if "UV_FIND_LINKS" in variables:
        variables["UV_FIND_LINKS"] = _mounted_links(variables["UV_FIND_LINKS"], folders)
    for_pip = ("index-url", "extra-index-url", "trusted-host", "proxy", "default-timeout")
    variables |= {f"PIP_{name.upper().replace('-', '_')}": facts.pip[name] for name in for_pip if name in facts.pip}
    if facts.certificates:
        inside = f"{_INSIDE}/certificates.pem"
        variables |= dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO"), inside)
    apt = "".join(f"{line}\n" for line in facts.apt.splitlines() if _APT_PASSED_ON.match(line))
    return HostSettings(variables, folders, facts.certificates, _secrets_in(variables), apt)


def _mounted_links(value: str, folders: dict[Path, str]) -> str:
    """Return pip's find-links with each folder of the host replaced by its place in the build."""
    links = []
    for link in value.replace(",", " ").split():
        path = Path(urlsplit(link).path) if link.startswith("file:") else Path(link)
        if "://" not in link or link.startswith("file:"):
            folders[path] = f"/run/links/{len(folders)}"
            link = folders[path]  # noqa: PLW2901
        links.append(link)
    return " ".join(links)


def _secrets_in(variables: Mapping[str, str]) -> frozenset[str]:
    parts = (urlsplit(word) for value in variables.values() for word in value.split() if "://" in word)
    return frozenset(part.password for part in parts if part.password)


def shell_text(variables: Mapping[str, str]) -> str:
    """Return a shell script that exports the variables and finds our uv."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    return "\n".join([*lines, f"export PATH={_INSIDE}/bin:$PATH", ""])


async def find_host_settings() -> HostSettings:
    """Look at this host."""
    listing = await run(
        Command([sys.executable, "-m", "pip", "config", "list"], env=dict(os.environ)), timeout_seconds=30
    )
    pip = pip_settings(listing.output) if listing.ok else {}
    apt = await run(Command(["apt-config", "dump"]), timeout_seconds=30)
    facts = HostFacts(pip, apt.output if apt.ok else "", dict(os.environ), _bundle_of(pip))
    return _reachable(settings_for(facts))


def _bundle_of(pip: Mapping[str, str]) -> Path | None:
    named = (pip.get("cert"), os.environ.get("SSL_CERT_FILE"), *_BUNDLES)
    return next((Path(path) for path in named if path and Path(path).is_file()), None)


def _reachable(settings: HostSettings) -> HostSettings:
    folders = {folder: inside for folder, inside in settings.folders.items() if folder.is_dir()}
    return replace(settings, folders=folders)


def write_host_folder(settings: HostSettings, folder: Path) -> None:
    """Write the folder that builds mount; the account of builds can read it, and nobody can change it but us.

    Raises: OperatorFault.
    """
    try:
        tool = Path(uv.find_uv_bin())
    except FileNotFoundError as error:
        raise OperatorFault("uv is not installed beside the service. Run `make set-up`.") from error
    copy = folder / "bin" / "uv"
    copy.parent.mkdir(parents=True, exist_ok=True)
    if not copy.exists() or copy.stat().st_size != tool.stat().st_size:
        shutil.copyfile(tool, copy)
    variables = folder / "environment"
    variables.write_text(shell_text(settings.variables), encoding="utf-8")
    for path in (folder, copy.parent, copy):
        path.chmod(0o755)
    (folder / "apt.conf").write_text(settings.apt, encoding="utf-8")
    for path in (variables, folder / "apt.conf"):
        path.chmod(0o644)
    if settings.certificates:
        shutil.copyfile(settings.certificates, folder / "certificates.pem")
