"""Keys: a changed input changes them, and nothing else does."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from build.commits.git import Commit
from build.commits.sources import Source
from build.commits.tree import Entry
from build.foundations import foundation_of
from build.lock import Lock
from build.plan import (
    EVERYBODYS,
    asked_key,
    base_layer,
    build_asked_key,
    build_lock_key,
    containerfile_layer,
    content_layer,
    debian_packages,
    environment_family,
    environment_layer,
    in_namespace,
    lock_key,
    lock_tags,
    namespaces_for,
    prepared_layer,
    system_layer,
    time_of,
    to_resolve,
)
from build.recipes.debian import PYTHON_OF_SUITE
from build.recipes.recipe import Recipe, paths_to_read, recipe_for

SOURCE = "https://git.example.org/ada/tides"
RECORD = {"url": "https://c.example.org/x.conda", "sha256": "0" * 64, "name": "x", "version": "1", "build": "0"}
LOCK = Lock("numpy==1.26.4\n")
POST_BUILD = "#!/bin/sh\n"
DECLARED = {"postBuild": POST_BUILD, "binder.yml": "post_build: {inputs: [data]}\n", "data/a.csv": "1", "a.ipynb": "{}"}


def commit_of(files: Mapping[str, str], *, time: int = 1_700_000_000, sha: str = "a" * 40) -> Commit:
    """Return a commit of files, of which those without an ending are executable."""
    entries = {
        path: Entry(
            "100644" if "." in path else "100755", len(text), sha1(text.encode(), usedforsecurity=False).hexdigest()
        )
        for path, text in files.items()
    }
    listing = json.dumps(entries, sort_keys=True).encode()
    return Commit(sha, sha1(listing, usedforsecurity=False).hexdigest(), time, entries)


def recipe_of(files: Mapping[str, str]) -> Recipe:
    """Return what files ask for."""
    listed, texts = commit_of(files).files, dict[str, str]()
    while missing := paths_to_read(listed, texts):
        texts |= {path: files[path] for path in missing}
    return recipe_for(listed, texts, tuple(PYTHON_OF_SUITE.values()))


def layers_of(
    files: Mapping[str, str] | None = None,
    *,
    suite: str = "bookworm",
    lock: Lock = LOCK,
    source: str = SOURCE,
    **made: Any,
) -> dict[str, str]:
    """Return the keys of the layers of a commit's image by kind; of one that is not asked for, the one below it."""
    files = files or {}
    recipe, commit = recipe_of(files), commit_of(files, **made)
    base = base_layer(suite)
    system = system_layer(base, debian_packages(recipe))
    environment = environment_layer(system, lock, {})
    prepared = prepared_layer(environment, recipe, commit.files)
    content = content_layer(prepared, source, commit, {path: one.pypi for path, one in (lock.build or {}).items()})
    kinds = ("base", "system", "environment", "prepared", "content")
    return dict(zip(kinds, (one.key for one in (base, system, environment, prepared, content)), strict=True))


def changed(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return [kind for kind in one if one[kind] != other[kind]]


def asked_of(files: Mapping[str, str], *, time: int = 1_700_000_000, tree: str = "t") -> str:
    at = datetime.fromtimestamp(time, UTC)
    return lock_key(base_layer("bookworm"), to_resolve(recipe_of(files), at, tree))


def test_a_layer_that_is_not_asked_for_is_the_one_below_it() -> None:
    found = layers_of({"a.ipynb": "{}", "postBuild": POST_BUILD})
    assert found["system"] == found["base"]
    assert found["prepared"] == found["environment"]


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({}, []),
        ({"source": f"{SOURCE}-of-others"}, ["content"]),
        ({"sha": "b" * 40}, ["content"]),
        ({"time": 1_800_000_000}, ["content"]),
        ({"files": DECLARED | {"a.ipynb": "[]"}}, ["content"]),
        ({"files": DECLARED | {"more.txt": ""}}, ["content"]),
        ({"files": DECLARED | {"data/a.csv": "2"}}, ["prepared", "content"]),
        ({"files": DECLARED | {"data/b.csv": ""}}, ["prepared", "content"]),
        ({"files": DECLARED | {"postBuild": "#!/bin/bash\n"}}, ["prepared", "content"]),
        ({"lock": Lock("numpy==1.26.3\n")}, ["environment", "prepared", "content"]),
        ({"lock": Lock(LOCK.pypi, (RECORD,))}, ["environment", "prepared", "content"]),
        ({"lock": replace(LOCK, made_of="of other files")}, []),
        ({"lock": replace(LOCK, build={"": Lock("hatchling==1.27.0\n")})}, ["content"]),
        ({"files": DECLARED | {"apt.txt": "tree\n"}}, ["system", "environment", "prepared", "content"]),
        ({"suite": "trixie"}, ["base", "system", "environment", "prepared", "content"]),
    ],
)
def test_a_layer_that_changes_changes_those_above_it_and_no_other(change: dict[str, Any], kinds: list[str]) -> None:
    assert changed(layers_of(DECLARED), layers_of(**{"files": DECLARED, **change})) == kinds


@given(st.text(), st.text())
def test_every_letter_of_a_lock_counts(one: str, other: str) -> None:
    assume(one != other)
    found = changed(layers_of(lock=Lock(one)), layers_of(lock=Lock(other)))
    assert found == ["environment", "prepared", "content"]


@given(st.dictionaries(st.sampled_from(["data/a.csv", "data/b.csv", "other/a.csv", "a.ipynb"]), st.sampled_from("12")))
def test_a_post_build_that_says_what_it_reads_is_run_for_that_alone(files: dict[str, str]) -> None:
    before, after = layers_of(DECLARED), layers_of(DECLARED | files)
    touched = any(DECLARED.get(path) != text for path, text in files.items() if path.startswith("data/"))
    assert (before["prepared"] != after["prepared"]) is touched
    assert before["environment"] == after["environment"]


def test_what_decides_which_packages_r_gets_counts() -> None:
    base = base_layer("bookworm")
    keys = {
        environment_layer(base, LOCK, of_r, variables).key
        for of_r in ({}, {"r.sh": "1"}, {"r.sh": "2"})
        for variables in ({}, {"A": "1"}, {"A": "2"}, {"B": "1"})
    }
    assert len(keys) == 12


def test_debians_packages_are_those_of_all_who_need_some() -> None:
    assert debian_packages(recipe_of({"apt.txt": "tree\njq\n"})) == ("jq", "tree")
    plain = debian_packages(recipe_of({"runtime.txt": "r-4.2-2024-05-31"}))
    compiled = debian_packages(recipe_of({"runtime.txt": "r-4.2-2024-05-31", "install.R": ""}))
    assert set(plain) < set(compiled)
    base = base_layer("bookworm")
    assert len({system_layer(base, ["jq"], preferred).key for preferred in ((), ("r-cran-x",))}) == 2


def test_environments_of_one_family_differ_only_in_their_packages() -> None:
    base = base_layer("bookworm")
    assert environment_family(base) == environment_family(base_layer("bookworm"))
    assert environment_family(base) != environment_family(base_layer("trixie"))
    assert environment_family(base) != environment_family(system_layer(base, ["jq"]))


def test_nothing_is_called_otherwise_that_everybody_may_have() -> None:
    layer, family = base_layer("bookworm"), environment_family(base_layer("bookworm"))
    namespaces = namespaces_for(Source(SOURCE), has_credentials=False)
    assert namespaces == EVERYBODYS
    assert (in_namespace(namespaces.kept, layer), environment_family(layer, namespaces.taken)) == (layer, family)
    assert lock_tags("k", namespaces) == ("lock-k", "lock-k")


def test_what_needs_credentials_is_kept_from_those_who_get_none() -> None:
    own = namespaces_for(Source(SOURCE), has_credentials=True)
    fork = namespaces_for(Source(SOURCE, trusted=False), has_credentials=True)
    assert (own.with_credentials, own.is_trusted, fork.with_credentials, fork.is_trusted) == (True, True, False, False)
    assert not set(lock_tags("k", own)) & set(lock_tags("k", fork))
    assert own.taken not in {fork.taken, fork.kept}
    assert fork == namespaces_for(Source(SOURCE, trusted=False), has_credentials=False)


def test_forks_of_each_repository_keep_what_they_make_apart() -> None:
    names = [namespaces_for(Source(url, trusted=False), has_credentials=False) for url in (SOURCE, f"{SOURCE}-2")]
    layers = {in_namespace(name, base_layer("bookworm")).key for one in names for name in (one.taken, one.kept)}
    assert len(layers) == 3
    assert all(lock_tags("k", one)[0] == "lock-k" for one in names), "they may take what is everybody's"


def test_packages_of_debian_that_need_no_password_are_everybodys() -> None:
    recipe = recipe_of({"apt.txt": "tree\n"})
    sources = (Source(SOURCE), Source(SOURCE, trusted=False))
    by_host = {
        has: [foundation_of("bookworm", recipe, (), namespaces_for(one, has_credentials=has)) for one in sources]
        for has in (False, True)
    }
    assert by_host[False][0] == by_host[False][1] == by_host[True][1]
    assert by_host[True][0].with_credentials
    assert by_host[True][0].system != by_host[True][1].system
    assert by_host[True][0].base == by_host[True][1].base


requirements = st.lists(st.sampled_from(["numpy", "pandas==2.0", "# why", ""])).map("\n".join)


@given(requirements, requirements)
def test_what_is_asked_for_is_resolved_once(one: str, other: str) -> None:
    keys = [asked_of({"requirements.txt": text}) for text in (one, other)]
    assert (keys[0] == keys[1]) is (one == other)


@pytest.mark.parametrize(
    "files",
    [
        {"requirements.txt": "six\n"},
        {"requirements.txt": "numpy\n", "binder.yml": "as_of: 2024-05-31\n"},
        {"requirements.txt": "-r more.txt\n", "more.txt": "numpy\n"},
        {"requirements.txt": "-c bounds.txt\nnumpy\n", "bounds.txt": "numpy<2\n"},
        {"requirements.txt": "--extra-index-url https://index.example.org/simple\nnumpy\n"},
        {"environment.yml": "dependencies: [numpy]\n"},
        {"environment.yml": "channels: [bioconda]\ndependencies: [numpy]\n"},
        {},
    ],
)
def test_all_that_is_asked_for_counts(files: Mapping[str, str]) -> None:
    asked = {"requirements.txt": "numpy\n"}
    assert asked_of(files) != asked_of(asked)
    at = datetime(2024, 1, 1, tzinfo=UTC)
    keys = {asked_key("bookworm", to_resolve(recipe_of(one), at, "")) for one in (files, asked)}
    assert len(keys) == 2


def test_what_is_not_asked_for_does_not() -> None:
    asked = {"requirements.txt": "numpy\n"}
    for more in ({"postBuild": POST_BUILD}, {"start": POST_BUILD}, {"apt.txt": "tree\n"}, {"a.ipynb": "{}"}):
        assert asked_of(asked | more) == asked_of(asked)
    assert asked_of(asked, time=1_800_000_000, tree="other") == asked_of(asked)


def test_the_day_counts_where_the_packages_of_a_day_are_asked_for() -> None:
    day = {"binder.yml": "as_of: commit-date\n"}
    assert asked_of(day) != asked_of(day, time=1_800_000_000)
    fixed = {"binder.yml": "as_of: 2024-05-31\n"}
    assert asked_of(fixed) == asked_of(fixed, time=1_800_000_000)
    at = datetime(2025, 1, 2, 3, tzinfo=UTC)
    assert to_resolve(recipe_of(day), at, "").newest == at
    assert to_resolve(recipe_of(fixed), at, "").newest == datetime(2024, 6, 1, tzinfo=UTC), "that day is part of it"
    assert to_resolve(recipe_of({}), at, "").newest is None


def test_the_tree_counts_where_it_is_read() -> None:
    built = {"setup.py": "from setuptools import setup; setup()\n"}
    assert recipe_of(built).python.reads_tree
    assert asked_of(built, tree="one") != asked_of(built, tree="other")


def _of_build_system(
    files: Mapping[str, str], *, time: int = 1_700_000_000, python: str | None = None
) -> tuple[str, str]:
    """Return the keys of what the repository itself is built with: as asked for, and as resolved."""
    recipe = recipe_of(files)
    asked, system = to_resolve(recipe, datetime.fromtimestamp(time, UTC), "t"), recipe.python.build_systems[""]
    return build_asked_key("bookworm", asked, system), build_lock_key(base_layer("bookworm"), asked, system, python)


_PROJECT = {"pyproject.toml": "[build-system]\nrequires = ['hatchling']\n[project]\nname = 'x'\n"}


@pytest.mark.parametrize(
    "more",
    [
        {"pyproject.toml": _PROJECT["pyproject.toml"].replace("hatchling", "hatchling>1")},
        {"binder.yml": "as_of: 2024-05-31\n"},
        {"requirements.txt": "--extra-index-url https://index.example.org/simple\n"},
    ],
)
def test_all_that_a_project_is_built_with_counts(more: Mapping[str, str]) -> None:
    one, other = _of_build_system(_PROJECT), _of_build_system({**_PROJECT, **more})
    assert (one[0] != other[0], one[1] != other[1]) == (True, True)


def test_what_a_project_is_built_with_is_resolved_once_for_all_who_ask_alike() -> None:
    one = _of_build_system(_PROJECT)
    needs = {"pyproject.toml": _PROJECT["pyproject.toml"] + "dependencies = ['six']\n", "requirements.txt": "numpy\n"}
    assert _of_build_system(needs, time=1_800_000_000) == one
    assert _of_build_system(_PROJECT, python="3.12.1")[1] != one[1]
    day = _PROJECT | {"binder.yml": "as_of: commit-date\n"}
    assert _of_build_system(day)[1] != _of_build_system(day, time=1_800_000_000)[1]


def test_what_a_project_is_built_with_is_not_asked_of_the_environment() -> None:
    other = _PROJECT | {"pyproject.toml": _PROJECT["pyproject.toml"].replace("hatchling", "flit_core")}
    assert asked_of(other) == asked_of(_PROJECT)


def test_a_dockerfile_is_one_layer_of_its_commit() -> None:
    commit = commit_of({"Dockerfile": "FROM scratch\n"})
    layer = containerfile_layer(SOURCE, commit)
    assert layer == containerfile_layer(SOURCE, commit)
    others = [replace(commit, sha="b" * 40), replace(commit, tree="c" * 40)]
    keys = {
        layer.key,
        containerfile_layer("https://x", commit).key,
        *(containerfile_layer(SOURCE, one).key for one in others),
    }
    assert len(keys) == 4


@given(st.integers(-(2**70), 2**70))
def test_a_commit_of_any_time_has_one_that_a_layer_can_hold(time: int) -> None:
    at = time_of(commit_of({}, time=time))
    assert at == time or at in {0, 4_102_444_800}
    datetime.fromtimestamp(at, UTC)


_LAYERS = ("base", "system", "environment", "prepared", "content")
_KINDS = (*_LAYERS, "conda", "lock", "conda-lock", "build-lock", "containerfile")
_ROOT = Path(__file__).parents[2]
_KEYS = """
from tests.build.test_plan import *
from tests.build.test_plan import _PROJECT, _of_build_system
layers = layers_of(DECLARED | {"apt.txt": "tree"})
conda = environment_layer(base_layer("bookworm"), Lock("", (RECORD,)), {}).key
locks = asked_of({}), asked_of({"environment.yml": "dependencies: [numpy]"})
built = _of_build_system(_PROJECT)[1]
print(*layers.values(), conda, *locks, built, containerfile_layer(SOURCE, commit_of({})).key)
"""


def _keys(root: Path, env: dict[str, str]) -> dict[str, str]:
    """Return the keys that the packages in a folder make, in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-c", _KEYS],
        cwd=root,
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(_KINDS, done.stdout.decode().split(), strict=True))


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return _keys(_ROOT, {})


def test_no_setting_of_the_host_is_in_a_key(before: dict[str, str]) -> None:
    settings = {"PIP_INDEX_URL": "http://10.0.0.1/", "UV_INDEX": "x", "SSL_CERT_FILE": "/x", "TZ": "Asia/Tokyo"}
    assert _keys(_ROOT, settings) == before


_ABOVE = {"environment", "prepared", "content"}


@pytest.mark.parametrize(
    ("template", "kinds"),
    [
        ("base.sh", {"base", "system", "conda", "lock", "conda-lock", "build-lock", *_ABOVE}),
        ("system.sh", {"system", *_ABOVE}),
        ("jupyter.txt", {"lock", "conda-lock"}),
        ("resolve.sh", {"lock", "conda-lock", "build-lock"}),
        ("conda.py", {"conda", "conda-lock"}),
        ("environment.sh", {"conda", *_ABOVE}),
        ("environment.Containerfile", {"conda", *_ABOVE}),
        ("content.sh", {"prepared", "content"}),
        ("content.Containerfile", {"prepared", "content"}),
    ],
)
def test_a_key_stands_for_the_text_that_makes_the_layer(
    template: str, kinds: set[str], before: dict[str, str], tmp_path: Path
) -> None:
    for package in ("binder", "build", "templates", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "samples", "golden")
        shutil.copytree(_ROOT / package, tmp_path / package, ignore=ignored)
    with (tmp_path / "templates/build" / template).open("a") as file:
        file.write("# changed\n")
    after = _keys(tmp_path, {})
    assert {kind for kind in _KINDS if before[kind] != after[kind]} == kinds
