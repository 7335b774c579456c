"""Locks: kept as text, and read again, whoever wrote it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build.lock import Lock, lock_from, lock_text

RECORD = {"url": "https://c.example.org/x-1-0.conda", "sha256": "0" * 64, "name": "x", "version": "1", "build": "0"}
BUILD = {"": Lock("hatchling==1.27.0\n", made_of="one"), "sub": Lock("", made_of="other")}
LOCK = Lock("numpy==1.26.4 \\\n    --hash=sha256:abc\nsix==1.16.0\n", (RECORD,), "made-of-this", BUILD)

lines = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"))
texts = st.lists(lines).map(lambda found: "".join(f"{line}\n" for line in found))
locks = st.builds(
    Lock,
    texts,
    st.lists(st.fixed_dictionaries(dict.fromkeys(RECORD, lines))).map(tuple),
    lines,
    st.none() | st.dictionaries(lines, st.builds(Lock, texts, made_of=lines)),
)


@given(locks)
def test_a_lock_that_is_kept_is_the_same_lock(lock: Lock) -> None:
    assert lock_from(lock_text(lock)) == lock
    lock_text(lock).encode()


def test_a_changed_package_is_a_changed_line() -> None:
    before = lock_text(LOCK).splitlines()
    after = lock_text(replace(LOCK, pypi=LOCK.pypi.replace("1.16.0", "1.17.0"))).splitlines()
    assert [(one, other) for one, other in zip(before, after, strict=True) if one != other] == [
        ('  "six==1.16.0"', '  "six==1.17.0"')
    ]


def test_a_lock_of_before_build_systems_were_locked_is_one() -> None:
    value = json.loads(lock_text(LOCK))
    del value["build"]
    assert lock_from(json.dumps(value)) == replace(LOCK, build=None)


def test_pins_are_the_versions_by_their_usual_names() -> None:
    text = """--find-links wheels
# Of ours==1
Zope.Interface==5.0 ; python_version > "3" \\
    --hash=sha256:0123
uvicorn[standard] == 0.30.1
local @ https://x.example.org/local-1.0-py3-none-any.whl \\
    --hash=sha256:4567
"""
    assert Lock(text).pins == {
        "zope-interface": "5.0",
        "uvicorn": "0.30.1",
        "local": "https://x.example.org/local-1.0-py3-none-any.whl",
    }


def _changed(**values: Any) -> str:
    return json.dumps(json.loads(lock_text(LOCK)) | values)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        "1",
        '"version"',
        "{",
        "[" * 100_000,
        "<<<<<<< HEAD\n" + lock_text(LOCK),
        _changed(version=2),
        _changed(version=None),
        _changed(pypi=None),
        _changed(pypi=1),
        _changed(conda=None),
        _changed(conda=[1]),
        _changed(conda=["url"]),
        _changed(conda=[{}]),
        _changed(conda=[RECORD | {"url": 1}]),
        _changed(conda=[{**RECORD, "sha256": None}]),
        _changed(pypi=["\ud800"]),
        _changed(conda=[RECORD | {"name": "\udfff"}]),
        _changed(made_of="\ud800"),
        _changed(build=None),
        _changed(build=[]),
        _changed(build={"": "hatchling==1.27.0"}),
        _changed(build={"": {"pypi": ["hatchling==1.27.0"]}}),
        _changed(build={"": {"pypi": [1], "made_of": ""}}),
        _changed(build={"": {"pypi": [], "made_of": None}}),
        _changed(build={"\ud800": {"pypi": [], "made_of": ""}}),
        '{"version": 1}',
        '{"version": ' + "9" * 5000 + "}",
    ],
)
def test_what_is_no_lock_is_none(text: str) -> None:
    assert lock_from(text) is None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_whatever_a_lock_holds_is_a_lock_or_none(value: object) -> None:
    for name in ("version", "pypi", "conda", "made_of", "build"):
        found = lock_from(_changed(**{name: value}))
        assert found is None or isinstance(found, Lock)
        if found:
            assert lock_from(lock_text(found)) == found
