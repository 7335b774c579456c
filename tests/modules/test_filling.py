"""Templates of modules: a value gets into its place, whatever it holds, and nothing but a place is a template."""

from urllib.parse import unquote

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.filling import TemplateError, check_places, fill, fill_text, hosts_in, names_in
from templates import Json

_HOSTILE = st.one_of(
    st.text(),
    st.sampled_from(["{{ secret }}", "{% for x in y %}", "}}", "\n", '"', "'; DROP", "$(id)", "\\", "{{", "\0", "a b"]),
)


@given(_HOSTILE, _HOSTILE)
def test_no_value_breaks_out_of_its_place(one: str, other: str) -> None:
    template: Json = {"command": ["a", "{{ one }}", "x={{ one }}/{{ other }}"], "environment": {"A": "{{ other }}"}}
    filled = fill(template, {"one": one, "other": other, "secret": "never"})
    assert filled == {"command": ["a", one, f"x={one}/{other}"], "environment": {"A": other}}


@given(st.text(st.characters(codec="utf-8")))
def test_in_an_address_a_value_is_escaped(value: str) -> None:
    filled = fill_text(
        "db://u:{{ value | urlencode }}@{{ hosts.server }}/x", {"value": value, "hosts": {"server": "h"}}
    )
    assert filled.startswith("db://u:")
    assert filled.endswith("@h/x")
    inner = filled.removeprefix("db://u:").removesuffix("@h/x")
    assert not set(inner) & set("@:?#[] \n\"'<>")
    assert unquote(inner) == value


@pytest.mark.parametrize(
    "template",
    [
        "{{ 7 * 7 }}",
        "{{ name.upper() }}",
        "{{ ''.__class__ }}",
        "{{ name|upper }}",
        "{{ hosts['server'] }}",
        "{{ hosts.server.x }}",
        "{{ hosts }}",
        "{{ name.server }}",
        "{% set x = 1 %}",
        "{# hidden #}",
        "{{ name",
        "name }}",
        "{{{ name }}}",
        "{{{{ name }}",
        "{{ name }}}",
        "{{\nname }}",
        "{{ Name }}",
    ],
)
def test_nothing_but_a_place_is_a_template(template: str) -> None:
    with pytest.raises(TemplateError):
        check_places({"a": [template]})
    with pytest.raises(TemplateError):
        fill({template: 1}, {"name": "x", "hosts": {"server": "h"}})


@given(st.text("{}%# name|.hosts", max_size=30))
def test_whatever_is_taken_can_be_filled(template: str) -> None:
    try:
        check_places(template)
    except TemplateError:
        return
    values: dict[str, Json] = dict.fromkeys(names_in(template), "v") | {"hosts": dict.fromkeys(hosts_in(template), "h")}
    fill(template, values)


def test_a_value_that_is_not_given_is_named() -> None:
    with pytest.raises(jinja2.UndefinedError, match="name"):
        fill_text("{{ name }}", {})


def test_a_whole_place_keeps_its_type() -> None:
    assert fill({"port": "{{ port }}", "text": "{{ port }}!"}, {"port": 5}) == {"port": 5, "text": "5!"}
    assert names_in(["{{ a }}{{ hosts.b }}"]) == {"a", "hosts"}
