"""Notebooks that have to run before a commit is green: on podman, from a push to GitHub's notes and our pages."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from binder.cli.visit import compute, open_link
from githubapp.sandbox.values import Status
from tests.end_to_end.notebooks import notebook
from tests.stage import REPOSITORY, Stage, running_stage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(600)]


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.split("\n"), 1) if part in line)


PLAIN = notebook("print(6 * 7)", "import math\nroot = math.sqrt(2)", printed={1: "42\n"})
CHECK = """\
check:
  notebooks: ["*.ipynb"]
  timeout: {timeout}
  outputs: compare
  tolerance: 0.01
"""
LEAVES = notebook(
    "import pathlib\nassert not pathlib.Path('left').exists()\nn = pathlib.Path('left').write_text('x')",
    "assert pathlib.Path('beside.txt').read_text() == 'beside', 'it runs in its folder'",
    "print(0.5001)",
    printed={3: "0.5\n"},
)


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def stage(reachable_root: Path) -> AsyncIterator[Stage]:
    """A service, and a repository whose one notebook runs."""
    home = reachable_root / "checks"
    home.mkdir(mode=0o711)
    async with running_stage(home) as stage:
        sha = await stage.push({"index.ipynb": PLAIN, "binder.yml": CHECK.format(timeout="60 s")})
        await green(stage, sha)
        yield stage


async def green(stage: Stage, sha: str) -> Status:
    status = await stage.final_status(sha)
    assert status.state == "success", status.description
    return status


async def test_a_commit_is_green_once_its_notebooks_ran_and_leaves_visitors_nothing(stage: Stage) -> None:
    # Each would fail if it met what the other one left behind.
    files = {"more/a.ipynb": LEAVES, "more/b.ipynb": LEAVES, "more/beside.txt": "beside"}
    sha = await stage.push(files, branch="good")
    status = await green(stage, sha)
    told = {one.description for one in await stage.sandbox.statuses(REPOSITORY, sha=sha)}
    assert "Built \N{EN DASH} running its notebooks" in told
    ((build_id,),) = stage.rows(f"select id from builds where sha = '{sha}'")
    runs = stage.rows(f"select path, outcome, session_id from notebook_runs where build_id = {build_id} order by id")
    assert [run[:2] for run in runs] == [
        ("index.ipynb", "passed"),
        ("more/a.ipynb", "passed"),
        ("more/b.ipynb", "passed"),
    ]
    assert len({run[2] for run in runs}) == 3
    assert not stage.rows(f"select 1 from sessions where id in {tuple(run[2] for run in runs)}")
    assert status.target_url
    visit = await open_link(status.target_url, timeout_seconds=60)
    found = await compute(visit, "import pathlib; print(pathlib.Path('more/left').exists())")
    assert found == "False\n"
    async with httpx.AsyncClient() as client:
        log = (await client.get(f"{stage.url}/builds/{build_id}/log")).text
    assert "==> Running the notebook more/a.ipynb  [" in log
    assert "==> The notebook more/b.ipynb ran in " in log


async def test_what_does_not_run_is_noted_at_its_line(stage: Stage) -> None:
    fails = notebook("x = 1", "def divide():\n    return x / 0\n\ndivide()", "print('never')")
    endless = notebook("print(1)", "import time\nwhile True:\n    time.sleep(0.1)", printed={1: "1\n"})
    differs = notebook("print(0.5)", "print('same')", printed={1: "0.6\n", 2: "same\n"})
    hungry = notebook("x = bytearray(64 * 2**30)")
    dies = notebook("import os\nos._exit(1)")
    files = {
        "binder.yml": CHECK.format(timeout="6 s"),
        "more/changed.ipynb": differs,
        "more/dies.ipynb": dies,
        "more/endless.ipynb": endless,
        "more/fails.ipynb": fails,
        "more/hungry.ipynb": hungry,
    }
    sha = await stage.push(files, branch="bad")
    status = await stage.final_status(sha)
    assert status.state == "failure"
    place = f"more/changed.ipynb line {line_of(differs, 'print(0.5)')}"
    assert (status.description or "").startswith(f"Notebook failed: {place}: Cell 1: The output is not the committed")
    check = await stage.sandbox.wait_for_check(REPOSITORY, sha=sha, name="binder/build", timeout_seconds=60)
    assert check.conclusion == "failure"
    notes: dict[str, Any] = {str(one["path"]): one for one in check.annotations}
    lines = {path: (one["start_line"], str(one["message"]).split("\n")[0]) for path, one in notes.items()}
    assert lines["more/changed.ipynb"] == (
        line_of(differs, "print(0.5)"),
        "Cell 1: The output is not the committed one: `0.6` became `0.5`.",
    )
    assert lines["more/fails.ipynb"] == (line_of(fails, "x / 0"), "Cell 2 failed: ZeroDivisionError: division by zero")
    assert "return x / 0" in str(notes["more/fails.ipynb"]["message"])
    assert "\x1b" not in str(notes["more/fails.ipynb"]["message"])
    assert lines["more/endless.ipynb"] == (
        line_of(endless, "import time"),
        "The notebook did not end within 6 s. Cell 2 ran.",
    )
    assert lines["more/dies.ipynb"] == (line_of(dies, "import os"), "The kernel died. Cell 1 ran.")
    assert lines["more/hungry.ipynb"][1] in {"Cell 1 failed: MemoryError", "The kernel died. Cell 1 ran."}
    assert not stage.rows("select 1 from notebook_runs where outcome is null")


SLOW = "more/slow.ipynb"


def slow_run(sha: str) -> str:
    """Return the question for the run of the slow notebook of a commit, once it has a session."""
    columns = "r.session_id, r.outcome, r.attempts"
    of_commit = f"b.sha = '{sha}' and r.path = '{SLOW}' and r.session_id is not null"
    return f"select {columns} from notebook_runs r join builds b on b.id = r.build_id where {of_commit}"


async def test_a_service_that_was_killed_goes_on_with_the_notebook(stage: Stage) -> None:
    sha = await stage.push({SLOW: notebook("import time\ntime.sleep(5)")}, branch="slow")
    ((first, *_),) = await stage.until(slow_run(sha), timeout_seconds=120)
    await stage.kill_service()
    await stage.start_service()
    await green(stage, sha)
    ((second, *end),) = stage.rows(slow_run(sha))
    assert first != second
    assert end == ["passed", 2]


async def test_a_newer_push_ends_the_notebook_that_runs(stage: Stage) -> None:
    old = await stage.push({SLOW: notebook("import time\ntime.sleep(50)")}, branch="moves")
    await stage.until(slow_run(old), timeout_seconds=120)
    await green(stage, await stage.push({SLOW: PLAIN}, branch="moves"))
    ((_, outcome, _),) = stage.rows(slow_run(old))
    assert outcome == "stopped"


async def test_a_notebook_uses_its_module(stage: Stage) -> None:
    uses = notebook(
        "from binder_modules import redis\nclient = redis.connect()\nclient.incr('visits')",
        "print(client.get('visits'))",
    )
    text = "check: {notebooks: more/}\nmodules: [redis]\n"
    sha = await stage.push({"binder.yml": text, "more/a.ipynb": uses, "more/b.ipynb": uses}, branch="redis")
    await green(stage, sha)
    found = await compute(
        await open_link(f"{stage.url}/v2/gh/{REPOSITORY}/{sha}?urlpath=lab", timeout_seconds=60),
        "from binder_modules import redis; print(redis.connect().get('visits'))",
    )
    assert found == "None\n"


_HOSTILE = """\
from IPython.display import HTML, Javascript, Markdown, SVG, display
display(HTML("</iframe></section><script>top.document.title = document.title = 'owned'</script>"
             "<img src='/assets/x' onerror=\\"fetch('/owned-by-img')\\"><form action='/owned-by-form'></form>"
             "<a href='javascript:alert(1)' target='_top'>click</a>"
            "<meta http-equiv=refresh content='0;url=/owned-by-meta'>"
             "<iframe src='/owned-by-frame'></iframe><link rel=stylesheet href='/owned-by-link'>"))
display(Javascript("fetch('/owned-by-js')"))
display(SVG("<svg xmlns='http://www.w3.org/2000/svg' onload=\\"fetch('/owned-by-svg')\\"></svg>"))
display(Markdown("<script>fetch('/owned-by-markdown')</script>"))
print("\\x1b[31mred\\x1b[0m <b>bold</b> </pre><script>fetch('/owned-by-text')</script>")
print("x" * 2_000_000)
"""


async def test_a_hostile_notebook_is_shown_and_nothing_of_it_runs(stage: Stage, browser: Browser) -> None:
    markdown = {
        "cell_type": "markdown",
        "id": "md",
        "metadata": {},
        "source": "# A title\n<img src=x onerror=alert(1)>",
    }
    hostile = json.loads(notebook(_HOSTILE, "6 * 7"))
    hostile["cells"].insert(0, markdown)
    files = {"binder.yml": "check: {notebooks: more/}\n", "more/<img src=x>.ipynb": json.dumps(hostile, indent=1)}
    sha = await stage.push(files, branch="hostile")
    await green(stage, sha)
    ((build_id,),) = stage.rows(f"select id from builds where sha = '{sha}'")
    page = await browser.new_page(viewport={"width": 1100, "height": 1400})
    # Chromium tells of what it refuses to ask for, too.
    answered, refused = list[str](), set[str | None]()
    page.on("response", lambda response: answered.append(response.url))
    page.on("requestfailed", lambda request: refused.add(request.failure))
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    await page.goto(f"{stage.url}/builds/{build_id}")
    await page.get_by_role("link", name="more/<img src=x>.ipynb").click()
    await page.wait_for_url("**/notebooks/**")
    await expect(page.get_by_role("heading", name="A title")).to_be_visible()
    printed = page.locator("pre.output").filter(has_text="red <b>bold</b> </pre><script>")
    await expect(printed).to_be_visible()
    frame = page.frame_locator("iframe").first
    await expect(frame.get_by_text("click")).to_be_visible()
    await frame.get_by_text("click").click()
    await page.mouse.wheel(0, 3000)
    await asyncio.sleep(1)
    assert [url for url in answered if "owned" in url] == []
    assert refused <= {"csp"}
    assert dialogs == []
    assert "owned" not in await page.title()
    assert await page.evaluate("self.origin") == "null"
    await page.close()


async def test_what_a_pull_request_changes_is_shown(stage: Stage, browser: Browser) -> None:
    changed = notebook(
        "print(6 * 8)", "import math\nroot = math.sqrt(2)", "print('new')", printed={1: "48\n", 3: "new\n"}
    )
    sha = await stage.push({"index.ipynb": changed}, branch="topic")
    pull = await stage.sandbox.open_pull_request(REPOSITORY, author="ada", head="topic", title="A topic")
    await green(stage, sha)
    await stage.until(f"select 1 from previews where kind = 'pull' and ref = '{pull.number}'")
    ((build_id, run_id),) = stage.rows(
        f"select b.id, r.id from notebook_runs r join builds b on b.id = r.build_id where b.sha = '{sha}'"
    )
    page = await browser.new_page(viewport={"width": 1100, "height": 900})
    await page.goto(f"{stage.url}/builds/{build_id}/notebooks/{run_id}")
    await page.get_by_role("link", name="What changed from the base").click()
    await expect(page.locator(".plus").first).to_contain_text("+print(6 * 8)")
    await expect(page.locator(".minus").nth(1)).to_contain_text("-42")
    await expect(page.locator(".cell.added")).to_contain_text("print('new')")
    await page.close()
