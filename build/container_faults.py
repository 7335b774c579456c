"""Finds the line of a Dockerfile that is at fault, in what Buildah printed: pure functions over text."""

import re

from binder.errors import BinderError, RepositoryFault, WorldFault
from build.recipes.containerfile import Containerfile

_MOST_READ = 50_000
_LONGEST = 300
_STEP = re.compile(r"^(?:\[(\d+)/\d+\] )?STEP (\d+)/\d+: ", re.MULTILINE)
_ENDED = re.compile(r"^Error: building at STEP \"(.*)\": while running runtime: exit status (\d+)$", re.MULTILINE)
_FAILED = re.compile(r"^Error: building at STEP \"((?:[^\"]|\"(?!: ))*)\": (.*)$", re.MULTILINE)
_NO_IMAGE = re.compile(
    r"^Error: .*(?:initializing source|reading manifest|no stage or image found|unable to copy).*$", re.MULTILINE
)
_ABSENT = re.compile(r"manifest unknown|name unknown|manifest for .* not found|not found: manifest", re.IGNORECASE)
_DENIED = re.compile(r"\bdenied\b|unauthorized|authentication required", re.IGNORECASE)
_NO_FILE = re.compile(r"copier: stat: \"/?(.*)\": no such file or directory|no items matching glob \"(.*?)\"")
_LOADED = re.compile(r"\bdial tcp|i/o timeout|TLS handshake|\bGet \"")
_BUILDAHS_OWN = re.compile(r"^(?:(?:\[\d+/\d+\] )?STEP \d+/|Error: |time=\"|--> |\[Warning\])")
_KILLED = 137


def explain_containerfile(output: str, file: Containerfile) -> BinderError | None:
    """Return the fault in a Dockerfile's build that failed, or None where Buildah did not say."""
    output = output[-_MOST_READ:]
    if ended := _ENDED.search(output):
        return _fault(file, _line(output, file, ended[1]), _ended(output, int(ended[2])))
    if unreachable := _NO_IMAGE.search(output):
        return _of_image(file, unreachable[0], _line(output, file, ""))
    if failed := _FAILED.search(output):
        line, what = _line(output, file, failed[1]), failed[2]
        if absent := _NO_FILE.search(what):
            where = "leads out of the repository" if ".." in failed[1] else "is not in the repository"
            return _fault(file, line, f"copies {(absent[1] or absent[2])[:100]!r}, which {where} or is left out of it.")
        if _LOADED.search(what):
            return WorldFault(f"{file.path} line {line} adds what could not be reached: {_cut(what)}")
        return _fault(file, line, f"failed: {_cut(what)}.")
    return None


def explain_pull(output: str, file: Containerfile, image: str) -> BinderError:
    """Return the fault in an image that could not be pulled."""
    steps = list(_STEP.finditer(output))
    lines = output[steps[-1].start() :] if steps else output
    said = [line for line in lines.splitlines() if line.startswith("Error: ")]
    return _of_image(file, said[-1] if said else output[-_LONGEST:], file.images.get(image), image)


def _of_image(file: Containerfile, said: str, line: int | None, image: str = "") -> BinderError:
    named = image or next((name for name in file.images if name in said or file.images[name] == line), "the image")
    line = file.images.get(named, line)
    if _ABSENT.search(said):
        return _fault(file, line, f"asks for {named}, which its registry does not have.")
    if _DENIED.search(said):
        return _fault(file, line, f"asks for {named}, which is not there or not public.")
    return WorldFault(f"{named} of {file.path} could not be loaded: {_cut(said.removeprefix('Error: '))}")


def _fault(file: Containerfile, line: int | None, message: str) -> RepositoryFault:
    place = f"{file.path} line {line}" if line else file.path
    return RepositoryFault(f"{place} {message}", file=file.path, line=line, step="image")


def _line(output: str, file: Containerfile, instruction: str) -> int | None:
    """Return the line of the step that failed: by Buildah's count, or by its text where the count has scrolled away."""
    if steps := _STEP.findall(output):
        stage, step = steps[-1]
        return file.steps.get((int(stage or 1), int(step)))
    wanted = instruction.split()
    written = zip(file.text.splitlines(), file.lines, strict=True)
    return next((line for text, line in written if text.split() == wanted), None)


def _ended(output: str, status: int) -> str:
    steps = list(_STEP.finditer(output))
    lines = output[steps[-1].start() :] if steps else output
    said = [line for line in lines.splitlines() if line.strip() and not _BUILDAHS_OWN.match(line)]
    last = f": {_cut(said[-1])}" if said else ""
    why = " It was killed, perhaps for its want of memory." if status == _KILLED else ""
    return f"ended with status {status}{last}.{why}"


def _cut(text: str) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
