"""Text from repositories, made harmless for where GitHub shows it: one line, and in Markdown nothing but characters."""

import re
import unicodedata

_BACKTICKS = re.compile(r"`+")
# What a sentence is made of. A number before a dot, or a dash or plus in front, could begin a list.
_HARMLESS = re.compile(r"[A-Za-z][A-Za-z0-9 ,.:;'()+-]*")
# Source: https://docs.github.com/en/get-started/writing-on-github/working-with-advanced-formatting/autolinked-references-and-urls
_REFERENCE = re.compile(r"www\.|GH-\d|[0-9a-f]{7}", re.IGNORECASE)


def one_line(text: str, most_characters: int) -> str:
    """Return `text` on one line, without characters that cannot be seen or turn the line around, and shortened."""
    seen = "".join(
        " " if one.isspace() else one for one in text if one.isspace() or unicodedata.category(one)[0] != "C"
    )
    line = " ".join(seen.split())
    return line if len(line) <= most_characters else line[: most_characters - 1].rstrip() + "…"


def code_span(text: str, most_characters: int) -> str:
    """Return `text` as a code span: in it GitHub knows no markup, no mention, no reference and no link.

    Source: https://spec.commonmark.org/0.31.2/#code-spans
    """
    line = one_line(text, most_characters) or " "
    fence = "`" * (1 + max((len(run) for run in _BACKTICKS.findall(line)), default=0))
    return f"{fence} {line} {fence}"


def unmarked(text: str, most_characters: int) -> str:
    """Return `text` as it is where it holds nothing that GitHub could read as markup, else as a code span."""
    line = one_line(text, most_characters)
    return line if _HARMLESS.fullmatch(line) and not _REFERENCE.search(line) else code_span(text, most_characters)
