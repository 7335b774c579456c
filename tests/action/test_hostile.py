"""What repositories and those who propose to them may write, which a runner must show and not obey."""

from pathlib import Path

import pytest

from action import binder_action
from binder.lifecycle import BuildState
from binder.store.tables import utc_now
from tests.action.runner import Runner, read_outputs
from tests.action.test_runs import queued
from tests.proxy.jobs import JobStage
from tests.proxy.rows import add_build, add_log
from tests.proxy.streaming import advance

HOSTILE = [
    "::error::forged",
    "   ::add-mask::e",
    "::set-output name=url::https://evil.example",
    "::stop-commands::mine",
    "::mine::",
    "::endgroup::",
    "##[error]forged",
    "##[set-output name=url;]https://evil.example",
    "\x1b[31m::warning::red\x1b[0m",
    "a\r::error::behind a carriage return",
    "\u2028::error::behind a line separator",
    "==> ::error::forged %0A::error::x  [09:05:00]",
    "==> ##[error]forged  [09:05:01]",
    "url<<EOF",
    "🧨 \ud83d",
]
OURS = {"add-mask", "group", "endgroup", "notice", "error", "warning"}


async def test_the_log_is_shown_and_not_obeyed(stage: JobStage, runner: Runner) -> None:
    await stage.install()
    async with runner.started() as step:
        build = await queued(stage)
        await advance(stage.context, build, BuildState.FETCHING)
        text = "\n".join(HOSTILE).encode(errors="replace").decode()
        await add_log(stage.store, build, f"{text}\nthe last one\n")
        await step.prints("the last one")
        await advance(
            stage.context, build, BuildState.BUILDING, BuildState.PUSHING, BuildState.CHECKING, BuildState.SUCCEEDED
        )
        ran = await step.ended()
    assert (ran.code, ran.outputs["status"]) == (0, "success"), ran.printed
    assert {one.name for one in ran.commands} <= OURS
    assert ran.told("error", "warning") == []
    assert [one.message for one in ran.told("group")] == ["::error::forged %0A::error::x", "#[error]forged"]
    assert "e" not in {one.message for one in ran.told("add-mask")}
    assert "::error::forged" in ran.shown
    assert "evil.example" not in "".join(ran.outputs.values())


async def test_what_is_told_of_a_fault_is_text(stage: JobStage, runner: Runner) -> None:
    fault = {
        "party": "repository",
        "message": "no\n::error::forged `code` ``more`` ##[error]x <img src=x> [a](https://evil.example) @ada\u202e",
        "file": "a,line=9::b\n::error::c.txt",
        "line": 3,
    }
    await add_build(stage.store, await stage.install(), BuildState.FAILED, fault=fault, finished_at=utc_now())
    ran = await runner.run()
    (told,) = ran.told("error", "warning", "notice")
    assert told.properties["file"] == fault["file"]
    assert told.properties["line"] == "3"
    assert "\n" not in told.message
    assert {one.name for one in ran.commands} <= OURS
    line = next(line for line in ran.summary.splitlines() if "forged" in line)
    assert line.startswith("``` no ::error::forged `code` ``more``")
    assert "\u202e" not in ran.summary


@pytest.mark.parametrize(
    "ref",
    ['"; touch hacked; #', "$(touch hacked)", "`touch hacked`", "../../../users/eve", "--help", "a\n::error::forged"],
)
async def test_a_branchs_name_is_a_name(stage: JobStage, runner: Runner, ref: str) -> None:
    await stage.install()
    async with runner.started(ref=ref) as step:
        ran = await step.ended()
        assert not list(step.home.glob("hacked*"))
    assert (ran.code, ran.outputs["status"]) == (1, "error"), ran.printed
    assert len(ran.told("error")) == 1


def test_no_value_ends_its_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    file = tmp_path / "output"
    monkeypatch.setenv("GITHUB_OUTPUT", str(file))
    values = {"url": "binder-\nurl<<x\nevil\nx\n", "image": "", "status": "<<\n\n"}
    for name, value in values.items():
        binder_action.write_output(name, value)
    assert read_outputs(file.read_text()) == values
