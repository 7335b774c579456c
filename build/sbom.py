"""What is in an image, and the software bill of materials that says so: CycloneDX, by its own library. Pure.

What an image holds is listed by `build.inventory`, from files that may say anything: a line that is no package is left
out. The same image always has the same bill, byte for byte.

Source: https://cyclonedx.org/docs/1.6/json/, https://github.com/package-url/purl-spec
"""

import json
import re
from collections.abc import Iterable
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

PackageType = Literal["os", "apk", "deb", "pypi", "conda", "cran"]

_SYSTEMS = {"deb": "debian", "apk": "alpine"}
"""Whose packages they are where the system does not say what it is."""

_NAME = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9+._-]{0,200}\Z")
_VERSION = re.compile(r"\A[!-~]{1,200}\Z")


@dataclass(frozen=True, order=True)
class Package:
    """A package that an image holds. `name` is normalised as its index does it.

    The system itself is one too (`os`): its version is its release's name, or its number where there is none.
    """

    type: PackageType
    name: str
    version: str


def package_of(line: str) -> Package | None:
    """Return the package that a line of a list says, None where it says none."""
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
) -> bytes:
    """Return the bill of materials of an image: JSON, UTF-8.

    `source` is the repository's address, `revision` the commit that was built, `created` its time; `version` is ours.
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
    packages = sorted(set(inventory))
    system = next((package for package in packages if package.type == "os"), None)
    components = [_component(package, system) for package in packages]
    bom = Bom(components=components, metadata=metadata, serial_number=uuid5(NAMESPACE_URL, f"{image}@{digest}"))
    bom.register_dependency(root, components)
    outputter = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    return outputter.output_as_string(indent=2).encode()


def _component(package: Package, system: Package | None) -> Component:
    if package.type == "os":
        kind, reference = ComponentType.OPERATING_SYSTEM, f"os:{package.name}@{package.version}"
        return Component(name=package.name, version=package.version, type=kind, bom_ref=reference)
    purl = purl_of(package, system)
    return Component(name=package.name, version=package.version, purl=purl, bom_ref=purl.to_string())


def purl_of(package: Package, system: Package | None) -> PackageURL:
    """Return the address by which the world knows a package that is in a system."""
    namespace = _SYSTEMS.get(package.type)
    return PackageURL(
        type=package.type,
        namespace=system.name if system and namespace else namespace,
        name=package.name,
        version=package.version,
        qualifiers={"distro": system.version} if system and package.type == "deb" else None,
    )
