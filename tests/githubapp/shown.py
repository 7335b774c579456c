"""Rows as GitHub is told of them, without a store."""

from datetime import UTC, datetime, timedelta
from typing import Any

from binder.lifecycle import BuildState
from binder.store.tables import Build, Preview, Repository
from githubapp.reports import Addresses, CommitFacts

SHA, NEWER, BASE = "abc1234" + "0" * 33, "def5678" + "0" * 33, "ba5e000" + "0" * 33
NOW = datetime(2026, 1, 1, tzinfo=UTC)
REPOSITORY = Repository(id=1, owner="ada", name="demo")
ADDRESSES = Addresses("https://binder.example.org", "https://github.com")
PAGE = "https://binder.example.org/builds/7"
LINK = f"https://binder.example.org/v2/gh/ada/demo/{SHA}?urlpath=lab"
THREE: list[dict[str, Any]] = [
    {"kind": kind, "key": "k", "reused": kind != "content"} for kind in ("base", "environment", "content")
]


def preview(kind: str = "pull", *, live: bool = True, head: str = SHA, **more: Any) -> Preview:
    """Return a pull request or a branch."""
    values = {"facts": {}, "choices": {}, "from_fork": False, **more}
    return Preview(id=3, kind=kind, ref="12", live=live, head_sha=head, **values)


def build(state: BuildState, *, seconds: float | None = 12.0, **more: Any) -> Build:
    """Return a build, which took so long."""
    ends = {"started_at": NOW, "finished_at": NOW + timedelta(seconds=seconds)} if seconds is not None else {}
    return Build(id=7, sha=SHA, state=state, **{**ends, **more})


def facts(row: Build | None, *previews: Preview) -> CommitFacts:
    """Return what is known of the commit, whose head these previews are."""
    return CommitFacts(REPOSITORY, SHA, row, previews)
