"""Folders of modules that a stranger wrote: what is in them is a module that works, or a fault with its file."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binder.errors import RepositoryFault
from modules.checking import check_folder
from modules.definition import Module
from modules.describing import module_page
from modules.reading import read_module
from tests.modules.samples import DEFINITION, FILES, SERVER
from tests.modules.test_checking import written

_PIECES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            *(
                "{{ database }}",
                "{{ hosts.worker }}",
                "{{ password }}",
                "{{ index }}",
                "{% x %}",
                "{{",
                "}}",
                "{{ hosts }}",
            ),
            *(
                "[]",
                "{}",
                "null",
                "~",
                "true",
                "-1",
                "0",
                "1e9",
                "99999999999999999999",
                "NaN",
                "1.5",
                '"',
                "'",
                "\n",
                "\t",
            ),
            *(
                "- a",
                "a: b",
                "&x",
                "*x",
                "!!python/object:os.system",
                "<<: *x",
                "server",
                "worker",
                "notebook",
                "memory",
            ),
            *("kind: text", "../", "/etc/passwd", "\0", "\ud7ff", "1 EiB", "4 GiB", ".sql", "(a+)+$", "[a-z]{999}"),
        ]
    ),
)


@st.composite
def _files(draw: st.DrawFn) -> dict[str, bytes]:
    """Return the files of a good module with a few pieces of one put in the place of others."""
    path = draw(st.sampled_from(["module.yml", "module.yml", "components/server.json", "client/example.ipynb"]))
    text = FILES[path].decode()
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.integers(0, 30)))
        text = text[:begin] + draw(_PIECES) + text[end:]
    return {**FILES, path: text.encode(errors="replace")}


def _read(files: Mapping[str, bytes]) -> Module | str:
    """Return the module, or the file at fault."""
    try:
        return read_module("postgres", "15", files, origin="x")
    except RepositoryFault as fault:
        return fault.file or ""


@settings(max_examples=400)
@given(_files())
def test_what_is_changed_anyhow_is_a_module_or_a_fault(files: dict[str, bytes]) -> None:
    found = _read(files)
    assert found.startswith("postgres/15/") if isinstance(found, str) else module_page([found])


@settings(max_examples=200)
@given(files=_files())
def test_what_is_taken_can_be_started(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    """All templates of all modes are filled, with each bound of the parameters: nothing is found out by a session."""
    folder = tmp_path_factory.mktemp("m")
    (checked,) = check_folder(written(folder / "postgres/15", files))
    assert (checked.module is None) == bool(checked.problem)
    if checked.module:
        assert set(checked.modes) == set(checked.module.replicas)


@given(st.text(), st.binary(max_size=200))
def test_any_text_is_read_or_refused(text: str, data: bytes) -> None:
    for content in (text.encode(errors="replace"), data, f"title: {json.dumps(text)}".encode(errors="replace")):
        for path in ("module.yml", "components/server.json"):
            found = _read({**FILES, path: content})
            assert isinstance(found, Module) or found == f"postgres/15/{path}"


def test_a_deep_or_long_file_is_refused_soon() -> None:
    for path, text in (
        ("module.yml", "a: " + "[" * 10_000),
        ("module.yml", DEFINITION + "\n" + "x: y\n" * 100_000),
        ("components/server.json", SERVER.replace("60", "9" * 100_000)),
        ("components/server.json", SERVER.replace('"serve"', ", ".join(['"a"'] * 1000))),
        ("components/server.json", SERVER.replace("serve", "a" * 100_000)),
    ):
        assert _read({**FILES, path: text.encode()}) == f"postgres/15/{path}"
