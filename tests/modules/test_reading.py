"""Reading the folder of a module: all that it says is known, and each fault has its file and line."""

import pytest

from binder.errors import RepositoryFault
from modules.definition import Page, Parameter
from modules.reading import LARGEST_FILE_BYTES, LARGEST_TEMPLATE_BYTES, MOST_FILES, read_module
from tests.modules.samples import DEFINITION, FILES, SERVER, files_with, postgres

_WHERE = "binder/modules/postgres/15"


def test_a_module_says_all_of_this() -> None:
    module = postgres()
    assert (module.name, module.version, module.title, module.origin) == ("postgres", "15", "PostgreSQL", "the tests")
    assert module.parameters["database"] == Parameter(
        "database", "text", "binder", "The name of the database.", pattern="[a-z][a-z0-9_]{0,30}"
    )
    assert module.parameters["memory"].default == 256 * 2**20
    assert module.parameters["fast"].default is True
    assert module.secrets == ("password",)
    assert module.images["server"].folder == "images/server"
    assert module.components["server"].template["ports"] == {"sql": 5432, "web": 8080}
    assert module.memory == {"server": "memory", "worker": 64 * 2**20}
    assert module.replicas == {"single-node": {"server": 1}, "multi-node": {"server": 1, "worker": "workers"}}
    assert module.client.python == ("psycopg[binary]>=3.2",)
    assert module.client.helpers == {"postgres.py": FILES["client/binder_modules/postgres.py"]}
    assert module.client.files == {"binder-modules/postgres.ipynb": FILES["client/example.ipynb"]}
    assert module.seeds["*"] == ("{{ file }}",)
    assert module.pages == (Page("Statistics", "server", "web", "/stats"),)


def test_its_digest_is_of_every_file() -> None:
    digests = {
        read_module("postgres", "15", files, origin="x").digest
        for files in (FILES, {**FILES, "README.md": b"."}, {**FILES, "images/server/Containerfile": b"FROM base\n\n"})
    }
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ("title: PostgreSQL\n", "", 1, "`title` in .* must be a text"),
        ("title: PostgreSQL", "titel: PostgreSQL", 1, "does not know `titel`"),
        ("database: {kind: text,", "database: {kind: string,", 4, "must be one of text, integer, size, flag, choice"),
        ("database: {", "hosts: {", 4, "`hosts` is a name that"),
        ("default: binder,", "default: Binder,", 4, r"`database` is Binder; it must be a text .* matches `\[a-z\]"),
        ('"[a-z][a-z0-9_]{0,30}"', '"(a+)+"', 4, r"`\(a\+\)\+` cannot be read"),
        ("least: 128 MiB", "least: many", 5, "A bound of `memory`"),
        ("least: 128 MiB", "least: 8 GiB", 5, "between which there is nothing"),
        ('default: "true"', "default: yes", 7, "`fast` is yes; it must be `true` or `false`"),
        ("default: C,", "default: D,", 8, "must be one of `C`, `C.UTF-8`"),
        ("secrets: [password]", "secrets: [database]", 9, "must be a name of its own"),
        ("server: images/server", "server: images/other", 11, "must be the folder `images/server`"),
        (
            "server: images/server",
            "server: {reference: registry.example.org/postgres:15}",
            11,
            "an image by its digest",
        ),
        ("{image: server,", "{image: sever,", 13, "there are `server`, `notebook`"),
        ("memory: memory}", "memory: database}", 13, "must be a size such as"),
        ("single-node: {server: 1}", "single-node: {server: 0}", 16, "a number from 1 to 20"),
        ("single-node: {server: 1}", "single-node: {sever: 1}", 16, "does not know `sever`"),
        ("single-node: {server: 1}", "single-node: {server: 10, worker: 11}", 16, "more than 20 containers"),
        ("worker: workers", "worker: memory", 17, "a number from 1 to 20, or a parameter"),
        ("  single-node: {server: 1}\n", "", 16, "must say in `modes` what there is in `single-node`"),
        ('"psycopg[binary]>=3.2"', '"psycopg @ https://example.org/x.whl"', 19, "not from an address"),
        ("[postgresql-client]", '["a; rm -rf /"]', 20, "is no package of Debian"),
        ("PGHOST:", "LD_PRELOAD:", 22, "is a variable that only Binder sets"),
        ("PGHOST:", "P-G:", 22, "is no name of a variable"),
        ("{{ hosts.server }}:5432", "{{ hosts.worker }}:5432", 24, "which not every mode has"),
        ("[psql, --set,", '[psql, "{{ password }}", --set,', 26, "asks for `password`"),
        ("{{ database | urlencode }}", "{{ data }}", 24, "asks for `data`"),
        ("{{ database | urlencode }}", "{{ 7 * 7 }}", 24, "is a place for a value"),
        ("{{ database | urlencode }}", "{% for x in y %}", 24, "holds `{%`"),
        ("{{ database | urlencode }}", "{{ hosts }}", 24, "two parts"),
        ("{{ database | urlencode }}", "{{{ database }}}", 24, "is a place for a value"),
        (".sql: [psql", "sql: [psql", 26, "must be a suffix"),
        ('"*": ["{{ file }}"]', '"*": []', 28, "must be a command"),
        ("port: web", "port: www", 30, "at the port `www`"),
        ("path: /stats", "path: stats", 30, "must begin with a slash"),
        ("title: PostgreSQL", "title: [", 3, "is not valid YAML"),
    ],
)
def test_a_fault_names_file_and_line(old: str, new: str, line: int, problem: str) -> None:
    files = files_with(definition=(old, new))
    with pytest.raises(RepositoryFault, match=problem) as caught:
        read_module("postgres", "15", files, origin="x", folder=_WHERE)
    assert (caught.value.file, caught.value.line) == (f"{_WHERE}/module.yml", line)


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ('"command"', '"comand"', 2, "does not know `comand`"),
        ('"serve", "{{ database }}"', '"serve", 7', 2, "must be a command"),
        ("{{ database }}", "{{ databse }}", 2, "asks for `databse`"),
        (
            "{{ database }}",
            "{{ hosts.worker }}",
            None,
            "asks for `hosts.worker`, which there is not in the mode single-node",
        ),
        ("{{ database }}", "{{ ''.__class__ }}", 2, "is a place for a value"),
        ("{{ database }}", "{{ password }}", 2, "everybody who sees processes would see"),
        ("127.0.0.1", "{{ password }}", 5, "everybody who sees processes would see"),
        ('"PASSWORD"', '"PASS WORD"', 3, "is no name of a variable"),
        ("5432", "80", 4, "from 1024 to 65535"),
        ("5432", '"{{ workers }}"', 4, "from 1024 to 65535"),
        ("5432", "5432.5", 4, "whole number"),
        ('"pg_isready", "-h", "127.0.0.1"', "", 5, "must have `health`"),
        ("60", "3600", 6, "from 1 to 600"),
        ("0.5", "NaN", None, "NaN is no number"),
        ("/var/lib/postgresql", "/var/../etc", 8, "must be a folder of the container's own"),
        ("/var/lib/postgresql", "/proc", 8, "must be a folder of the container's own"),
        ('"seconds": 60', '"cpus": 1', None, "has the key 'cpus' twice"),
        ('"seconds": 60,', '"seconds": 60', 7, "is not JSON"),
    ],
)
def test_a_fault_of_a_component_names_file_and_line(old: str, new: str, line: int | None, problem: str) -> None:
    assert old in SERVER
    files = files_with({"components/server.json": SERVER.replace(old, new)})
    with pytest.raises(RepositoryFault, match=problem) as caught:
        read_module("postgres", "15", files, origin="x", folder=_WHERE)
    assert (caught.value.file, caught.value.line) == (f"{_WHERE}/components/server.json", line)


@pytest.mark.parametrize(
    ("changes", "file", "problem"),
    [
        ({"components/server.json": None}, "module.yml", "is not there"),
        ({"module.yml": None}, "module.yml", "so it is no module"),
        ({"images/server/Containerfile": None}, "module.yml", "with a Containerfile in it"),
        ({"notes.txt": "x"}, "notes.txt", "belongs to nothing"),
        ({"components/other.json": "{}"}, "components/other.json", "belongs to nothing"),
        ({"client/other.py": "x"}, "client/other.py", "is laid into no image"),
        ({"client/example.ipynb": "{"}, "client/example.ipynb", "is no notebook"),
        ({"client/example.ipynb": "[" * 100_000}, "client/example.ipynb", "is no notebook"),
        ({"components/server.json": "[" * 20_000}, "components/server.json", "nested too deeply"),
        ({"README.md": "x" * (LARGEST_FILE_BYTES + 1)}, "README.md", "larger than 1 MiB"),
        ({"module.yml": "#" * (LARGEST_TEMPLATE_BYTES + 1)}, "module.yml", "larger than 32 KiB"),
        (
            {"components/server.json": " " * (LARGEST_TEMPLATE_BYTES + 1)},
            "components/server.json",
            "larger than 32 KiB",
        ),
    ],
)
def test_a_fault_of_the_folder_names_the_file(changes: dict[str, str | None], file: str, problem: str) -> None:
    with pytest.raises(RepositoryFault, match=problem) as caught:
        read_module("postgres", "15", files_with(changes), origin="x", folder=_WHERE)
    assert caught.value.file == f"{_WHERE}/{file}"


@pytest.mark.parametrize("path", ["../module.yml", "/etc/passwd", "images/server/a\nb"])
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(RepositoryFault, match="which no module may have"):
        read_module("postgres", "15", {**FILES, path: b""}, origin="x")


def test_too_many_files_are_refused() -> None:
    files = {**FILES, **{f"images/server/{number}": b"" for number in range(MOST_FILES)}}
    with pytest.raises(RepositoryFault, match="more than a module may"):
        read_module("postgres", "15", files, origin="x")


@pytest.mark.parametrize("name", ["Postgres", "post_gres", "a" * 21, "-a", "a-", "", "1a"])
def test_a_name_is_a_label(name: str) -> None:
    with pytest.raises(RepositoryFault, match="the folder of no module"):
        read_module(name, "15", FILES, origin="x")


@pytest.mark.parametrize("version", ["latest", "15-rc1", "", "1.2.3.4.5", "1..2"])
def test_a_version_is_of_numbers(version: str) -> None:
    with pytest.raises(RepositoryFault, match="is of no version"):
        read_module("postgres", version, FILES, origin="x")


def test_a_definition_that_is_no_text_is_refused_with_its_line() -> None:
    files = {**FILES, "module.yml": DEFINITION.encode() + b"\n\xff"}
    with pytest.raises(RepositoryFault, match="is not UTF-8") as caught:
        read_module("postgres", "15", files, origin="x")
    assert caught.value.line == DEFINITION.count("\n") + 2
