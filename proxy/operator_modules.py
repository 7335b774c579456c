"""The modules that may be asked for, told to operators: in the words of `binder modules list --json`. Pure."""

from collections.abc import Mapping
from typing import Any

from modules.catalogue import Catalogue
from modules.definition import Module
from modules.parameters import allowed_of, said


def modules_told(catalogue: Catalogue) -> list[Mapping[str, Any]]:
    """Return all modules, by name, and the highest version of each first."""
    return [_told(module) for module in catalogue.all()]


def _told(module: Module) -> Mapping[str, Any]:
    return {
        "name": module.name,
        "version": module.version,
        "title": module.title,
        "summary": module.summary,
        "origin": module.origin,
        "modes": [*module.replicas],
        "parameters": [
            {
                "name": one.name,
                "kind": one.kind,
                "default": said(one, one.default),
                "allowed": allowed_of(one),
                "summary": one.summary,
            }
            for one in module.parameters.values()
        ],
        "seeds": [*module.seeds],
    }
