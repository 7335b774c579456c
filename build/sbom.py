"""What is in an image, and the software bill of materials that says so: CycloneDX, by its own library. Pure.

What an image holds is listed inside of it (`templates/build/inventory.py`), where nothing of it is trusted: a line that
is no package is left out. The same image always has the same bill, byte for byte.

Source: https://cyclonedx.org/docs/1.6/json/, https://github.com/package-url/purl-spec
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import ExternalReference, ExternalReferenceType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

INVENTORY_FOLLOWS = "--- inventory ---"

PackageType = Literal["deb", "pypi", "conda", "cran"]

_MOST_PACKAGES = 20_000
_NAME = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9+._-]{0,200}\Z")
_VERSION = re.compile(r"\A[!-~]{1,200}\Z")


@dataclass(frozen=True, order=True)
class Package:
    """A package that an image holds. `name` is normalised as its index does it."""

    type: PackageType
    name: str
    version: str


def inventory_of(lines: Sequence[str]) -> tuple[Package, ...]:
    """Return the packages that were printed behind the last line that says that they follow, up to any other line."""
    if INVENTORY_FOLLOWS not in lines:
        return ()
    begin = len(lines) - lines[::-1].index(INVENTORY_FOLLOWS)
    found: set[Package] = set()
    for line in lines[begin : begin + _MOST_PACKAGES]:
        if not line.startswith("["):
            break
        if package := _package_of(line):
            found.add(package)
    return tuple(sorted(found))


def _package_of(line: str) -> Package | None:
    try:
        match json.loads(line):
            case [str(kind), str(name), str(version)]:
                fits = kind in get_args(PackageType) and _NAME.match(name) and _VERSION.match(version)
                return Package(kind, name, version) if fits else None  # type: ignore[arg-type]
            case _:
                return None
    except (ValueError, RecursionError):
        return None


def sbom_of(
    inventory: Iterable[Package],
    *,
    image: str,
    digest: str,
    source: str,
    revision: str,
    created: datetime,
    version: str,
    suite: str,
) -> bytes:
    """Return the bill of materials of an image: JSON, UTF-8.

    `source` is the repository's address, `revision` the commit that was built, `created` its time; `version` is ours,
    and `suite` the Debian release that `deb` packages are of.
    """
    root = Component(
        name=image,
        type=ComponentType.CONTAINER,
        version=digest,
        bom_ref=f"{image}@{digest}",
        external_references=[ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(source))],
        properties=[Property(name="org.opencontainers.image.revision", value=revision)],
    )
    tool = Component(name="binder", type=ComponentType.APPLICATION, version=version, bom_ref=f"binder@{version}")
    metadata = BomMetaData(component=root, timestamp=created)
    metadata.tools.components.add(tool)
    components = [_component(package, suite) for package in sorted(set(inventory))]
    bom = Bom(components=components, metadata=metadata, serial_number=uuid5(NAMESPACE_URL, f"{image}@{digest}"))
    bom.register_dependency(root, components)
    outputter = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    return outputter.output_as_string(indent=2).encode()


def _component(package: Package, suite: str) -> Component:
    purl = purl_of(package, suite)
    return Component(name=package.name, version=package.version, purl=purl, bom_ref=purl.to_string())


def purl_of(package: Package, suite: str) -> PackageURL:
    """Return the address by which the world knows a package."""
    is_debian = package.type == "deb"
    return PackageURL(
        type=package.type,
        namespace="debian" if is_debian else None,
        name=package.name,
        version=package.version,
        qualifiers={"distro": suite} if is_debian else None,
    )
