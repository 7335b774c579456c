"""The list of an image's packages, and the bill of materials that is made of it."""

import json
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import jsonschema_rs
import pytest

from build.sbom import Package, package_of, purl_of, sbom_of

SCHEMAS = files("cyclonedx.schema") / "_res"
BOOKWORM = Package("os", "debian", "bookworm")
INVENTORY = (
    BOOKWORM,
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
    (system,) = (part for part in bill["components"] if part["type"] == "operating-system")
    assert (system["name"], system["version"]) == ("debian", "bookworm")
    assert {part["purl"] for part in bill["components"] if part != system} == {
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


@pytest.mark.parametrize(
    ("package", "system", "purl"),
    [
        (Package("pypi", "ruamel-yaml", "0.18"), BOOKWORM, "pkg:pypi/ruamel-yaml@0.18"),
        (Package("deb", "git", "1"), Package("os", "ubuntu", "noble"), "pkg:deb/ubuntu/git@1?distro=noble"),
        (Package("deb", "git", "1"), None, "pkg:deb/debian/git@1"),
        (Package("apk", "git", "2.40-r0"), Package("os", "alpine", "3.18.2"), "pkg:apk/alpine/git@2.40-r0"),
        (Package("apk", "git", "2.40-r0"), None, "pkg:apk/alpine/git@2.40-r0"),
    ],
)
def test_a_package_is_known_by_the_system_that_it_is_of(package: Package, system: Package | None, purl: str) -> None:
    assert purl_of(package, system).to_string() == purl


def test_a_line_of_a_list_is_a_package() -> None:
    assert package_of('["deb", "git", "1:2.39.5-0+deb12u2"]') == Package("deb", "git", "1:2.39.5-0+deb12u2")


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
    assert package_of(line) is None
