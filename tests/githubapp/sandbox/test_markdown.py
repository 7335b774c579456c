"""Markdown from strangers does no harm."""

import time

import pytest

from githubapp.sandbox.markdown import rendered, without_comments


def test_markdown_is_rendered() -> None:
    assert "<strong>ready</strong>" in rendered("**ready**")
    assert '<a href="https://example.org/">' in rendered("[open](https://example.org/)")
    assert "<table>" in rendered("| a |\n|---|\n| b |")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<scr<!-- -->ipt>alert(1)</script>",
        "<!-- --><iframe src=x>",
    ],
)
def test_html_is_shown_as_text(text: str) -> None:
    assert "<script" not in rendered(text)
    assert "<img" not in rendered(text)
    assert "<iframe" not in rendered(text)


@pytest.mark.parametrize("target", ["javascript:alert(1)", "vbscript:x", "data:text/html,x", "file:///etc/passwd"])
def test_links_run_nothing(target: str) -> None:
    assert "href" not in rendered(f"[x]({target})")


def test_a_hidden_marker_is_not_shown() -> None:
    assert "binder" not in rendered("<!-- binder:preview -->\nReady")
    assert without_comments("a<!-- b -->c<!-- d") == "ac<!-- d"


def test_many_beginnings_take_no_time() -> None:
    started = time.monotonic()
    without_comments("<!--" * 100_000)
    assert time.monotonic() - started < 1
