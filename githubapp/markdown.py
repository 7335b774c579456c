"""Text from repositories, made harmless for where GitHub shows it: one line, and in Markdown nothing but characters."""

import re
import unicodedata

_BACKTICKS = re.compile(r"`+")


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
