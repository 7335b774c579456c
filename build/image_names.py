"""Names of images, as a Dockerfile gives them: variables put in, the registry added, those of this host refused."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"\A(?:(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d+)?)/)?(?P<path>{_PART}(?:/{_PART})*)"
    r"(?P<tag>:\w[\w.-]{0,127})?(?P<digest>@sha256:[0-9a-f]{64})?\Z"
)
# What stands before a colon and is a place of this host, not a name (containers-transports(5)).
_TRANSPORTS = {"atomic", "containers-storage", "dir", "docker-archive", "docker-daemon", "oci", "oci-archive", "ostree"}
_TRANSPORTS |= {"sif", "tarball"}
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:[-+])([^{}$]*))?\})")
_LONGEST = 500


@dataclass(frozen=True)
class Pulled:
    """An image as it was loaded: its digest, and the instructions that it adds to a Dockerfile that begins with it."""

    digest: str
    triggers: tuple[str, ...]


class WordFault(Exception):
    """What is wrong with a word, as the rest of a sentence that begins with the place."""


def expanded(word: str, arguments: Mapping[str, str]) -> str:
    """Return a word with the values of its variables; a value may hold variables itself.

    Raises: WordFault.
    """
    for _ in range(10):
        word = _VARIABLE.sub(lambda match: _value(match, arguments), word.strip("\"'"))
        if "$" not in word or len(word) > _LONGEST:
            break
    if re.search(r"[$\\\"']", word) or len(word) > _LONGEST:
        raise WordFault(f"names an image by {word[:80]!r}, which cannot be read. Write the name itself.")
    return word


def _value(match: re.Match[str], arguments: Mapping[str, str]) -> str:
    value = arguments.get(match[1] or match[2], "")
    if match[3] == ":-":
        return value or match[4]
    return (match[4] if value else "") if match[3] else value


def qualified_name(name: str, *, registry: str, own: str) -> str:
    """Return the name of an image with its registry; `registry` is where a name without one is, `own` is ours.

    Raises: WordFault.
    """
    reference = _REFERENCE.match(name)
    if not reference or name.partition(":")[0] in _TRANSPORTS:
        raise WordFault(f"names {name[:80]!r}, which is no image of a registry.")
    host, path = reference["host"] or "", reference["path"]
    if host and not (set(host) & set(".:") or host == "localhost"):
        host, path = "", f"{host}/{path}"
    place = f"{host or registry}/{path}"
    if host.partition(":")[0] == "localhost" or (own and f"{place}/".startswith(f"{own}/")):
        raise WordFault(f"begins with {name[:80]!r}, an image of this service. Name one of a public registry.")
    return f"{place}{reference['tag'] or ''}{reference['digest'] or ''}"


def pulled_images(lines: Iterable[str]) -> dict[str, Pulled]:
    """Return the images that `pull.sh` told of, by name."""
    found: dict[str, Pulled] = {}
    name = ""
    for line in lines:
        what, _, said = line.partition(": ")
        if what == "--- wanted":
            name = said
        elif what == "--- pulled":
            found[name] = Pulled(said, ())
        elif what == "--- trigger" and name in found:
            found[name] = Pulled(found[name].digest, (*found[name].triggers, said))
    return found
