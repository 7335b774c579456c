"""Finds the fault in what mmdebstrap, apt and R printed when they failed: pure functions over text."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from binder.errors import BinderError, OperatorFault, RepositoryFault, WorldFault
from build.recipes.cran import Need

_MOST_READ = 20_000
_LONGEST = 300
_UNREACHABLE = re.compile(r"^E: Failed to fetch \S+\s+(.*)$", re.MULTILINE)
_BAD_SOURCE = re.compile(
    r"^E: (The repository .*(?:does not have a Release file|is not signed|not valid).*)$", re.MULTILINE
)
_NO_SOURCES = re.compile(r"^E: This machine has no sources of apt for (\S+)$", re.MULTILINE)
_UNKNOWN = re.compile(r"^E: Unable to locate package (\S+)$", re.MULTILINE)
_NO_CANDIDATE = re.compile(r"^E: Package '([^']+)' has no installation candidate$", re.MULTILINE)
_PROVIDER = re.compile(r"^  ([a-z0-9][a-z0-9+.-]+) \S+$", re.MULTILINE)
_UNMET = re.compile(r"^ ([a-z0-9][a-z0-9+.-]+)(?::\w+)? : (.*)$", re.MULTILINE)
_BROKE = re.compile(r"^dpkg: error processing (?:package|archive) (\S+?)(?::\w+)? .*$", re.MULTILINE)
_TOO_SMALL = "E: You don't have enough free space"

_SAID_OF_R = re.compile(r"^--- R: (?:(install\.R|DESCRIPTION)(?: line (\d+))?|no snapshots): (.*)$", re.MULTILINE)
_PARSED = re.compile(r"\A/run/asked/install\.R:(\d+):\d+: (unexpected .*?)(?= \d+: |\Z)")
_NOT_REACHED = re.compile(r"\A(?:unable to access index|download of package)")
_QUOTED = re.compile("\u2018([^\u2019]+)\u2019")
_ASKED_OF_DEBIAN = re.compile(r"^\s*\* deb:\s+([a-z0-9][a-z0-9+.-]+)", re.MULTILINE)
_NO_HEADER = re.compile(r"fatal error: (\S+): No such file or directory")
_ELSEWHERE = re.compile(r" A version of this package .*")


def explain_base(output: str) -> BinderError:
    """Return the fault in a base image that could not be bootstrapped."""
    last = next((line for line in reversed(output.splitlines()) if line.startswith("E:")), "its log says more")
    return OperatorFault(f"The base image could not be bootstrapped from this machine's Debian mirrors: {last[:200]}")


def explain_system(
    output: str, path: str, lines: Mapping[str, int], others: Mapping[str, tuple[str, int]] = MappingProxyType({})
) -> BinderError | None:
    """Return the fault in what apt printed; `lines` maps each package of the apt.txt at `path` to its line.

    `others` maps packages that other files ask for to file and line.
    """
    output = output[-_MOST_READ:]
    places = {**others, **{name: (path, line) for name, line in lines.items()}}
    return _of_source(output) or _of_package(output, path, places)


def _of_source(output: str) -> BinderError | None:
    if source := _BAD_SOURCE.search(output):
        return OperatorFault(f"apt does not take a source of this machine's: {_cut(source[1])}")
    if without := _NO_SOURCES.search(output):
        return OperatorFault(f"This machine has no sources of apt from which builds could take Debian {without[1]}.")
    if unreachable := _UNREACHABLE.search(output):
        return WorldFault(f"Debian's mirror could not be reached: {_cut(unreachable[1])}")
    if _TOO_SMALL in output:
        return OperatorFault("The disk of this service is full. Free some space, then build again.")
    return None


def _of_package(output: str, path: str, lines: Mapping[str, tuple[str, int]]) -> BinderError | None:
    if unknown := _UNKNOWN.findall(output):
        others = f" Nor has it {_cut(', '.join(unknown[1:]))}." if unknown[1:] else ""
        return _of_apt(path, lines, unknown[0], f"Debian has no package {unknown[0]}.{others}")
    if virtual := _NO_CANDIDATE.search(output):
        providers = ", ".join(_PROVIDER.findall(output))
        said = f"Debian has no package {virtual[1]}" + (
            f", but several that provide it: {providers}" if providers else ""
        )
        return _of_apt(path, lines, virtual[1], f"{_cut(said)}.")
    if unmet := _UNMET.findall(output):
        name, why = next((one for one in unmet if one[0] in lines), unmet[0])
        return _of_apt(path, lines, name, f"{name} cannot be installed: {_cut(why)}.")
    if broke := _BROKE.search(output):
        return _of_apt(path, lines, broke[1], f"Debian's package {broke[1]} failed to install. The log says more.")
    return None


def _of_apt(path: str, lines: Mapping[str, tuple[str, int]], name: str, message: str) -> BinderError:
    if name not in lines and not lines:
        return OperatorFault(
            f"{message} It is no package of the author's: the machine's Debian mirrors lack something."
        )
    file, line = lines.get(name, (path, None))
    return RepositoryFault(message, file=file, line=line, step="system")


def explain_r(output: str, install: str | None, needs: Sequence[Need] = ()) -> BinderError | None:
    """Return the fault in what R printed, or None where R was not at it; `install` is the path of the install.R.

    `needs` are those of the DESCRIPTION.
    """
    output = output[-_MOST_READ:]
    if not (said := _SAID_OF_R.search(output)):
        return None
    what, number, message = said[1], said[2], said[3]
    if what is None:
        return OperatorFault(
            f"R's packages of {message} are asked for, and this service knows no archive of them. Its operator can name"
            " one with BINDER_CRAN_SNAPSHOT_URL."
        )
    if _NOT_REACHED.match(message):
        return WorldFault(f"R's packages could not be reached: {_cut(message)}")
    line = int(number) if number else None
    if parsed := _PARSED.match(message):
        line, message = int(parsed[1]), parsed[2]
    if what == "DESCRIPTION":
        of_need = {need.name: need.line for need in needs}
        line = line or next((of_need[name] for name in _QUOTED.findall(message) if name in of_need), None)
    path = what if what == "DESCRIPTION" else install or what
    return RepositoryFault(_of_installation(message, output), file=path, line=line, step="environment")


def _of_installation(message: str, output: str) -> str:
    """Return R's message as a sentence, with what a package that failed to install lacks."""
    message = _cut(_ELSEWHERE.sub("", message))
    message = f"{message[:1].upper()}{message[1:]}".rstrip(".") + "."
    if "nstallation of" not in message:
        return message
    if asked := list(dict.fromkeys(_ASKED_OF_DEBIAN.findall(output))):
        return f"{message} It wants Debian's {' or '.join(asked)}: add it to apt.txt."
    if header := _NO_HEADER.search(output):
        return f"{message} It lacks {_cut(header[1])}: add the package of Debian that holds it to apt.txt."
    reasons = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    return f"{message} {_cut(reasons[-1].removeprefix('ERROR: '))}." if reasons else message


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
