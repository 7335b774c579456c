"""`binder why`, run as an operator does."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from binder.lifecycle import BuildState
from binder.store import Store, open_store
from binder.store.tables import Build
from tests.binder.rows import SHA, add_repository

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SIBLING = SHA[:7] + "f" * 33


@pytest.fixture
async def operators_store(tmp_path: Path) -> AsyncIterator[Store]:
    """The store of a service whose state is in the test's folder."""
    async with open_store(f"sqlite+aiosqlite:///{tmp_path / 'binder.db'}") as store:
        yield store


async def why(folder: Path, *arguments: str) -> tuple[int | None, str, str]:
    """Run the command, and return its exit code, what it printed and what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "binder", "why", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "BINDER_STATE_DIR": str(folder), "COLUMNS": "120"},
    )
    async with asyncio.timeout(60):
        output, complaint = await process.communicate()
    return process.returncode, output.decode(), complaint.decode()


async def add_failed_build(store: Store, name: str, sha: str) -> None:
    repository = await add_repository(store, name)
    fault = {
        "party": "repository",
        "message": "No [bold]such\x1b[2J package.",
        "file": "a.txt",
        "line": 3,
        "step": None,
    }
    times = {"queued_at": NOON, "finished_at": NOON + timedelta(seconds=2)}
    async with store.write() as session:
        session.add(Build(repository_id=repository.id, sha=sha, state=BuildState.FAILED, fault=fault, **times))


async def test_a_commit_is_told_of_by_its_first_letters(operators_store: Store, tmp_path: Path) -> None:
    await add_failed_build(operators_store, "notebooks", SHA)
    code, told, complaint = await why(tmp_path, SHA[:7].upper())
    assert (code, complaint) == (0, "")
    assert told.startswith(f"ada/notebooks (github.com)  {SHA}\n")
    assert "2026-01-01 12:00:02  2.0 s  Build 1 failed" in told
    assert "No [bold]such [2J package." in told
    assert "\x1b" not in told


async def test_it_is_told_to_programs(operators_store: Store, tmp_path: Path) -> None:
    await add_failed_build(operators_store, "notebooks", SHA)
    _, told, _ = await why(tmp_path, SHA, "--json")
    answer = json.loads(told)
    assert (answer["host"], answer["repository"], answer["sha"]) == ("github.com", "ada/notebooks", SHA)
    first, last = answer["events"]
    assert (first["at"], first["after_seconds"]) == ("2026-01-01T12:00:00+00:00", None)
    assert last == {
        "at": "2026-01-01T12:00:02+00:00",
        "after_seconds": 2,
        "kind": "build",
        "what": "Build 1 failed",
        "details": ["a.txt line 3", "No [bold]such [2J package.", "the repository's fault"],
        "tone": "wrong",
        "reference": "build 1",
    }


async def test_what_is_meant_by_few_letters_is_asked(operators_store: Store, tmp_path: Path) -> None:
    await add_failed_build(operators_store, "notebooks", SHA)
    await add_failed_build(operators_store, "other", SIBLING)
    code, told, complaint = await why(tmp_path, SHA[:7])
    assert (code, told) == (2, "")
    assert "Several commits begin with 0123456: give more letters, or --repository." in complaint
    assert f"{SHA}  ada/notebooks (github.com)" in complaint
    assert f"{SIBLING}  ada/other (github.com)" in complaint
    assert (await why(tmp_path, SHA[:8]))[0] == 0
    code, told, _ = await why(tmp_path, SHA[:7], "--repository", "ADA/other")
    assert (code, told.split()[2]) == (0, SIBLING)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fffffff"], "Nothing is stored about a commit fffffff:"),
        ([SHA, "--repository", "ada/nowhere"], f"Nothing is stored about a commit {SHA} of ada/nowhere:"),
        (["main"], "'main' is no commit"),
        ([SHA, "--repository", "nobody"], "'nobody' is no repository: give it as OWNER/NAME."),
    ],
)
async def test_what_is_not_known_is_said(
    operators_store: Store, tmp_path: Path, arguments: list[str], says: str
) -> None:
    await add_failed_build(operators_store, "notebooks", SHA)
    code, told, complaint = await why(tmp_path, *arguments)
    assert (code, told) == (2, "")
    assert says in complaint
