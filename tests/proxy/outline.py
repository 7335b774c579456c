"""A page's outline: what has to be sound on every one of them."""

from html.parser import HTMLParser

import httpx


class Outline(HTMLParser):
    """What assistive technology and a content policy would trip over."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        values = dict(attrs)
        self.tags.append(tag)
        self.ids += [str(values["id"])] if values.get("id") else []
        self.inline += [name for name in values if name.startswith("on") or name == "style"]


def outline(page: httpx.Response) -> Outline:
    """Return a page's outline, having looked that it is sound."""
    found = Outline()
    found.feed(page.text)
    assert found.tags.count("h1") == 1
    assert found.tags.count("main") == 1
    assert len(found.ids) == len(set(found.ids))
    assert found.inline == []
    assert page.headers["content-type"].startswith("text/html")
    return found
