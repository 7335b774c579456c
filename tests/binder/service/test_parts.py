"""Which parts may run apart, and what is said to whom may not."""

import pytest

from binder.service.parts import Part, complaints_about_parts
from binder.settings import read_settings

POSTGRESQL = "postgresql+psycopg://binder@db/binder"


@pytest.mark.parametrize(
    ("part", "engine", "registry", "database", "asked_for"),
    [
        ("all", "podman", "", "", []),
        ("proxy", "podman", "", POSTGRESQL, ["BINDER_ENGINE=kubernetes"]),
        ("controller", "podman", "", "", ["BINDER_ENGINE=kubernetes"]),
        ("all", "kubernetes", "registry.test/binder", "", []),
        ("all", "kubernetes", "", "", ["BINDER_REGISTRY"]),
        ("proxy", "kubernetes", "registry.test/binder", "", ["BINDER_DATABASE_URL"]),
        ("controller", "kubernetes", "", "", ["BINDER_DATABASE_URL", "BINDER_REGISTRY"]),
        ("controller", "kubernetes", "registry.test/binder", POSTGRESQL, []),
    ],
)
def test_a_part_is_told_all_that_it_lacks(
    part: Part, engine: str, registry: str, database: str, asked_for: list[str]
) -> None:
    settings = read_settings(engine=engine, registry=registry, database_url=database)
    complaints = complaints_about_parts(part, settings)
    assert len(complaints) == len(asked_for)
    for complaint, name in zip(complaints, asked_for, strict=True):
        assert f"asks for a {name}" in complaint or f"asks for {name}" in complaint
