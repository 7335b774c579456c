"""What a binder.yml says under `modules`: read with its lines, and anything else refused with its line."""

import pytest

from binder.errors import RepositoryFault
from build.recipes.options import options_of
from modules.asked import AskedModule


def read(text: str) -> tuple[AskedModule, ...]:
    return options_of("binder.yml", text)[0].modules


def test_a_list_is_of_names() -> None:
    found = read("modules:\n  - postgres\n  - redis\n")
    assert [(one.name, one.name.line, one.version, one.parameters) for one in found] == [
        ("postgres", 2, None, {}),
        ("redis", 3, None, {}),
    ]


def test_a_table_says_more() -> None:
    text = (
        "modules:\n  postgres:\n    version: 15\n    mode: multi-node\n    seed: a.sql\n    parameters:\n      a: 1\n"
        "  redis:\n"
    )
    postgres, redis = read(text)
    assert (postgres.version, postgres.mode, postgres.seed, postgres.parameters) == (
        "15",
        "multi-node",
        "a.sql",
        {"a": "1"},
    )
    assert next(iter(postgres.parameters)).line == 7
    assert redis == AskedModule("binder.yml", redis.name)


def test_a_version_alone_is_enough() -> None:
    (one,) = read('modules: {postgres: "15"}')
    assert one.version == "15"


@pytest.mark.parametrize("text", ["modules:", "modules: []", "modules: {}", "as_of: commit-date"])
def test_nothing_is_none(text: str) -> None:
    assert read(text) == ()


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("modules: postgres", 1, "must be a list of names, or a table"),
        ("modules:\n  - [a]", 2, "must be a list of names, or a table"),
        ("modules:\n  - a\n  - a", 3, "names `a` twice"),
        ("modules:\n  - Postgres", 2, "`Postgres`, which is no name of a module"),
        ("modules:\n  - ../etc", 2, "is no name of a module"),
        ("modules:\n  a: [1]", 2, "must be empty, a version, or a table"),
        ("modules:\n  a:\n    vresion: 1", 3, "does not know `vresion`. It may say `version`, `mode`"),
        ("modules:\n  a:\n    version: [1]", 3, "must be one text or number"),
        ("modules:\n  a:\n    parameters: [1]", 3, "must be a table"),
        ("modules:\n  a:\n    parameters:\n      b: {c: d}", 4, "must be one text or number"),
        ("modules: [" + ", ".join("abcdefghi") + "]", 1, "asks for more than 8 modules"),
    ],
)
def test_anything_else_is_refused_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(RepositoryFault, match=problem) as caught:
        read(text)
    assert (caught.value.file, caught.value.line) == ("binder.yml", line)
