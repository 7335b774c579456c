"""The modules that Binder brings: each is whole, says what it is, and stands beside its other versions."""

import ast
import json
from typing import Any

import pytest

from modules.catalogue import built_in
from modules.definition import Module

_SHIPPED = built_in().all()
_HELPER, _EXAMPLE = "client/binder_modules/", "client/example.ipynb"

pytestmark = pytest.mark.parametrize("module", _SHIPPED, ids=lambda module: f"{module.name}-{module.version}")


def test_each_has_both_modes_a_helper_and_an_example(module: Module) -> None:
    assert set(module.replicas) == {"single-node", "multi-node"}
    assert f"{_HELPER}{module.name}.py" in module.files
    assert _EXAMPLE in module.files
    assert module.seeds
    assert module.client.environment


def test_an_example_is_a_notebook_that_has_not_been_run(module: Module) -> None:
    notebook: Any = json.loads(module.files[_EXAMPLE])
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    cells = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells) > 4
    for cell in cells:
        if cell["cell_type"] == "code":
            assert (cell["execution_count"], cell["outputs"]) == (None, [])
            ast.parse("".join(cell["source"]))
    assert f"from binder_modules import {module.name}" in "".join("".join(cell["source"]) for cell in cells)


def test_versions_have_one_helper_and_one_way_to_be_asked(module: Module) -> None:
    """Who moves to another version changes nothing but its number."""
    newest = built_in().find(module.name)
    assert newest
    path = f"{_HELPER}{module.name}.py"
    assert module.files[path] == newest.files[path]
    assert module.parameters == newest.parameters
    assert dict(module.client.environment) == dict(newest.client.environment)


def test_a_helper_speaks_for_itself(module: Module) -> None:
    tree = ast.parse(module.files[f"{_HELPER}{module.name}.py"])
    assert f"from binder_modules import {module.name}" in (ast.get_docstring(tree) or "")
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    public = [one for one in functions if not one.name.startswith("_")]
    assert public
    assert all(ast.get_docstring(one) and one.returns for one in public)
    assert all(argument.annotation for one in functions for argument in one.args.args)
