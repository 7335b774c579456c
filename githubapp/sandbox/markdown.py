"""Renders what people and Apps wrote in Markdown, so that it can do no harm on our pages.

Owns one rule beyond CommonMark: HTML is shown as the text that it is, but for comments, which GitHub does not show.
"""

from markdown_it import MarkdownIt
from markupsafe import Markup

_LARGEST_CHARACTERS = 100_000
_HEADINGS_ABOVE = 2

# HTML is off, and markdown-it refuses links to `javascript:` and the like by itself.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def rendered(text: str) -> Markup:
    """Safe HTML for `text`, its headings below those of our pages."""
    tokens = _MARKDOWN.parse(without_comments(text[:_LARGEST_CHARACTERS]))
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + _HEADINGS_ABOVE, 6)}"
    html = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    return Markup(html)  # noqa: S704 - made from escaped text only


def without_comments(text: str) -> str:
    """`text` without its `<!-- … -->`; one that never ends is text.

    Searched for by hand: a regular expression would take time squared for many beginnings without an end.
    """
    kept = []
    position = 0
    while (start := text.find("<!--", position)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        kept.append(text[position:start])
        position = end + 3
    kept.append(text[position:])
    return "".join(kept)
