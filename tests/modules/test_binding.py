"""What a binder.yml asks for becomes a module as a build keeps it, and what a session is told of it."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.errors import RepositoryFault
from build.recipes.options import options_of
from modules.binding import Chosen, choose
from modules.bound import Bound, as_json, from_json, images_of
from modules.catalogue import Catalogue
from modules.parameters import LONGEST_TEXT
from modules.reading import read_module
from modules.services import password_of, services_of
from tests.modules.samples import files_with, postgres

_CATALOGUE = Catalogue().joined([postgres("9.6"), postgres("15"), postgres("15.2"), postgres("1", "mailbox")])
_FILES = {"data/a.sql": "100644", "data/b.tar.csv": "100644", "run": "100755", "link.sql": "120000", "-x.sql": "100644"}


def chosen(text: str, most_bytes: int = 2**32) -> tuple[Chosen, ...]:
    return choose(options_of("binder.yml", text)[0].modules, _CATALOGUE, _FILES, most_bytes)


def bound(text: str) -> Bound:
    (one,) = chosen(text)
    return one.bound(lambda module, image: f"localhost/binder:{module.name}-{image.name}")


def test_what_is_not_said_is_as_usual() -> None:
    module = bound("modules: [postgres]")
    assert (module.version, module.mode, module.seed) == ("15.2", "single-node", None)
    assert module.values == {"database": "binder", "memory": 2**28, "workers": 2, "fast": True, "locale": "C"}
    assert [(one.name, one.image, one.replicas, one.memory_bytes) for one in module.components] == [
        ("server", "localhost/binder:postgres-server", 1, 2**28)
    ]


def test_what_is_said_is_kept_and_comes_back_from_the_row() -> None:
    text = (
        "modules:\n  postgres:\n    version: '9.6'\n    mode: multi-node\n    seed: data/a.sql\n"
        "    parameters: {memory: 512 MiB, workers: 3, fast: false}\n"
    )
    module = bound(text)
    assert (module.version, module.mode, module.memory_bytes) == ("9.6", "multi-node", 2**29 + 3 * 2**26)
    assert module.seed
    assert (module.seed.file, module.seed.command[-1]) == ("./data/a.sql", "{{ file }}")
    assert [(one.name, one.image, one.replicas) for one in module.components] == [
        ("server", "localhost/binder:postgres-server", 1),
        ("worker", None, 3),
    ]
    assert from_json(json.loads(json.dumps(as_json([module])))) == (module,)
    assert images_of(as_json([module])) == {"localhost/binder:postgres-server"}


@pytest.mark.parametrize(
    ("seed", "command"),
    [("data/a.sql", "psql"), ("data/b.tar.csv", "python"), ("run", "{{ file }}"), ("-x.sql", "psql")],
)
def test_a_seed_goes_to_what_takes_it_in(seed: str, command: str) -> None:
    module = bound(f"modules: {{postgres: {{seed: {seed}}}}}")
    assert module.seed
    assert (module.seed.command[0], module.seed.file) == (command, f"./{seed}")


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("modules:\n  - postgrs", 2, r"`postgrs`, which there is not \(is `postgres` meant\?\). There are `mailbox`"),
        ("modules:\n  postgres:\n    version: 14", 3, "version `14` .* There are `15.2`, `15`, `9.6`"),
        ("modules:\n  postgres:\n    mode: multi", 3, "no mode `multi`. It has `single-node`, `multi-node`"),
        ("modules:\n  postgres:\n    parameters:\n      databse: x", 4, r"`databse` \(is `database` meant\?\)"),
        (
            "modules:\n  postgres:\n    parameters:\n      database: X",
            4,
            "it must be a text of at most 200 characters that",
        ),
        ("modules:\n  postgres:\n    parameters:\n      memory: 1 MiB", 4, "from 128 MiB to 4 GiB"),
        ("modules:\n  postgres:\n    seed: data/c.sql", 3, "is no file that the image has"),
        ("modules:\n  postgres:\n    seed: data", 3, "is no file that the image has"),
        ("modules:\n  postgres:\n    seed: link.sql", 3, "is a link or a submodule"),
        ("modules:\n  postgres: {parameters: {memory: 4 GiB}}\n  mailbox:", 2, "ask for 4.25 GiB .* 4 GiB are allowed"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line_and_what_is_allowed(text: str, line: int, problem: str) -> None:
    with pytest.raises(RepositoryFault, match=problem) as caught:
        chosen(text)
    assert (caught.value.file, caught.value.line) == ("binder.yml", line)


def test_where_no_memory_is_allowed_there_are_none() -> None:
    with pytest.raises(RepositoryFault, match="no modules are allowed here"):
        chosen("modules: [postgres]", most_bytes=0)


def test_a_file_that_nothing_takes_in_is_refused() -> None:
    files = files_with(definition=('  "*": ["{{ file }}"]\n', ""))
    catalogue = Catalogue().joined([read_module("postgres", "15", files, origin="x")])
    asked = options_of("binder.yml", "modules:\n  postgres:\n    seed: run")[0].modules
    with pytest.raises(RepositoryFault, match=r"takes in files that end with `\.sql` and files that end with `\.csv`"):
        choose(asked, catalogue, _FILES, 2**32)


@given(st.text(st.characters(codec="utf-8"), max_size=LONGEST_TEXT).filter(str.isprintable))
def test_no_parameter_breaks_out_of_its_place(hostile: str) -> None:
    """Whatever a repository asks for, it is one word of a command, one variable, and escaped in an address."""
    files = files_with(definition=(', pattern: "[a-z][a-z0-9_]{0,30}"', ""))
    catalogue = Catalogue().joined([read_module("postgres", "15", files, origin="x")])
    text = f"modules:\n  postgres:\n    parameters:\n      database: {json.dumps(hostile, ensure_ascii=False)}\n"
    (one,) = choose(options_of("binder.yml", text)[0].modules, catalogue, {}, 2**32)
    (kept,) = from_json(json.loads(json.dumps(as_json([one.bound(lambda *_: "image")]))))
    services = services_of([kept], "token")
    assert services.services[0].command == ("serve", hostile, "0")
    password = password_of("token", "postgres", "password")
    address = f"postgresql://binder:{password}@127.0.0.1:5432/{quote(hostile)}"
    assert services.environment["DATABASE_URL"] == address
    assert set(services.environment) == {"PGHOST", "PGPASSWORD", "DATABASE_URL"}
