"""Turns values into text and JSON; decides nothing.

Owns the one way in which a template meets its values. Text templates are strict Jinja2: a name without a value is an
error, and values are escaped in HTML, XML and SVG. JSON templates are parsed *before* values are put in, so that no
value can break out of the place it was given. Where a value must be one word or one line, a template cannot give it
anything else (`templates.places`). An operator's folder may replace any template by its path
(`templates.replacing`); what is wrong with one is said with its name and line.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeAlias

import jinja2

from templates.faults import TemplateFault
from templates.places import haproxy_word, last_look_at

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_ROOT = Path(__file__).parent
_OURS = "ours/"
"""What a template of an operator's calls ours by: `{% extends "ours/pages/front.html" %}`."""

_WHOLE = re.compile(r"\A\{\{ *(\w+) *\}\}\Z")
# What a template that is wrong may raise besides Jinja's own: what values do when they are put together.
_WRONG = (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class _Folders:
    """Where templates are: an operator's folder, if there is one, before our own."""

    operators: Path | None = None


def use_folder(folder: Path | None) -> None:
    """Have the files of a folder win over our templates, by their paths; None: none does. For the whole process.

    It is not looked at: see `templates.replacing`.
    """
    _Folders.operators = folder
    _environment.cache_clear()
    _environment_of.cache_clear()
    _text_of.cache_clear()


@cache
def _environment() -> jinja2.Environment:
    ours = jinja2.FileSystemLoader(_ROOT)
    folders = [jinja2.FileSystemLoader(folder) for folder in (_Folders.operators,) if folder]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([*folders, ours, jinja2.PrefixLoader({_OURS.rstrip("/"): ours})]),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(("html", "xml", "svg"), default_for_string=False),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["shell"] = shlex.quote
    environment.filters["haproxy"] = haproxy_word
    return environment


@cache
def _environment_of(name: str) -> jinja2.Environment:
    """Return the environment of a template: what it puts anywhere is looked at as its kind asks for."""
    look = last_look_at(name)
    return _environment().overlay(finalize=look) if look else _environment()


def render(name: str, **values: object) -> str:
    """Render the text template `name`, a path inside this package.

    Raises: TemplateFault, naming template, line, and what it asked for and was not given.
    """
    with _naming(name):
        return _environment_of(name).get_template(name).render(**values)


def source_path(name: str) -> Path:
    """Return where the template `name` lies, for one that is used as it is."""
    replacing = _Folders.operators / name if _Folders.operators else None
    return replacing if replacing and replacing.is_file() else _ROOT / name


def replacing_text(name: str) -> tuple[str, ...]:
    """Return the text that an operator put in a template's place, as the only one; none, where ours is used.

    For keys of images: what is made with our templates is known by what it was known by before one could be replaced.
    """
    path = source_path(name)
    return () if path.is_relative_to(_ROOT) else (path.read_text(encoding="utf-8"),)


def replaced(below: str) -> dict[str, str]:
    """Return the texts that an operator put in the place of templates below a folder: path → text."""
    if _Folders.operators is None:
        return {}
    files = (path for path in (_Folders.operators / below).rglob("*") if path.is_file())
    found = {path.relative_to(_Folders.operators).as_posix(): path for path in files}
    return {name: path.read_text(encoding="utf-8") for name, path in sorted(found.items())}


@cache
def _text_of(name: str) -> str:
    return source_path(name).read_text(encoding="utf-8")


def render_json(name: str, **values: Json) -> Json:
    """Render the JSON template `name`: a string that is only `{{ value }}` becomes the value with its own type,
    any other string is rendered as text.

    Raises: TemplateFault, naming template, line, and what it asked for and was not given.
    """
    with _naming(name):
        tree: Json = json.loads(_text_of(name))
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
    if "{{" not in text:
        return text
    try:
        return _environment().from_string(text).render(**values)
    except jinja2.TemplateError as error:
        error.add_note(text)
        raise


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Say of what is wrong in the block in which template and line it is.

    Raises: TemplateFault.
    """
    try:
        yield
    except json.JSONDecodeError as error:
        raise TemplateFault(name, error.lineno, f"it is no JSON: {error.msg}.") from error
    except _WRONG as error:
        raise fault_of(name, error) from error
    except OSError as error:
        raise TemplateFault(name, None, f"it cannot be read: {error.strerror}.") from error


def fault_of(name: str, error: Exception) -> TemplateFault:
    """Return what is wrong with the template that was rendered, or with one that it took in."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return TemplateFault(error.name or name, error.lineno, f"it is no template: {error.message}.")
    if isinstance(error, jinja2.TemplateNotFound):
        wanted = error.name or name
        return TemplateFault(
            name, None, "there is none." if wanted == name else f"it takes in {wanted}, which is not there."
        )
    where, line = _place_of(name, error)
    return TemplateFault(where, line, f"{str(error).rstrip('.') or type(error).__name__}.")


def _place_of(name: str, error: Exception) -> tuple[str, int | None]:
    """Return the template and line at which an error was raised: that of the innermost one."""
    found: tuple[str, int | None] = (name, None)
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        for folder in (_Folders.operators, _ROOT):
            if folder and file.suffix != ".py" and file.is_relative_to(folder):
                found = (file.relative_to(folder).as_posix(), trace.tb_lineno)
        trace = trace.tb_next
    notes = getattr(error, "__notes__", ())
    if found[1] is None and notes:
        found = (name, line_of(notes[0], _text_of(name)))
    return found


def line_of(text: str, source: str) -> int | None:
    """Return the line of a text of JSON, in whatever way it is written there."""
    written = [json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True)]
    at = max(source.find(one) for one in written)
    return None if at < 0 else source.count("\n", 0, at) + 1
