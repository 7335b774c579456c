"""The list of an image's packages, and the bill of materials that is made of it."""

import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from build.sbom import INVENTORY_FOLLOWS, Package, inventory_of, purl_of, sbom_of
from templates import source_path

SCHEMAS = files("cyclonedx.schema") / "_res"
INVENTORY = (
    Package("pypi", "numpy", "2.1.0"),
    Package("deb", "libstdc++6", "12.2.0-14+deb12u1"),
    Package("deb", "git", "1:2.39.5-0+deb12u2"),
    Package("conda", "xz", "5.6.2"),
    Package("cran", "R6", "2.5.1"),
)


def _sbom(*packages: Package, **overrides: Any) -> bytes:
    values: dict[str, Any] = {
        "image": "localhost/binder:content-0123456789abcdef0123456789abcdef",
        "digest": "sha256:" + "ab" * 32,
        "source": "https://git.example.org/ada/notebooks",
        "revision": "0123456789abcdef0123456789abcdef01234567",
        "created": datetime(2026, 5, 1, 12, 30, tzinfo=UTC),
        "version": "0.1.0",
        "suite": "bookworm",
    }
    return sbom_of(packages, **values | overrides)


def _schema(name: str) -> Any:
    return json.loads((SCHEMAS / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def validator() -> jsonschema_rs.Draft7Validator:
    """The validator of CycloneDX 1.6, by the schemas that its own library ships."""
    schema = _schema("bom-1.6.SNAPSHOT.schema.json")
    base = schema["$id"].rpartition("/")[0]
    names = ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
    registry = jsonschema_rs.Registry([(f"{base}/{name}", _schema(name)) for name in names])
    return jsonschema_rs.Draft7Validator(schema, registry=registry)


def test_it_is_what_the_schema_says(validator: jsonschema_rs.Draft7Validator) -> None:
    for packages in ((), INVENTORY):
        validator.validate(json.loads(_sbom(*packages)))
    with pytest.raises(jsonschema_rs.ValidationError):
        validator.validate(json.loads(_sbom()) | {"components": [{}]})


def test_it_names_the_image_its_source_and_every_package() -> None:
    bill = json.loads(_sbom(*INVENTORY))
    assert bill["specVersion"] == "1.6"
    assert bill["metadata"]["timestamp"] == "2026-05-01T12:30:00+00:00"
    root = bill["metadata"]["component"]
    assert (root["type"], root["version"]) == ("container", "sha256:" + "ab" * 32)
    assert root["externalReferences"][0]["url"] == "https://git.example.org/ada/notebooks"
    assert root["properties"][0]["value"] == "0123456789abcdef0123456789abcdef01234567"
    assert {part["purl"] for part in bill["components"]} == {
        "pkg:pypi/numpy@2.1.0",
        "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?distro=bookworm",
        "pkg:deb/debian/git@1:2.39.5-0%2Bdeb12u2?distro=bookworm",
        "pkg:conda/xz@5.6.2",
        "pkg:cran/R6@2.5.1",
    }
    (made_of,) = (one["dependsOn"] for one in bill["dependencies"] if one["ref"] == root["bom-ref"])
    assert set(made_of) == {part["bom-ref"] for part in bill["components"]}


def test_the_same_image_has_the_same_bill() -> None:
    assert _sbom(*INVENTORY) == _sbom(*reversed(INVENTORY), *INVENTORY)
    one, other = (json.loads(_sbom(digest="sha256:" + letters * 32)) for letters in ("ab", "cd"))
    assert one["serialNumber"] != other["serialNumber"]


def test_a_python_package_is_known_by_its_normal_name() -> None:
    assert purl_of(Package("pypi", "ruamel-yaml", "0.18"), "bookworm").to_string() == "pkg:pypi/ruamel-yaml@0.18"


def test_the_list_is_read_behind_the_last_line_that_says_that_it_follows() -> None:
    printed = [
        INVENTORY_FOLLOWS,
        '["pypi", "forged", "1"]',
        "a package's own words",
        INVENTORY_FOLLOWS,
        '["pypi", "numpy", "2.1.0"]',
        '["deb", "git", "1:2.39.5-0+deb12u2"]',
        "--- size ---",
        '["pypi", "late", "1"]',
    ]
    assert inventory_of(printed) == (Package("deb", "git", "1:2.39.5-0+deb12u2"), Package("pypi", "numpy", "2.1.0"))
    assert inventory_of(printed[1:3]) == inventory_of([]) == ()


@pytest.mark.parametrize(
    "line",
    [
        "[",
        "[" * 100_000,
        '["pypi", "a"]',
        '["pypi", "a", 1]',
        '["exe", "a", "1"]',
        '["pypi", "", "1"]',
        '["pypi", "../a", "1"]',
        '["pypi", "a", "1 2"]',
        '["pypi", "a", "1\\n"]',
        '["pypi", "\\ud800", "1"]',
    ],
)
def test_a_line_that_is_no_package_is_left_out(line: str) -> None:
    assert inventory_of([INVENTORY_FOLLOWS, line, '["cran", "R6", "2.5.1"]']) == (Package("cran", "R6", "2.5.1"),)


def _installed(folder: Path) -> None:
    trap = "raise SystemExit('what is installed was run')\n"
    site, conda = "env/lib/python3.11/site-packages", "conda/lib/python3.12/site-packages"
    texts: Mapping[str, str] = {
        f"{site}/ruamel.yaml-0.18.dist-info/METADATA": "Name: ruamel.yaml\nVersion: 0.18\n\nName: x",
        f"{site}/old-1.egg-info/PKG-INFO": "Name: Old_Thing\nVersion: 1\n",
        f"{site}/broken-1.dist-info/METADATA": "\xff\x00",
        f"{site}/trap.pth": f"import sys; {trap}",
        f"{site}/json.py": trap,
        f"{conda}/numpy-2.dist-info/METADATA": "Name: numpy\nVersion: 2\n",
        f"{conda}/numpy-2.dist-info/INSTALLER": "conda\n",
        f"{conda}/six-1.dist-info/METADATA": "Name: six\nVersion: 1\n",
        "conda/conda-meta/numpy-2-py312_0.json": '{"name": "numpy", "version": "2", "files": []}',
        "conda/conda-meta/broken.json": "[",
        "conda/conda-meta/trap.json": '{"name": {}, "version": 1}',
        "r/R6/DESCRIPTION": "Package: R6\nVersion: 2.5.1\nDescription: Classes\n    Version: 9\n",
        "r/stats/DESCRIPTION": "Package: stats\nVersion: 4.2\nPriority: base\n",
    }
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="latin-1")


def test_the_list_of_a_folder_says_what_was_installed_and_runs_nothing_of_it(tmp_path: Path) -> None:
    _installed(tmp_path)
    listed = subprocess.run(
        ["/usr/bin/python3", "-I", "-S", source_path("build/inventory.py"), tmp_path],
        cwd=tmp_path / "env/lib/python3.11/site-packages",
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    found = inventory_of(listed.stdout.splitlines())
    assert [one for one in found if one.type != "deb"] == [
        Package("conda", "numpy", "2"),
        Package("cran", "R6", "2.5.1"),
        Package("pypi", "old-thing", "1"),
        Package("pypi", "ruamel-yaml", "0.18"),
        Package("pypi", "six", "1"),
    ]
    assert any(one.name == "base-files" for one in found)  # this machine's own
    assert listed.stderr == ""
