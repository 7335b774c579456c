"""What of a repository's Dockerfile may be built here: read, checked and written anew, by pure functions over its text.

Buildah is given what is written anew, and not the author's file: each image is named by the id with which it was
loaded, so that none of ours can be meant, and no two readers can differ on what the file says. Mounts are the
dangerous part: Buildah 1.28 follows symbolic links of the context, of another stage and of a cache's name out to the
files of the account that builds.

Source: https://docs.docker.com/reference/dockerfile/, buildah-build(1), CVE-2024-1753, CVE-2024-9675.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from binder.errors import RepositoryFault
from binder.names import digest_of
from build.recipes.image_names import WordFault, checked_name, expanded

_KEYWORDS = {"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"}
_KEYWORDS |= {"ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
_DIRECTIVE = re.compile(r"\A#[ \t]*([A-Za-z]+)[ \t]*=[ \t]*(.*?)[ \t]*\Z")
_CONTINUED = re.compile(r"\\[ \t]*\Z")
_HERE_DOCUMENT = re.compile(r"(?:^|\s)\d*<<-?[\"']?[A-Za-z_]")
_QUOTED = re.compile(r"\A(--[a-z]+=)([\"'])([^\"'\\]*)\2\Z")
_ARGUMENT = re.compile(r"\A([A-Za-z_]\w*)(?:=(.*))?\Z", re.DOTALL)
_STAGE_NAME = re.compile(r"\A[a-z][a-z0-9._-]*\Z")
_MOST_INSTRUCTIONS = 500
_LONGEST_BYTES = 60_000

BUILD_ARGUMENTS: Mapping[str, str] = {"NB_USER": "jovyan", "NB_UID": "1000"}
"""What every Dockerfile is told, as repo2docker does."""


@dataclass(frozen=True)
class Instruction:
    """One instruction: the line on which it begins, its keyword in capitals, and its arguments on one line."""

    line: int
    keyword: str
    rest: str


@dataclass(frozen=True)
class Containerfile:
    """A Dockerfile that may be built. `text` is what Buildah is given, one instruction a line.

    `images` are the images that it wants from registries, each with the first line that names it; `steps` maps a stage
    and a step, as Buildah counts them from 1, to the line; `lines` are those of the instructions of `text`.
    """

    path: str
    text: str
    images: Mapping[str, int]
    steps: Mapping[tuple[int, int], int]
    lines: Sequence[int]

    @property
    def is_known_by_its_words(self) -> bool:
        """Whether a step that has the same words as an earlier one does the same: not where it reads mounted files."""
        return "--mount=type=bind," not in self.text


@dataclass
class _Reader:
    """What is known while the instructions are gone through, one after the other."""

    path: str
    own: str
    links: Collection[str]
    ids: Mapping[str, str]
    arguments: dict[str, str] = field(default_factory=lambda: dict(BUILD_ARGUMENTS))
    stages: list[str] = field(default_factory=list)
    images: dict[str, int] = field(default_factory=dict)

    def fault(self, line: int, message: str) -> RepositoryFault:
        return RepositoryFault(f"{self.path} line {line} {message}", file=self.path, line=line)

    def image(self, line: int, name: str) -> str:
        """Return what Buildah is told for the name of an image, and remember the name."""
        try:
            checked = checked_name(name, own=self.own)
        except WordFault as fault:
            raise self.fault(line, str(fault)) from fault
        self.images.setdefault(checked, line)
        return self.ids.get(checked, checked)

    def stage_or_image(self, line: int, name: str) -> str:
        if "$" in name:
            raise self.fault(line, f"names where to copy from by a variable, {name!r}. Write the name itself.")
        if re.fullmatch(r"[0-9]{1,3}", name):
            if int(name) >= len(self.stages) - 1:
                raise self.fault(line, f"copies from stage {name}, which is not before it.")
            return name
        return name.lower() if name.lower() in self.stages[:-1] else self.image(line, name)


def read_containerfile(
    path: str,
    text: str,
    *,
    own: str,
    links: Collection[str],
    ids: Mapping[str, str] = MappingProxyType({}),
    arguments: Mapping[str, str] = MappingProxyType({}),
) -> Containerfile:
    """Return what may be built of a Dockerfile.

    `own` is the repository that our images have in a registry, and `links` are the paths of the commit that are
    symbolic links. `ids` are those of the images, by name; the text is only to be built with all of them. `arguments`
    are known to it besides those of all.
    Raises: RepositoryFault, with file and line.
    """
    reader = _Reader(path, own, links, ids, {**BUILD_ARGUMENTS, **arguments})
    written = [(_written(reader, instruction), instruction.line) for instruction in _instructions(path, text)]
    if not reader.stages:
        raise RepositoryFault(f"{path} has no FROM: it does not say which image to begin with.", file=path)
    return _containerfile(path, written, reader.images)


def in_own_layers(file: Containerfile, namespace: str) -> Containerfile:
    """Return a Dockerfile none of whose steps is one of another namespace to Buildah; `""` is that of the author.

    Buildah knows a step again by its words and by what is copied: what a fork had it load, or say, would be taken for
    what the author has.
    """
    if not namespace:
        return file
    label = f"LABEL org.binder.namespace={digest_of(namespace)}"
    written: list[tuple[str, int]] = []
    for text, line in zip(file.text.splitlines(), file.lines, strict=True):
        written += [(text, line), (label, line)] if text.startswith("FROM ") else [(text, line)]
    return _containerfile(file.path, written, file.images)


def _containerfile(path: str, written: Sequence[tuple[str, int]], images: Mapping[str, int]) -> Containerfile:
    steps: dict[tuple[int, int], int] = {}
    stage = step = 0
    for text, line in written:
        stage, step = (stage + 1, 1) if text.startswith("FROM ") else (stage, step + 1)
        if stage:
            steps[stage, step] = line
    return Containerfile(
        path, "".join(f"{text}\n" for text, _ in written), images, steps, [line for _, line in written]
    )


def check_triggers(
    path: str, line: int, image: str, triggers: Sequence[str], *, own: str, links: Collection[str]
) -> None:
    """Check what an image makes of those that begin with it (its ONBUILD), which Buildah takes as it is.

    Raises: RepositoryFault, with the line that names the image.
    """
    reader = _Reader(path, own, links, {}, stages=[""])
    for trigger in triggers:
        try:
            (instruction,) = _instructions(path, trigger)
            may = instruction.keyword not in {"FROM", "ONBUILD"}
            may = may and _written(reader, instruction).split()[1:] == trigger.split()[1:]
        except (RepositoryFault, ValueError):
            may = False
        if not may:
            raise reader.fault(line, f"begins with {image}, whose ONBUILD {trigger[:80]!r} is not to be had here.")


def _instructions(path: str, text: str) -> list[Instruction]:
    found: list[Instruction] = []
    pieces: list[str] = []
    began, may_direct = 0, True
    for number, raw in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        line = raw.strip()
        directive = _DIRECTIVE.match(line) if may_direct else None
        may_direct = bool(directive)
        if directive and directive[1].lower() == "escape" and directive[2] != "\\":
            message = f"{path} line {number} has lines continue with {directive[2]!r}. Here that is a backslash."
            raise RepositoryFault(message, file=path, line=number)
        if not line or line.startswith("#"):
            continue  # also where a continuation goes on after it
        began = began if pieces else number
        continued = _CONTINUED.search(raw)
        pieces.append(raw[: continued.start()] if continued else raw)
        if not continued:
            found.append(_instruction(path, began, pieces))
            pieces = []
    if pieces:
        found.append(_instruction(path, began, pieces))
    if len(found) > _MOST_INSTRUCTIONS:
        raise RepositoryFault(f"{path} has more than {_MOST_INSTRUCTIONS} instructions.", file=path)
    return found


def _instruction(path: str, line: int, pieces: list[str]) -> Instruction:
    # One line again, as Docker joins them: an option could be cut in two by a continuation, to be overlooked here.
    keyword, *rest = "".join(pieces).strip().split(maxsplit=1) or [""]
    if keyword.upper() not in _KEYWORDS:
        message = f"{path} line {line} begins with {keyword[:40]!r}, which is no instruction of a Dockerfile."
        raise RepositoryFault(message, file=path, line=line)
    if keyword.upper() in {"RUN", "COPY", "ADD"} and _HERE_DOCUMENT.search(rest[0] if rest else ""):
        message = f"{path} line {line} has a here-document (<<), which is not known here. Put its text into a file."
        raise RepositoryFault(message, file=path, line=line)
    if len(rest[0].encode() if rest else b"") > _LONGEST_BYTES:  # Buildah reads no line of 64 KiB
        message = f"{path} line {line} is longer than {_LONGEST_BYTES} bytes. Put its text into a file."
        raise RepositoryFault(message, file=path, line=line)
    return Instruction(line, keyword.upper(), rest[0] if rest else "")


def _written(reader: _Reader, instruction: Instruction) -> str:
    """Return an instruction as Buildah is given it."""
    line, keyword, rest = instruction.line, instruction.keyword, instruction.rest
    if keyword == "FROM":
        return f"FROM {_from(reader, line, rest)}"
    if not reader.stages:
        if keyword != "ARG":
            raise reader.fault(line, f"has {keyword} before the first FROM, where only ARG may stand.")
        _remember(reader, rest)
    if keyword == "ONBUILD":
        inner = next(iter(_instructions(reader.path, rest)), instruction)
        if inner.keyword in {"FROM", "ONBUILD"}:
            raise reader.fault(line, f"has {inner.keyword} in ONBUILD, where it may not stand.")
        return f"ONBUILD {_written(reader, Instruction(line, inner.keyword, inner.rest))}"
    flags, rest = _flags(reader, line, rest) if keyword in {"RUN", "COPY", "ADD"} else ([], rest)
    checked = (_flag(reader, line, keyword, flag) for flag in flags)
    return " ".join([keyword, *(flag for flag in checked if flag), rest]).rstrip()


def _from(reader: _Reader, line: int, rest: str) -> str:
    words = rest.split()
    platforms = [words.pop(0) for word in list(words) if word.startswith("--platform=")]
    as_name = words[2].lower() if len(words) == 3 and words[1].lower() == "as" else ""
    if not (len(words) == 1 or _STAGE_NAME.match(as_name)):
        raise reader.fault(line, "is not of the form FROM image, or FROM image AS name.")
    try:
        name = expanded(words[0], reader.arguments)
        if any("$" in platform for platform in platforms):
            platforms = [expanded(platform, reader.arguments) for platform in platforms]
    except WordFault as fault:
        raise reader.fault(line, str(fault)) from fault
    known = name.lower() if name.lower() in reader.stages and name else ""
    image = known or (name if name == "scratch" else reader.image(line, name))
    reader.stages.append(as_name)
    return " ".join([*platforms, image, *(["AS", as_name] if as_name else [])])


def _remember(reader: _Reader, rest: str) -> None:
    for word in rest.split():
        if (argument := _ARGUMENT.match(word)) and argument[2] is not None and argument[1] not in BUILD_ARGUMENTS:
            reader.arguments[argument[1]] = argument[2].strip("\"'")


def _flags(reader: _Reader, line: int, rest: str) -> tuple[list[str], str]:
    flags: list[str] = []
    while rest.startswith("--"):
        flag, *after = rest.split(maxsplit=1)
        flag = _QUOTED.sub(r"\1\3", flag)
        if re.search(r"[\"'\\]", flag):
            raise reader.fault(line, f"has quotation marks or a backslash in {flag[:80]!r}. Write the option without.")
        flags.append(flag)
        rest = after[0].lstrip() if after else ""
    return flags, rest


def _flag(reader: _Reader, line: int, keyword: str, flag: str) -> str:
    """Return an option as Buildah is given it, or nothing where it is left out."""
    name, _, value = flag.partition("=")
    if keyword in {"COPY", "ADD"}:
        return f"--from={reader.stage_or_image(line, value)}" if name == "--from" else "" if name == "--link" else flag
    if name == "--mount":
        return _mount(reader, line, value)
    if name in {"--network", "--security"} and value in {"default", "sandbox"}:
        return ""
    raise reader.fault(line, f"has {flag[:80]!r}, which is not to be had here.")


def _mount(reader: _Reader, line: int, value: str) -> str:
    if "$" in value:
        raise reader.fault(line, "has a variable in --mount. Write the value itself.")
    parts = [part.partition("=") for part in value.split(",")]
    options = {name.lower(): said for name, _, said in parts}
    kind = options.get("type", "bind")
    if kind in {"cache", "secret", "ssh"}:
        if options.get("required", "false") != "false":
            raise reader.fault(line, f"requires a mount of type {kind}, and no build here is given one.")
        return ""  # a cache would be everybody's; the others hold nothing
    target = next((options[name] for name in ("target", "dst", "destination") if options.get(name)), "")
    if kind not in {"bind", "tmpfs"} or not target:
        raise reader.fault(line, f"mounts {value[:80]!r}, which is not of a kind that can be had here.")
    if kind == "tmpfs":
        return f"--mount=type=tmpfs,target={target}"
    if options.keys() & {"rw", "readwrite"} or {"ro", "readonly"} & {n for n in options if options[n] == "false"}:
        raise reader.fault(line, "mounts files to be written to. They are only there to be read; COPY them.")
    source = options.get("source") or options.get("src") or ""
    return f"--mount=type=bind,{_bound(reader, line, options.get('from', ''), source)}target={target}"


def _bound(reader: _Reader, line: int, of: str, source: str) -> str:
    """Return where a mount of files comes from, followed by a comma, or nothing for the whole of the repository."""
    parts = [part for part in source.split("/") if part not in {"", "."}]
    if of and not parts:
        return f"from={reader.stage_or_image(line, of)},"
    if of:
        raise reader.fault(line, f"mounts a part of {of}. Use COPY --from={of} {source} instead.")
    above = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    if ".." in parts or any(path in reader.links for path in above):
        raise reader.fault(
            line, f"mounts {source!r} by a symbolic link or from above. Name the file where it is, or COPY it."
        )
    return f"source={'/'.join(parts)}," if parts else ""
