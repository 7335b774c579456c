"""The pages of the documentation, taken apart: what they show in blocks, what they name, and where they lead."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK = re.compile(r"(?<!\\)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)
_SETTING = re.compile(r"BINDER_[A-Z0-9_]+…?")
_ASSIGNMENT = re.compile(r"\A[A-Z_]+=")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its text, and the line where it begins."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command that a page shows: its words, without assignments before it and what follows `>`."""

    place: str
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        """What is run: `binder`, also where it is typed as `.venv/bin/binder`."""
        return self.words[0].removeprefix(".venv/bin/")

    def __str__(self) -> str:
        return " ".join([self.program, *self.words[1:]])


@dataclass(frozen=True)
class Page:
    """A page: its path from the root of the repository, and its text."""

    path: str
    text: str

    def blocks(self) -> list[Block]:
        """Return the fenced blocks."""
        return [
            Block(self.path, self.text.count("\n", 0, found.start()) + 1, found[1], found[2])
            for found in _FENCE.finditer(self.text)
        ]

    def prose(self) -> str:
        """Return the page without its blocks."""
        return _FENCE.sub("", self.text)

    def spans(self) -> list[str]:
        """Return what stands in the prose as code."""
        return [" ".join(span.split()) for span in _SPAN.findall(self.prose())]

    def links(self) -> list[str]:
        """Return where the prose leads."""
        return _LINK.findall(_SPAN.sub("`", self.prose()))

    def settings(self) -> set[str]:
        """Return all names of variables of ours; one that ends with … stands for all that begin so."""
        return set(_SETTING.findall(self.text))

    def anchors(self) -> set[str]:
        """Return the names by which its headings are led to, as GitHub makes them."""
        found: list[str] = []
        for heading in _HEADING.findall(self.prose()):
            slug = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")
            again = found.count(slug)
            found.append(slug)
            if again:
                found.append(f"{slug}-{again}")
        return set(found)


def pages() -> list[Page]:
    """Return README and all pages below docs/."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [Page(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in paths]


def shown_commands() -> list[Command]:
    """Return all commands that pages show."""
    return [command for page in pages() for block in page.blocks() if block.language == "sh" for command in _in(block)]


def _in(block: Block) -> Iterator[Command]:
    lines = block.text.replace("\\\n", " ").splitlines()
    for line in lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if not set(word) <= set("&|;"):
                words.append(word)
            elif words:
                yield from _command(str(block), words)
                words = []


def _command(place: str, words: list[str]) -> Iterator[Command]:
    while words and _ASSIGNMENT.match(words[0]):
        words = words[1:]
    outputs = [at for at, word in enumerate(words) if word.lstrip("12").startswith(">")]
    if words[: min(outputs, default=len(words))]:
        yield Command(place, tuple(words[: min(outputs, default=len(words))]))
