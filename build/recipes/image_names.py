"""Names of images, as a Dockerfile gives them: with variables put in, and those of this host refused."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

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
    """An image as it was loaded: its id here, its digest, and what it adds to a Dockerfile that begins with it."""

    id: str
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


def checked_name(name: str, *, own: str) -> str:
    """Return the name of an image of a registry; `own` is the repository that has ours.

    Raises: WordFault.
    """
    reference = _REFERENCE.match(name)
    if not reference or len(name) > _LONGEST or name.partition(":")[0] in _TRANSPORTS:
        raise WordFault(f"names {name[:80]!r}, which is no image of a registry.")
    place = f"{reference['host'] or ''}/{reference['path']}/".lower()
    if re.match(r"localhost[:/]", place) or (own and place.startswith(f"{own.lower()}/")):
        raise WordFault(f"begins with {name[:80]!r}, an image of this service. Name one of a public registry.")
    return name


def pulled_images(lines: Iterable[str]) -> dict[str, Pulled]:
    """Return the images that `pull.sh` told of, by name."""
    found: dict[str, Pulled] = {}
    name = ""
    for line in lines:
        what, _, said = line.partition(": ")
        if what == "--- wanted":
            name = said
        elif what == "--- pulled":
            image_id, _, digest = said.partition(" ")
            found[name] = Pulled(image_id, digest, ())
        elif what == "--- trigger" and name in found:
            found[name] = replace(found[name], triggers=(*found[name].triggers, said))
    return found
