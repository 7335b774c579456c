"""The action's manifest and file: what checkers find in them, and what they take for granted of a runner."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.action.checkers import MANIFEST, by_language_service, by_schema, by_zizmor

FILE = MANIFEST.with_name("binder_action.py")


def test_the_checkers_find_nothing() -> None:
    assert by_schema("actions", [MANIFEST]) == ""
    assert by_zizmor([MANIFEST]) == ""
    assert by_language_service([MANIFEST]) == ""


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        ("schema", ("using: composite", "using: compost")),
        ("service", ("shell: bash", "shell: ${{ nobody.knows }}")),
        ("zizmor", ("        exit 1\n", '        echo "${{ inputs.ref }}"\n')),
    ],
)
def test_the_checkers_find_what_is_wrong(tmp_path: Path, kind: str, broken: tuple[str, str]) -> None:
    assert broken[0] in MANIFEST.read_text()
    file = tmp_path / "action.yml"
    file.write_text(MANIFEST.read_text().replace(*broken))
    check = {"schema": lambda files: by_schema("actions", files), "service": by_language_service, "zizmor": by_zizmor}
    assert check[kind]([file]) != ""


def test_nothing_is_written_into_the_script() -> None:
    (step,) = yaml.safe_load(MANIFEST.read_text())["runs"]["steps"]
    assert "${{" not in step["run"]
    assert set(step["env"].values()) == {
        f"${{{{ inputs.{name} }}}}" for name in yaml.safe_load(MANIFEST.read_text())["inputs"]
    }


def test_the_file_reads_what_the_manifest_gives_and_writes_what_it_promises() -> None:
    manifest = yaml.safe_load(MANIFEST.read_text())
    text = FILE.read_text()
    (step,) = manifest["runs"]["steps"]
    assert set(re.findall(r'"(BINDER_\w+)"', text)) == set(step["env"])
    assert all(f'"{name}"' in text for name in manifest["outputs"])
    assert {one["value"] for one in manifest["outputs"].values()} == {
        f"${{{{ steps.binder.outputs.{name} }}}}" for name in manifest["outputs"]
    }


def test_the_oldest_python_that_is_promised_reads_it() -> None:
    ast.parse(FILE.read_text(), feature_version=(3, 9))
    assert "version_info < (3, 9)" in MANIFEST.read_text()


def test_it_needs_nothing_but_python() -> None:
    tree = ast.parse(FILE.read_text())
    names = {one.module or "" for one in ast.walk(tree) if isinstance(one, ast.ImportFrom)}
    names |= {alias.name for one in ast.walk(tree) if isinstance(one, ast.Import) for alias in one.names}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
