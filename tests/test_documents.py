"""The documentation says what the code says."""

from binder.settings import Settings
from tests.cli_document import cli_page, commands
from tests.documents import (
    ROOT,
    architecture_page,
    chart_rights,
    chart_schema,
    documented_settings,
    module_pages,
    settings_page,
)
from tests.templates_document import templates_page


def test_each_setting_says_what_it_is_for() -> None:
    assert set(documented_settings()) == set(Settings.model_fields)


def test_the_page_of_settings_is_drawn_from_them() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page(), "run `make docs`"


def test_the_life_cycles_are_drawn_from_their_tables() -> None:
    current = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert current == architecture_page(current), "run `make docs`"


def test_the_chart_knows_each_setting() -> None:
    current = (ROOT / "deploy" / "chart" / "values.schema.json").read_text(encoding="utf-8")
    assert current == chart_schema(current), "run `make docs`"


def test_the_chart_allows_what_the_controller_asks_for_and_no_more() -> None:
    assert (ROOT / "deploy" / "chart" / "files" / "rights.json").read_text(encoding="utf-8") == chart_rights()


def test_the_pages_of_modules_are_drawn_from_their_definitions() -> None:
    folder = ROOT / "docs" / "modules"
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")} == module_pages(), "make docs"


def test_the_page_of_commands_is_drawn_from_them() -> None:
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == cli_page(), "run `make docs`"


def test_the_page_of_templates_is_drawn_from_them() -> None:
    assert (ROOT / "docs" / "templates.md").read_text(encoding="utf-8") == templates_page(), "run `make docs`"


def test_each_command_has_an_example_and_a_help() -> None:
    for typed, command in commands():
        assert command.help, typed
        assert command.examples, typed
        assert all(example.split()[: len(typed.split())] == typed.split() for example in command.examples), typed
