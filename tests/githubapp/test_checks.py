"""The words, notes and buttons of a check run."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from binder.lifecycle import BuildState
from binder.store.tables import Build, Preview
from githubapp.checks import check_of, ended_check
from githubapp.heads import WAITS_FOR_APPROVAL
from githubapp.values import Check
from tests.githubapp.shown import ADDRESSES, LINK, NEWER, PAGE, SHA, THREE, build, facts, preview

FAULT = {"party": "repository", "message": "no version of nosuchpackage", "file": "requirements.txt", "line": 3}
RESULT = {
    "way": "delta",
    "why": "An earlier environment differs only in numpy and pandas: those were exchanged.",
    "layers": [one | {"bytes": 400_000_000, "seconds": 12.0} for one in THREE],
    "saved": {"bytes": 312_000_000, "seconds": 41},
    "seconds": {"fetch": 0.31, "environment": 2.2},
    "packages": 143,
    "changed": ["numpy", "pandas"],
}


def check(row: Build | None, *previews: Preview) -> Check:
    shown = check_of(facts(row, *(previews or (preview(),))), ADDRESSES)
    assert shown
    return shown


def test_a_build_on_its_way() -> None:
    queued, building = check(build(BuildState.QUEUED)), check(build(BuildState.BUILDING, result={"layers": THREE}))
    assert (queued.status, queued.conclusion, queued.title) == ("queued", None, "Queued")
    assert (building.status, building.title) == ("in_progress", "Building: 2 of 3 layers re-used")
    assert "| content | new | \N{EN DASH} | \N{EN DASH} |" in building.summary
    assert (queued.details_url, queued.external_id, queued.actions) == (PAGE, "7", [])


def test_success_tells_what_was_done() -> None:
    shown = check(build(BuildState.SUCCEEDED, result=RESULT), preview(facts={"notebooks": ["a.ipynb"]}))
    notebook = LINK.replace("urlpath=lab", "labpath=a.ipynb")
    assert (shown.status, shown.conclusion, shown.title) == ("completed", "success", "Ready in 12 s")
    assert shown.actions == []
    assert (
        shown.summary
        == f"""\
[Open the notebook]({notebook}) of commit `abc1234`.

Changed here:

- [` a.ipynb `]({notebook})

**Packages changed, one layer on the last environment.** An earlier environment differs only in numpy and pandas: \
those were exchanged. Saved 312 MB and 41 s.

Packages exchanged: ` numpy `, ` pandas `.

| Layer | Origin | Size | Time |
|---|---|--:|--:|
| base | re-used | 400 MB | 12 s |
| environment | re-used | 400 MB | 12 s |
| content | made | 400 MB | 12 s |

Image: 1.2 GB. Packages: 143. Took: fetch 0.3 s, environment 2.2 s.

[Log of the build]({PAGE})
"""
    )


def test_success_of_which_nothing_is_known() -> None:
    shown = check(build(BuildState.SUCCEEDED, seconds=None))
    assert shown.title == "Ready"
    assert shown.summary == f"[Open the notebook]({LINK}) of commit `abc1234`.\n\n[Log of the build]({PAGE})\n"


def test_a_failure_is_noted_at_the_line_at_fault() -> None:
    shown = check(build(BuildState.FAILED, fault=FAULT))
    assert shown.title == "Build failed: requirements.txt line 3: no version of nosuchpackage"
    assert shown.conclusion == "failure"
    assert shown.annotations == [
        {
            "path": "requirements.txt",
            "start_line": 3,
            "end_line": 3,
            "annotation_level": "failure",
            "title": "This line",
            "message": "no version of nosuchpackage",
        }
    ]
    assert [one["identifier"] for one in shown.actions] == ["rerun"]
    log = f"[Log of the build]({PAGE}#at-fault)"
    assert shown.summary == f"` requirements.txt line 3: no version of nosuchpackage `\n\n{log}\n"


@pytest.mark.parametrize(
    ("fault", "lines"),
    [({**FAULT, "line": None}, [1]), ({"party": "world", "message": "The index is down."}, []), (None, [])],
)
def test_a_failure_without_a_line(fault: dict[str, Any] | None, lines: list[int]) -> None:
    shown = check(build(BuildState.FAILED, fault=fault))
    assert [one["start_line"] for one in shown.annotations] == lines


def test_a_fork_waits_with_a_button() -> None:
    shown = check(None, preview(from_fork=True, held=WAITS_FOR_APPROVAL))
    assert (shown.status, shown.conclusion, shown.title) == ("completed", "action_required", "Waiting for approval")
    assert [one["identifier"] for one in shown.actions] == ["approve"]
    assert f"```\n/ok-to-test {SHA}\n```" in shown.summary
    assert shown.details_url == "https://github.com/ada/demo/pull/12"


def test_what_was_stopped_can_be_run_again_only_while_somebody_wants_it() -> None:
    stopped = build(BuildState.CANCELLED, fault={"message": "Cancelled: ada asked for it"})
    shown = check(stopped)
    assert (shown.conclusion, shown.title) == ("cancelled", "Cancelled: ada asked for it")
    assert [one["identifier"] for one in shown.actions] == ["rerun"]
    assert check(stopped, preview(live=False)).actions == []


def test_what_is_not_built_is_closed() -> None:
    held = preview(held="[skip binder] is in its message")
    assert check_of(facts(None, held), ADDRESSES) is None
    closed = ended_check(held, SHA)
    assert (closed.conclusion, closed.title) == ("neutral", "Not built: [skip binder] is in its message")
    left = ended_check(preview(head=NEWER), SHA)
    assert (left.conclusion, left.title) == ("cancelled", "Superseded by def5678")


@given(st.text(max_size=3000), st.text(max_size=400), st.sampled_from([None, 1, 10**6]))
def test_everything_fits(message: str, file: str, line: int | None) -> None:
    fault = {"party": "repository", "message": message, "file": file, "line": line}
    many = {"changed": [message[:200]] * 500, "why": message, "layers": THREE}
    rows = [build(BuildState.FAILED, fault=fault, result=many), build(BuildState.SUCCEEDED, result=many)]
    notebooks = preview(facts={"notebooks": [message] * 100})
    for shown in [check(rows[0], notebooks), check(rows[1], notebooks), ended_check(preview(held=message), SHA)]:
        assert len(shown.title) <= 255
        assert len(shown.summary) <= 65_535
        assert len(shown.annotations) <= 50
        assert all(len(note["message"]) <= 2000 for note in shown.annotations)


def test_buttons_fit() -> None:
    rows = [check(build(BuildState.FAILED)), check(None, preview(held=WAITS_FOR_APPROVAL))]
    for action in [action for row in rows for action in row.actions]:
        assert len(action["label"]) <= 20
        assert len(action["description"]) <= 40
        assert len(action["identifier"]) <= 20


@given(st.text(max_size=100), st.text(max_size=60))
def test_nothing_can_be_written_into_the_summary(hostile: str, name: str) -> None:
    fault = {"party": "repository", "message": hostile, "file": name, "line": 1}
    result = {"way": "full", "why": hostile, "layers": THREE, "changed": [name]}
    changes = preview(facts={"notebooks": [name or "x"]})
    summaries = [
        check(build(BuildState.FAILED, fault=fault, result=result)).summary,
        check(build(BuildState.SUCCEEDED, result=result), changes).summary,
    ]
    for summary, links in zip(summaries, (1, 3), strict=True):
        tokens = MarkdownIt("commonmark").enable("table").parse(summary)
        assert not [one for one in tokens if one.type in {"html_block", "heading_open", "fence", "code_block"}]
        children = [child.type for token in tokens for child in token.children or []]
        assert "html_inline" not in children
        assert "image" not in children
        assert children.count("link_open") == links


_NOTEBOOKS = [
    {"id": 4, "path": "a.ipynb", "outcome": "passed", "seconds": 2.0},
    {
        "id": 5,
        "path": "b|c.ipynb",
        "outcome": "failed",
        "seconds": 3.5,
        "message": "Cell 2 failed: E: no",
        "line": 31,
        "traceback": "Cell In[2]\nE: no",
    },
    {"id": 6, "path": "d.ipynb", "outcome": "failed", "seconds": None, "message": "It asks for a kernel."},
]


def test_notebooks_that_run_are_told_and_that_did() -> None:
    running = check(build(BuildState.CHECKING, result={"layers": THREE}, awaits_check=True))
    assert (running.status, running.title) == ("in_progress", "Built \N{EN DASH} running its notebooks")
    done = check(build(BuildState.SUCCEEDED, result={"notebooks": _NOTEBOOKS[:1]}))
    assert "| [` a.ipynb `](https://binder.example.org/builds/7/notebooks/4) | ran | 2.0 s |" in done.summary


def test_each_notebook_that_failed_is_noted_at_its_line_with_its_traceback() -> None:
    fault = {
        "party": "repository",
        "message": "Cell 2 failed: E: no",
        "file": "b|c.ipynb",
        "line": 31,
        "step": "notebook",
    }
    shown = check(build(BuildState.FAILED, fault=fault, result={"notebooks": _NOTEBOOKS}))
    assert shown.title == "Notebook failed: b|c.ipynb line 31: Cell 2 failed: E: no"
    assert [(one["path"], one["start_line"], one["message"]) for one in shown.annotations] == [
        ("b|c.ipynb", 31, "Cell 2 failed: E: no\n\nCell In[2]\nE: no"),
        ("d.ipynb", 1, "It asks for a kernel."),
    ]
    assert r"| [` b\|c.ipynb `](https://binder.example.org/builds/7/notebooks/5) | failed | 3.5 s |" in shown.summary
    html = MarkdownIt("commonmark").enable("table").render(shown.summary)
    assert html.count("<tr>") == 4
