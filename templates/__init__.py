"""Turns values into text and JSON; decides nothing.

Owns the one way in which a template meets its values. Text templates are strict Jinja2: a name without a value is an
error, and values are escaped in HTML, XML and SVG. JSON templates are parsed *before* values are put in, so that no
value can break out of the place it was given.
"""

import json
import re
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TypeAlias

import jinja2

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_ROOT = Path(__file__).parent
_WHOLE = re.compile(r"\A\{\{ *(\w+) *\}\}\Z")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_ROOT),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(("html", "xml", "svg"), default_for_string=False),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["shell"] = shlex.quote
    return environment


def render(name: str, **values: object) -> str:
    """Render the text template `name`, a path inside this package.

    Raises: jinja2.UndefinedError, naming what the template asked for and was not given.
    """
    return _environment().get_template(name).render(**values)


def source_path(name: str) -> Path:
    """Return where the template `name` lies, for one that is used as it is."""
    return _ROOT / name


@cache
def _json_template(name: str) -> str:
    return (_ROOT / name).read_text(encoding="utf-8")


def render_json(name: str, **values: Json) -> Json:
    """Render the JSON template `name`: a string that is only `{{ value }}` becomes the value with its own type,
    any other string is rendered as text.

    Raises: jinja2.UndefinedError, naming what the template asked for and was not given.
    """
    tree: Json = json.loads(_json_template(name))
    return fill_json(tree, values)


def fill_json(node: Json, values: Mapping[str, Json]) -> Json:
    """Put values into parsed JSON, as `render_json` does.

    Raises: jinja2.UndefinedError, naming what was asked for and not given.
    """
    if isinstance(node, dict):
        return {_fill_text(key, values): fill_json(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [fill_json(value, values) for value in node]
    if not isinstance(node, str):
        return node
    whole = _WHOLE.match(node)
    if whole and whole[1] in values:
        return values[whole[1]]
    return _fill_text(node, values)


def _fill_text(text: str, values: Mapping[str, Json]) -> str:
    return _environment().from_string(text).render(**values) if "{{" in text else text
