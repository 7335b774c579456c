"""Puts values into the templates of modules, which may be a stranger's.

A place for a value is `{{ name }}`, `{{ hosts.server }}`, or either with `| urlencode`: nothing else is a template, so
that none can run anything, or make a text without end.
"""

import re
from collections.abc import Iterator, Mapping

from templates import Json, fill_json

_PLACE = re.compile(r"(?<!\{)\{\{ ?([a-z][a-z0-9_]*)(?:\.([a-z][a-z0-9]*))?( \| urlencode)? ?\}\}(?!\})")
HOSTS = "hosts"
"""The only value that has parts: where each component is reached."""

_OTHER = re.compile(r"\{\{|\}\}|\{%|%\}|\{#|#\}")


class TemplateError(ValueError):
    """A template asks for more than a value; says what, in a sentence."""


def fill(template: Json, values: Mapping[str, Json]) -> Json:
    """Put values into a template: a text that is only `{{ name }}` becomes the value with its own type.

    Raises: TemplateError; jinja2.UndefinedError, naming what was asked for and not given.
    """
    check_places(template)
    return fill_json(template, values)


def check_places(template: Json) -> None:
    """See that a template holds no other places than those for values.

    Raises: TemplateError.
    """
    for text in texts_in(template):
        if other := _OTHER.search(_PLACE.sub("", text)):
            raise TemplateError(f"`{text[:100]}` holds `{other[0]}`: only `{{{{ name }}}}` is a place for a value.")
        for place in _PLACE.finditer(text):
            if (place[1] == HOSTS) != (place[2] is not None):
                raise TemplateError(f"`{place[0]}` is no place for a value; `{{{{ hosts.COMPONENT }}}}` has two parts.")


def fill_text(template: str, values: Mapping[str, Json]) -> str:
    """Put values into a text, as `fill` does."""
    return str(fill(template, values))


def names_in(template: Json) -> frozenset[str]:
    """Return the names of the values that a template asks for: `hosts.server` is `hosts`."""
    return frozenset(place[1] for text in texts_in(template) for place in _PLACE.finditer(text))


def hosts_in(template: Json) -> frozenset[str]:
    """Return the components whose hosts a template asks for."""
    return frozenset(place[2] for text in texts_in(template) for place in _PLACE.finditer(text) if place[2])


def texts_in(template: Json) -> Iterator[str]:
    """Give all texts of a template, keys included."""
    if isinstance(template, str):
        yield template
    elif isinstance(template, dict):
        for key, value in template.items():
            yield key
            yield from texts_in(value)
    elif isinstance(template, list):
        for value in template:
            yield from texts_in(value)
