"""The lowest layer: a Debian release, bootstrapped from packages, with no registry at all."""

import re
from collections.abc import Mapping
from pathlib import Path

from binder.errors import BinderError, OperatorFault
from build.buildah import Buildah
from build.log import BuildLog
from build.plan import BASE_PACKAGES, Layer
from templates import source_path

_APT = Path("/etc/apt")
_FIELD = re.compile(r"^([\w-]+):(.*(?:\n[ \t].*)*)", re.MULTILINE)
_MIRROR = re.compile(r"//(?:[^/@\s]*@)?([^/\s]+)")


async def make_base(buildah: Buildah, layer: Layer, suite: str, log: BuildLog) -> None:
    """Bootstrap Debian into the image of `layer`.

    Raises: BinderError.
    """
    texts = {path.name: path.read_text(encoding="utf-8") for path in _source_files()}
    script = source_path("build/base.sh").read_text(encoding="utf-8")
    sources, options = debian_sources(texts, suite), buildah.paths.tools / "apt.conf"
    for mirror in _MIRROR.findall(sources):
        log.add_secret(mirror)  # where this host gets its packages from is its own business
    arguments = (layer.image, suite, ",".join(BASE_PACKAGES), sources, str(options))
    await buildah.run_script(script, *arguments, step="base image", take=log.take, explain=_explain)


def _explain(output: str) -> BinderError:
    last = next((line for line in reversed(output.splitlines()) if line.startswith("E:")), "its log says more")
    return OperatorFault(f"The base image could not be bootstrapped from this machine's Debian mirrors: {last[:200]}")


def _source_files() -> list[Path]:
    found = [_APT / "sources.list", *_APT.glob("sources.list.d/*.list"), *_APT.glob("sources.list.d/*.sources")]
    return [path for path in found if path.is_file()]


def debian_sources(texts: Mapping[str, str], suite: str) -> str:
    """Return the host's apt sources for a Debian release, as one-line entries; `texts` maps a file's name to its text.

    Source: https://manpages.debian.org/bookworm/apt/sources.list.5.en.html
    """
    wanted = {suite, f"{suite}-updates", f"{suite}-security"}
    lines = []
    for name, text in sorted(texts.items()):
        entries = _deb822_entries(text) if name.endswith(".sources") else _one_line_entries(text)
        lines += [f"deb {options}{uri} {of} {parts}".rstrip() for options, uri, of, parts in entries if of in wanted]
    return "\n".join(dict.fromkeys(lines)) + "\n" if lines else ""


def _one_line_entries(text: str) -> list[tuple[str, str, str, str]]:
    pattern = re.compile(r"^deb\s+(\[[^]]*\]\s+)?(\S+)\s+(\S+)\s*(.*?)\s*(?:#.*)?$", re.MULTILINE)
    return [(match[1] or "", match[2], match[3], match[4]) for match in pattern.finditer(text)]


def _deb822_entries(text: str) -> list[tuple[str, str, str, str]]:
    found = []
    for stanza in re.split(r"\n\s*\n", re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)):
        fields = {name.lower(): value.strip() for name, value in _FIELD.findall(stanza)}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
            continue
        options = _one_line_options(fields)
        for uri in fields.get("uris", "").split():
            parts = fields.get("components", "")
            found += [(options, uri, suite, parts) for suite in fields.get("suites", "").split()]
    return found


def _one_line_options(fields: Mapping[str, str]) -> str:
    """Return what makes a source trusted; a key that stands in the file itself has no one-line form."""
    options = []
    if (signed := fields.get("signed-by", "")).startswith("/"):
        options.append(f"signed-by={signed}")
    if (trusted := fields.get("trusted")) in {"yes", "no"}:
        options.append(f"trusted={trusted}")
    return f"[{' '.join(options)}] " if options else ""
