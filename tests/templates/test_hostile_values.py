"""Hostile values in our own templates, of every kind: each stays in the place that it was given, or is refused.

What is compared is what a reader of the kind makes of the text: with a hostile value it must be what it is with a
harmless one, but for that value.
"""

import contextlib
import re
import shlex
from collections.abc import Callable
from html.parser import HTMLParser
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from githubapp.markdown import code_span, unmarked
from templates import Json, render, render_json
from templates.faults import TemplateFault
from templates.replacing import parameters_of, template_names

SAFE = "harmless"
NASTY = st.sampled_from(
    [
        '", "admin": true, "x": "',
        "{{ 7 * 7 }}",
        "{% include 'haproxy.cfg' %}",
        "'; touch /tmp/broken #",
        "$(touch /tmp/broken)",
        "`id`",
        "a\nRUN id",
        "a\r\nUSER 0",
        "a \\\nb",
        "<script>alert(1)</script>",
        "' onmouseover='x",
        "]]><x>&y;",
        "](https://evil.example) [x",
        "@everyone #1",
        "a\u2028b",
        'a" b',
        "a b",
        "\\",
        "-v",
        "$HOME",
        "",
    ]
)
hostile = NASTY | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
MANIFESTS = [name for name in template_names() if name.startswith("manifests/")]
CONTAINERFILES = [name for name in template_names() if name.endswith("Containerfile")]


def _outline(tree: Json, value: str) -> Json:
    """Return parsed JSON with a mark wherever the value is."""
    if isinstance(tree, dict):
        return {key.replace(value, "#") if value else key: _outline(inner, value) for key, inner in tree.items()}
    if isinstance(tree, list):
        return [_outline(inner, value) for inner in tree]
    return tree.replace(value, "#") if isinstance(tree, str) and value else tree


@pytest.mark.parametrize("name", MANIFESTS)
@given(value=hostile.filter(lambda text: len(text) > 3))
def test_manifests(name: str, value: str) -> None:
    """They are parsed before values are put in; and no value is rendered a second time."""
    safe_one = _outline(render_json(name, **dict.fromkeys(parameters_of(name), SAFE)), SAFE)
    # A value that a text of ours holds anyway marks that text, too.
    assume(_outline(safe_one, value) == safe_one)
    assert _outline(render_json(name, **dict.fromkeys(parameters_of(name), value)), value) == safe_one


@given(value=hostile.filter(lambda text: text != "" and "\0" not in text))
def test_shell_scripts(value: str) -> None:
    for script in (_content_script, _system_script):
        expected = [word.replace(SAFE, value) for word in shlex.split(script(SAFE))]
        assert shlex.split(script(value)) == expected


def _content_script(value: str) -> str:
    """Return the part of the script of content that a repository's own names are in."""
    project = SimpleNamespace(path=value, editable=False)
    text = render(
        "build/content.sh",
        home="/home/binder",
        python="/opt",
        projects=[project],
        manifests={value: value},
        index_options={value: ()},
        uv_options=lambda _: ("--no-config",),
        epoch=1,
        newest=None,
        has_network=False,
        r_package=False,
        post_build=value,
    )
    return "\n".join((_statement(text, r"^install \S"), _statement(text, r"^\(exec ")))


def _system_script(value: str) -> str:
    text = render("build/system.sh", suite="bookworm", packages=[value, "b"], preferred=[value])
    return "\n".join((_statement(text, "^set -- "), _statement(text, "^for name in ")))


def _statement(text: str, begin: str) -> str:
    """Return the line of a script that begins so, and those that it goes on in, within quotes."""
    found = re.search(begin, text, re.MULTILINE)
    assert found
    for end in (place.start() for place in re.finditer(r"\n|\Z", text[found.start() :])):
        statement = text[found.start() :][:end]
        with contextlib.suppress(ValueError):
            shlex.split(statement)
            return statement
    raise AssertionError(f"{begin} has no end")


def _or_refused(make: Callable[[str], list[str]], value: str) -> list[str] | None:
    try:
        return make(value)
    except TemplateFault:
        return None


@pytest.mark.parametrize("name", CONTAINERFILES)
@given(value=hostile)
def test_containerfiles(name: str, value: str) -> None:
    """A value ends no line, so that it is no instruction."""

    def instructions(text: str) -> list[str]:
        values = {
            "parent": text,
            "home": text,
            "postgresql": text,
            "entrypoint": [text],
            "labels": {"a": text},
            "variables": {"A": text},
        }
        rendered = render(name, **{key: values[key] for key in parameters_of(name)})
        return [line.partition(" ")[0] for line in rendered.splitlines()]

    assert _or_refused(instructions, value) in (instructions(SAFE), None)


@given(value=hostile)
def test_haproxys_configuration(value: str) -> None:
    """A value is one word."""

    def words(text: str) -> list[str]:
        quoted = (
            "admin_socket",
            "certificates",
            "http_listen",
            "listen",
            "origin",
            "service_socket",
            "unavailable_page",
        )
        values: dict[str, object] = dict.fromkeys(parameters_of("haproxy.cfg"), "1")
        rendered = render("haproxy.cfg", **(values | dict.fromkeys(quoted, text) | {"sessions_host": ""}))
        return [word for line in rendered.splitlines() for word in _haproxy_words(line)]

    found = _or_refused(words, value or "a")  # nothing at all leaves some lines out
    assert found in ([word.replace(SAFE, value or "a") for word in words(SAFE)], None)


def _haproxy_words(line: str) -> list[str]:
    lexer = shlex.shlex(line.replace("\\$", "$"), posix=True)
    lexer.whitespace_split, lexer.commenters = True, "#"
    return list(lexer)


@pytest.mark.parametrize("name", ["cookie", "scheme", "sessions_host", "connections"])
def test_a_value_that_is_not_quoted_must_be_a_bare_word(name: str) -> None:
    values = dict.fromkeys(parameters_of("haproxy.cfg"), "1")
    with pytest.raises(TemplateFault, match=r"haproxy\.cfg line \d+: 'a b' must be one word"):
        render("haproxy.cfg", **(values | {name: "a b"}))


@given(value=hostile)
def test_scripts_of_r(value: str) -> None:
    need = SimpleNamespace(name=value, relation=">=", version="1", line="1")

    def lines(text: str) -> list[str]:
        need.name = text
        rendered = render("build/r.sh", prefix="/opt", suite="bookworm", snapshot=None, needs=[need], install=False)
        return re.findall(r'"[^"]*"', rendered)

    found = _or_refused(lines, value)
    assert found is None or len(found) == len(lines(SAFE))


class _Tags(HTMLParser):
    """What a browser sees of a page: its tags, with the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, tuple(name for name, _ in attrs)))


def _tags(text: str) -> list[tuple[str, tuple[str, ...]]]:
    parser = _Tags()
    parser.feed(text)
    return parser.seen


@given(value=hostile)
def test_pages(value: str) -> None:
    def page(text: str) -> str:
        error, link = SimpleNamespace(message=text), SimpleNamespace(full_name=text, ref=text, address=text, asked=None)
        of_all = {"nonce": text, "asset": lambda _: text, "version_of": lambda _: None}
        fault = render("pages/fault.html", **of_all, error=error, whose=text, sign_in=text or "s")
        return fault + render("pages/ended.html", **of_all, link=link, reason=text or "r")

    assert _tags(page(value)) == _tags(page(SAFE))


def test_no_page_trusts_a_value() -> None:
    for name in template_names():
        if name.endswith((".html", ".svg", ".xml")):
            text = render_source(name)
            assert not re.search(r"\|\s*safe|autoescape", text), name
            assert not re.search(r"<[^>]*\s[\w-]+=\{\{", text), f"{name} has an attribute without quotes"


def render_source(name: str) -> str:
    """Return a template's own text."""
    from templates import source_path  # noqa: PLC0415

    return source_path(name).read_text(encoding="utf-8")


@given(value=hostile.filter(lambda text: all(one.isprintable() for one in text)))
def test_pictures(value: str) -> None:
    def outline(text: str) -> list[tuple[str, list[str]]]:
        tree = ET.fromstring(render("pages/live_badge.svg", word=text, colour=text, width=100))  # noqa: S314
        return [(one.tag, sorted(one.attrib)) for one in tree.iter()]

    assert outline(value) == outline(SAFE)


@given(value=hostile)
def test_markdown(value: str) -> None:
    """What a repository says is a code span, or words: no link, picture, mark-up or list comes of it."""

    def tokens(text: str) -> list[str]:
        values: dict[str, object] = dict.fromkeys(parameters_of("github/check.md"), "")
        said, name = unmarked(text or "x", 100), code_span(text, 100)
        rendered = render(
            "github/check.md", **(values | {"way": said, "why": said, "notebooks": [(name, "https://a.b/c")]})
        )
        found: list[str] = []
        for token in MarkdownIt("gfm-like", {"linkify": False}).parse(rendered):
            found += [token.type, *(child.type for child in token.children or ())]
        return [one for one in found if one not in {"text", "code_inline"}]

    assert tokens(value) == tokens(SAFE)
