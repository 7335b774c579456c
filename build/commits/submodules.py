"""Which submodules a commit has and where they come from: pure functions of its files and its `.gitmodules`.

What git itself would follow and we do not: other protocols than HTTP, addresses with credentials, folders of this
machine. Fetching is `build.commits.git`'s.

Source: https://git-scm.com/docs/gitmodules
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from binder.errors import BinderError, OperatorFault, RepositoryFault, WorldFault
from build.commits.sources import Source
from build.commits.tree import SUBMODULE, Entry, shown

GITMODULES = ".gitmodules"
_MOST = 50
_DEEPEST = 5
_LONGEST_URL = 2000
_SSH = re.compile(r"\A(?:ssh://)?(?:[\w.-]+@)([\w.-]+)(?::(?!\d+/)|/)(?P<path>[^:]+)\Z")


@dataclass(frozen=True)
class Submodule:
    """A submodule of a commit: its path below that commit's root, the commit that is wanted, and from where."""

    path: str
    sha: str
    source: Source


def submodules_of(source: Source, files: Mapping[str, Entry], configuration: bytes, *, below: str) -> list[Submodule]:
    """Return the submodules of a commit of `source`, in the order of its files.

    `configuration` is what `git config --list -z` says of its `.gitmodules`; `below` is where the commit itself lies
    in the repository that is built: nothing, or a path with a slash at its end.
    Raises: RepositoryFault, naming `.gitmodules` and the submodule.
    """
    addresses = _addresses(configuration)
    found = []
    for path, entry in files.items():
        if entry.mode == SUBMODULE:
            if path not in addresses:
                raise _fault(
                    f"{GITMODULES} does not say where the submodule {shown(below + path)} comes from. Add it with "
                    f"`git submodule add`, or remove it with `git rm --cached {shown(path)}`.",
                    below,
                )
            address = addresses[path]
            found.append(Submodule(path, entry.object_id, _source(source, address, below + path, below)))
    return found


def _addresses(configuration: bytes) -> dict[str, str]:
    """Return path → url of each section of a `.gitmodules`."""
    sections: dict[str, dict[str, str]] = {}
    for line in configuration.decode(errors="replace").split("\0"):
        key, _, value = line.partition("\n")
        section, _, name = key.rpartition(".")
        if section.startswith("submodule."):
            sections.setdefault(section, {})[name] = value
    return {
        section["path"].rstrip("/"): section["url"]
        for section in sections.values()
        if section.get("path") and section.get("url")
    }


def _source(parent: Source, address: str, path: str, below: str) -> Source:
    url = _resolved(parent.url, address) if address.startswith(("./", "../")) else address
    if url is None:
        raise _fault(f"The address {shown(address)} of the submodule {shown(path)} leads above its host.", below)
    if parent.local and url.startswith("file:///"):
        return Source(url, local=True)
    problem = _problem_with(url)
    if problem:
        raise _fault(f"The address {shown(address)} of the submodule {shown(path)} {problem}", below)
    wanted = Source(url)
    # A token is one installation's: it goes where its repository lies, never to others, nor where a fork says.
    same = parent.trusted and (wanted.origin.lower(), wanted.owner) == (parent.origin.lower(), parent.owner)
    return Source(url, token=parent.token) if same else wanted


def _resolved(base: str, address: str) -> str | None:
    """Return a relative address as git resolves it, or None where it leads above the host."""
    scheme, _, rest = base.rstrip("/").partition("://")
    host, *parts = rest.split("/")
    for part in address.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return f"{scheme}://{'/'.join((host, *parts))}"


def _problem_with(url: str) -> str | None:
    """Return what is wrong with an address, as the end of a sentence, or None."""
    if ssh := _SSH.match(url):
        return f"needs a key, which nobody has here. Use https://{ssh[1]}/{ssh['path'].lstrip('/')} in {GITMODULES}."
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        return "is no address."
    if parts.scheme not in {"http", "https"} or not url.startswith(f"{parts.scheme}://"):
        return "is not one of https:// or http://, and no other can be fetched."
    if "@" in parts.netloc:
        return "has a name or a password in it, which would be seen by all. Take it out."
    if not parts.hostname or not has_port or len(url) > _LONGEST_URL or not _is_plain(url):
        return "is no address."
    return None


def _is_plain(url: str) -> bool:
    return url.isascii() and url.isprintable() and not set(url) & set(' "\\<>^`{|}')


def check_nesting(path: str, depth: int, number: int) -> None:
    """Refuse the submodule at `path`, `depth` submodules deep and the `number`th, where that is more than is fetched.

    Raises: RepositoryFault.
    """
    if depth > _DEEPEST:
        raise _fault(f"The submodule {shown(path)} lies more than {_DEEPEST} submodules deep.", "")
    if number > _MOST:
        raise _fault(f"The repository has more than {_MOST} submodules; {shown(path)} is one too many.", "")


def fault_of_gitmodules(below: str, output: str) -> RepositoryFault:
    """Return the fault of a `.gitmodules` that git cannot read."""
    line = re.search(r"line (\d+)", output)
    return RepositoryFault(
        f"{below}{GITMODULES} cannot be read: git says of it {output.strip()[-200:]!r}.",
        file=f"{below}{GITMODULES}",
        line=int(line[1]) if line else None,
        step="fetch",
    )


def fault_of_submodule(submodule: Submodule, below: str, error: BinderError) -> BinderError:
    """Return the fault of a submodule that could not be fetched; the network's stays the network's."""
    if isinstance(error, WorldFault | OperatorFault):
        return error
    path = below + submodule.path
    message = f"The submodule {shown(path)} (commit {submodule.sha[:12]} of {submodule.source.url}) cannot be fetched: "
    return _fault(message + error.message, below)


def _fault(message: str, below: str) -> RepositoryFault:
    return RepositoryFault(message, file=f"{below}{GITMODULES}", step="fetch")
