"""Keys: a changed input changes them, and nothing else does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from build.plan import BuildPlan, base_layer, lock_key, plan_build
from build.recipe import Recipe
from build.requirements import read_requirements

LOCK = "numpy==1.26.4\n"
TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
BASE = base_layer("bookworm")


def recipe(text: str | None = None, post_build: str | None = None) -> Recipe:
    return Recipe(None if text is None else read_requirements("requirements.txt", text), post_build)


def plan(*, suite: str = "bookworm", lock: str = LOCK, tree: str = TREE, post_build: str | None = None) -> BuildPlan:
    return plan_build(base_layer(suite), recipe(post_build=post_build), lock, tree)


def changed(one: BuildPlan, other: BuildPlan) -> list[str]:
    return [mine.kind for mine, theirs in zip(one.layers, other.layers, strict=True) if mine.key != theirs.key]


def test_layers_lie_on_each_other() -> None:
    assert [layer.kind for layer in plan().layers] == ["base", "environment", "content"]
    assert plan().environment.image == f"localhost/binder/environment:{plan().environment.key}"


def test_a_layer_that_changes_changes_those_above_it_and_no_other() -> None:
    assert changed(plan(), plan()) == []
    assert changed(plan(), plan(tree="0" * 40)) == ["content"]
    assert changed(plan(), plan(post_build="postBuild")) == ["content"]
    assert changed(plan(post_build="postBuild"), plan(post_build="binder/postBuild")) == ["content"]
    assert changed(plan(), plan(lock="numpy==1.26.3\n")) == ["environment", "content"]
    assert changed(plan(), plan(suite="trixie")) == ["base", "environment", "content"]


@given(st.text(), st.text())
def test_every_letter_of_a_lock_counts(one: str, other: str) -> None:
    assume(one != other)
    assert changed(plan(lock=one), plan(lock=other)) == ["environment", "content"]


requirements = st.lists(st.sampled_from(["numpy", "pandas==2.0", "# why", "--pre", ""])).map("\n".join)


@given(requirements, requirements)
def test_what_is_asked_for_is_resolved_once(one: str, other: str) -> None:
    assert (lock_key(BASE, recipe(one)) == lock_key(BASE, recipe(other))) is (one == other)


def test_the_key_of_a_lock_is_that_of_what_was_asked_for() -> None:
    key = lock_key(BASE, recipe("numpy\n"))
    assert key != lock_key(base_layer("trixie"), recipe("numpy\n"))
    assert key == lock_key(BASE, recipe("numpy\n", post_build="postBuild"))
    found = read_requirements("binder/requirements.txt", "numpy\n")
    assert key == lock_key(BASE, Recipe(found, None)), "where the file lies does not matter"
    assert lock_key(BASE, recipe()) == lock_key(BASE, recipe("")), "nothing asked for is nothing asked for"


_KEYS = f"""
from build.plan import base_layer, lock_key, plan_build
from build.recipe import Recipe
recipe = Recipe(None, None)
plan = plan_build(base_layer("bookworm"), recipe, {LOCK!r}, {TREE!r})
print(*(layer.key for layer in plan.layers), lock_key(plan.base, recipe))
"""
_KINDS = ("base", "environment", "content", "lock")
_ROOT = Path(__file__).parents[2]


def _keys(root: Path, env: dict[str, str]) -> dict[str, str]:
    """Return the keys that the packages in a folder make, in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-c", _KEYS],
        cwd=root,
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return dict(zip(_KINDS, done.stdout.split(), strict=True))


def test_no_setting_of_the_host_is_in_a_key() -> None:
    settings = {"PIP_INDEX_URL": "http://10.0.0.1/", "UV_INDEX": "x", "SSL_CERT_FILE": "/x", "TZ": "Asia/Tokyo"}
    assert _keys(_ROOT, {}) == _keys(_ROOT, settings)


@pytest.mark.parametrize(
    ("template", "kinds"),
    [
        ("base.sh", {"base", "environment", "content", "lock"}),
        ("jupyter.txt", {"lock"}),
        ("resolve.sh", {"lock"}),
        ("environment.Containerfile", {"environment", "content"}),
        ("content.Containerfile", {"content"}),
    ],
)
def test_a_key_stands_for_the_text_that_makes_the_layer(template: str, kinds: set[str], tmp_path: Path) -> None:
    for package in ("binder", "build", "templates"):
        shutil.copytree(_ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "templates/build" / template).open("a") as file:
        file.write("# changed\n")
    before, after = _keys(_ROOT, {}), _keys(tmp_path, {})
    assert {kind for kind in _KINDS if before[kind] != after[kind]} == kinds
