"""Values meet templates, and cannot get out of the place that they were given."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import templates
from templates import render, render_json, source_path
from templates.faults import TemplateFault

_TEMPLATE = {
    "whole": "{{ value }}",
    "spaced": "{{value}}",
    "part": "a {{ value }} b",
    "{{ key }}": ["{{ value }}", 1, None, True, {"deep": "{{ value }}"}],
    "plain": "no {value} here, nor {% this %}",
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module", autouse=True)
def _templates_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("templates")
    (folder / "t.json").write_text(json.dumps(_TEMPLATE, indent=1))
    (folder / "t.html").write_text("<b title='{{ value }}'>{{ value }}</b>")
    (folder / "t.sh").write_text("echo {{ value|shell }}")
    (folder / "t.txt").write_text("{% if value %}\nyes\n{% endif %}\n{{ value }}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates, "_ROOT", folder)
        templates.use_folder(None)
        yield
    templates.use_folder(None)


@given(json_values)
def test_a_value_of_json_stays_in_its_place_with_its_type(value: object) -> None:
    rendered = render_json("t.json", value=value, key="k")  # type: ignore[arg-type]
    assert isinstance(rendered, dict)
    assert list(rendered) == ["whole", "spaced", "part", "k", "plain"]
    assert rendered["whole"] == rendered["spaced"] == value
    assert type(rendered["whole"]) is type(value)
    assert rendered["k"] == [value, 1, None, True, {"deep": value}]
    assert rendered["plain"] == _TEMPLATE["plain"]


@given(st.text())
def test_text_inside_of_text_is_only_text(value: str) -> None:
    rendered = render_json("t.json", value=value, key="k")
    assert isinstance(rendered, dict)
    assert rendered["part"] == f"a {value} b"


@pytest.mark.parametrize(
    "value", ['", "admin": true, "x": "', "{{ key }}", "{{ 7 * 7 }}", "{% raw %}", '\\"', "\ud800"]
)
def test_hostile_values_are_only_values(value: str) -> None:
    rendered = render_json("t.json", value=value, key=value)
    assert isinstance(rendered, dict)
    assert set(rendered) == {"whole", "spaced", "part", "plain", value}
    assert rendered["whole"] == value


def test_a_name_without_a_value_is_an_error_and_is_named() -> None:
    for name in ("t.json", "t.html", "t.sh", "t.txt"):
        with pytest.raises(TemplateFault, match=f"The template {name} line [123]: 'value' is undefined."):
            (render_json if name.endswith("json") else render)(name, key="k")


@pytest.mark.parametrize("value", ["<script>alert(1)</script>", "' onmouseover='x", "&"])
def test_values_are_escaped_in_pages(value: str) -> None:
    text = render("t.html", value=value)
    assert text.count("<") == 2
    assert text.count("'") == 2


def test_values_are_quoted_for_the_shell() -> None:
    assert render("t.sh", value="a'b; rm -rf /") == """echo 'a'"'"'b; rm -rf /'"""


def test_what_is_for_machines_is_not_escaped_and_has_no_empty_lines() -> None:
    assert render("t.txt", value="<a>") == "yes\n<a>\n"


def test_a_template_lies_where_it_is_said_to() -> None:
    assert source_path("t.sh").exists()


@pytest.mark.parametrize("name", ["../setup.py", "/etc/passwd"])
def test_a_template_is_only_looked_for_here(name: str) -> None:
    with pytest.raises(TemplateFault, match="there is none"):
        render(name)
