"""The words of the comment on a pull request."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from binder.lifecycle import BuildState
from binder.store.queries import ACTIVE_BUILDS
from binder.store.tables import Build, Preview
from githubapp.comments import MARKER, Comparison, comment_of, state_of_comment
from githubapp.heads import WAITS_FOR_APPROVAL
from tests.githubapp.shown import ADDRESSES, BASE, LINK, NEWER, PAGE, SHA, THREE, build, facts, preview

COMMIT = f"Commit [`abc1234`](https://github.com/ada/demo/commit/{SHA})"
CHANGES = {"base_ref": "main", "base_sha": BASE, "notebooks": ["a.ipynb", "b/c.ipynb"]}


def comment(row: Build | None, of: Preview | None = None, **comparison: Any) -> str:
    pull = of or preview()
    return comment_of(facts(row, pull), pull, Comparison(**comparison), ADDRESSES)


def sized(seconds: float, size: int) -> Build:
    layers = [one | {"bytes": size} for one in THREE]
    return build(BuildState.SUCCEEDED, seconds=seconds, result={"layers": layers})


def test_a_preview_that_is_ready() -> None:
    assert comment(build(BuildState.SUCCEEDED, result={"layers": THREE})) == (
        f"{MARKER}\n"
        f"**The preview is ready** · [Open the notebook]({LINK})\n"
        "\n"
        f"{COMMIT} · 12 s, 2 of 3 layers re-used · [Log of the build]({PAGE})\n"
    )


def test_the_notebooks_that_change_stand_next_to_their_base() -> None:
    here, base = LINK.removesuffix("urlpath=lab"), LINK.removesuffix("urlpath=lab").replace(SHA, BASE)
    text = comment(sized(12, 400_000_000), preview(facts=CHANGES), base=sized(53, 390_000_000))
    assert text == (
        f"{MARKER}\n"
        f"**The preview is ready** · [Open the notebook]({here}labpath=a.ipynb)\n"
        "\n"
        "Notebooks that change here:\n"
        "\n"
        f"- [` a.ipynb `]({here}labpath=a.ipynb) · [before]({base}labpath=a.ipynb)\n"
        f"- [` b/c.ipynb `]({here}labpath=b/c.ipynb) · [before]({base}labpath=b/c.ipynb)\n"
        "\n"
        "| | before | here | difference |\n"
        "|---|--:|--:|--:|\n"
        "| Image | 1.2 GB | 1.2 GB | +30 MB |\n"
        "| Build | 53 s | 12 s | \N{EN DASH}41 s |\n"
        "\n"
        f"{COMMIT} · 12 s, 2 of 3 layers re-used · [Log of the build]({PAGE})\n"
    )


def test_what_is_the_same_is_said_to_be_and_what_is_not_known_is_not_said() -> None:
    assert "| Image | 1.2 GB | 1.2 GB | none |" in comment(sized(12, 400_000_000), base=sized(12, 400_000_000))
    unknown = comment(build(BuildState.SUCCEEDED, seconds=None, result={"layers": THREE}), base=sized(12, 4))
    assert "difference" not in unknown


def test_many_notebooks_are_counted() -> None:
    many = preview(facts={"notebooks": [f"{number}.ipynb" for number in range(23)]})
    text = comment(build(BuildState.SUCCEEDED), many)
    assert text.count("- [`") == 20
    assert "- and 3 more\n" in text


def test_the_comment_says_what_became_of_the_preview() -> None:
    assert "The preview is being built" in comment(build(BuildState.QUEUED, seconds=None))
    assert "The preview was removed" in comment(build(BuildState.SUCCEEDED), preview(live=False))
    stopped = build(BuildState.SUPERSEDED, fault={"message": "Superseded by def5678"})
    assert "The preview was not built**\n\n` Superseded by def5678 `\n" in comment(stopped)


def test_a_failure_leads_to_the_log_and_to_the_last_one_that_worked() -> None:
    fault = {"party": "repository", "message": "no", "file": "apt.txt", "line": 2}
    assert comment(build(BuildState.FAILED, fault=fault), good=NEWER) == (
        f"{MARKER}\n"
        "**The preview could not be built**\n"
        "\n"
        "` apt.txt line 2: no `\n"
        "\n"
        f"The last preview that works: [commit `def5678`]({LINK.replace(SHA, NEWER)})\n"
        "\n"
        f"{COMMIT} · [Log of the build]({PAGE}#at-fault)\n"
    )


def test_a_fork_waits_and_the_comment_says_how_it_is_allowed() -> None:
    text = comment(None, preview(from_fork=True, held=WAITS_FOR_APPROVAL))
    assert "**The preview waits for approval**" in text
    assert f"```\n/ok-to-test {SHA}\n```" in text
    assert text.endswith(f"\n\n{COMMIT}\n")


def test_a_commit_that_is_held_says_why() -> None:
    text = comment(None, preview(held="none of its files are among the paths of binder.yml"), good=NEWER)
    assert "**The newest commit is not built**\n\n` none of its files are among" in text
    assert "The last preview that works: [commit `def5678`]" in text


def test_the_last_comment_stays_the_same_whatever_is_built_later() -> None:
    gone = preview(live=False)
    text = f"{MARKER}\n**The preview was removed: the pull request is closed**\n\n{COMMIT}\n"
    assert {comment(build(state), gone, good=NEWER) for state in BuildState} == {text}
    assert {state_of_comment(facts(build(state), gone), gone) for state in BuildState} == {"removed"}


@pytest.mark.parametrize("state", [state for state in BuildState if state is not BuildState.SUCCEEDED])
def test_only_a_preview_that_is_ready_has_a_link(state: BuildState) -> None:
    assert "/v2/gh/" not in comment(build(state), preview(facts=CHANGES))
    assert "/v2/gh/" not in comment(build(BuildState.SUCCEEDED), preview(live=False, facts=CHANGES))


def test_the_state_stays_the_same_while_a_build_goes_on_and_changes_with_the_base() -> None:
    pull = preview()
    going = [build(state, result=result) for state in ACTIVE_BUILDS for result in (None, {"layers": THREE})]
    assert len({state_of_comment(facts(row, pull), pull) for row in going}) == 1
    retargeted = preview(facts={"base_sha": BASE})
    states = {
        state_of_comment(facts(row, of), of)
        for row in (build(BuildState.BUILDING), build(BuildState.SUCCEEDED))
        for of in (pull, retargeted)
    }
    assert len(states) == 4


@given(st.text(max_size=100), st.text(max_size=30))
def test_a_fault_cannot_write_into_the_comment(message: str, file: str) -> None:
    fault = {"party": "repository", "message": message, "file": file, "line": 1}
    tokens = MarkdownIt("commonmark").parse(comment(build(BuildState.FAILED, fault=fault)))
    assert [token.type for token in tokens if token.nesting >= 0] == [
        "html_block",
        *("paragraph_open", "inline") * 3,
    ]
    html, *inlines = (token for token in tokens if token.type in {"html_block", "inline"})
    assert html.content.strip() == MARKER
    title, quoted, links = ([child.type for child in inline.children or []] for inline in inlines)
    assert quoted == ["code_inline"]
    assert "html_inline" not in title + links
    assert links.count("link_open") == 2


@given(st.text(min_size=1, max_size=60))
def test_a_notebooks_name_cannot_write_into_the_comment(name: str) -> None:
    text = comment(build(BuildState.SUCCEEDED), preview(facts={"notebooks": [name], "base_sha": BASE}))
    tokens = MarkdownIt("commonmark").parse(text)
    children = [child.type for token in tokens for child in token.children or []]
    assert children.count("link_open") == 5
    assert children.count("code_inline") == 2
    assert not {"html_inline", "image", "em_open", "softbreak"} & set(children)
