"""Each command of ours that a page shows: run against a service, or known to be run by a test that is named here."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import typer.main

from binder.cli import app
from binder.lifecycle import SessionState
from tests.binder.cli.conftest import Desk
from tests.binder.cli.typed import typed
from tests.cli_document import commands, examples
from tests.pages import ROOT, pages, shown_commands
from tests.proxy.rows import add_build, add_log, add_preview, add_repository, add_session

# What the pages call things: there is a store with these.
OWNER, NAME = "ada", "notebooks"
SHA = "0123abc".ljust(40, "0")
BUILD = 12
SESSION = "s7k3mzq2vbnw4hxd"

OF_A_SERVICE = {"list", "stop", "why", "render", "cluster"}
AT_HOME = {"modules", "token"}
SETTING_UP = "tests/end_to_end/test_setup.py::test_an_app_is_set_up_in_a_browser_and_works_at_once_and_after_a_restart"
RUN_BY: Mapping[str, str] = {
    "backup": "tests/binder/cli/test_backup.py::test_what_was_backed_up_is_there_again",
    "restore": "tests/binder/cli/test_backup.py::test_what_was_backed_up_is_there_again",
    "build": "tests/binder/cli/test_alone.py::test_a_folder_is_built",
    "deploy": "tests/binder/cli/test_alone.py::test_a_binder_is_deployed_with_parameters",
    "demo": "tests/end_to_end/test_commands.py::test_demo_once",
    "doctor": SETTING_UP,
    "gc": "tests/binder/test_gc.py::",
    "images": "tests/cluster/test_own_images.py::",
    "logs": "tests/binder/cli/test_operating.py::test_a_session_s_log_is_its_engine_s",
    "lock": "tests/end_to_end/test_commands.py::test_lock_is_of_the_files_as_they_are_and_builds_keep_to_it",
    "preload": "tests/deploy/test_preload.py::",
    "preview": "tests/end_to_end/test_commands.py::test_preview_of_a_folder",
    "serve": "tests/end_to_end/test_main_job.py::",
    "setup": SETTING_UP,
    "upload": "tests/binder/cli/test_alone.py::test_images_are_uploaded_once",
}
"""Those that need an engine, a cluster or a browser, and the tests that run them."""


def _shown() -> list[tuple[str, ...]]:
    """Return what is typed behind `binder`, on all pages, each once and in their order."""
    return list(dict.fromkeys(one.words[1:] for one in shown_commands() if one.program == "binder"))


def _name_of(words: Sequence[str]) -> str:
    names = {typed_as.removeprefix("binder ") for typed_as, _ in commands()}
    return next(" ".join(words[:size]) for size in (2, 1) if " ".join(words[:size]) in names)


SHOWN = _shown()


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_each_is_understood(words: tuple[str, ...]) -> None:
    """Each is read as its command reads it."""
    rest, command = list(words), typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    command.make_context("binder", rest)


def test_each_is_run_by_a_test() -> None:
    for words in SHOWN:
        name = _name_of(words)
        run = [words in ASKED, words[0] in AT_HOME, name in RUN_BY]
        assert any(run), f"binder {name} is run by no test"
    for name, test in RUN_BY.items():
        file, _, function = test.partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert f"def {function}(" in text if function else "def test_" in text, test
        assert any(_name_of(words) == name for words in SHOWN), f"no page shows binder {name}"


def test_pages_show_all_examples() -> None:
    assert {tuple(example.partition(" > ")[0].split()[1:]) for example in examples()} <= set(SHOWN)


@pytest.fixture(params=["sqlite"])
def store_url(tmp_path: Path) -> str:
    """SQLite alone: what commands read of PostgreSQL is shown by their own tests."""
    return f"sqlite+aiosqlite:///{tmp_path / 'binder.db'}"


@pytest.fixture
async def filled(desk: Desk) -> dict[str, str]:
    """A service that knows what the pages name, and what its operator's commands are told."""
    repository = await add_repository(desk.store, owner=OWNER, name=NAME)
    await add_preview(desk.store, repository, "main", SHA)
    build = await add_build(desk.store, repository, id=BUILD, sha=SHA, result={"image": "localhost/binder:content-1"})
    await add_log(desk.store, build, "==> Fetching\n")
    await add_session(desk.store, build, SessionState.OPEN, id=SESSION)
    desk.resolver.refs[("https://github.com/ada/notebooks.git", "HEAD")] = SHA
    return desk.env


ASKED = [words for words in SHOWN if _name_of(words) in OF_A_SERVICE or words[:2] == ("logs", str(BUILD))]


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
async def test_a_service_does_what_is_shown(filled: dict[str, str], words: tuple[str, ...]) -> None:
    if "--yes" not in words and words[0] == "stop" and words[1].startswith("--"):
        words = (*words, "--yes")  # which a person is asked
    ended = await typed(*words, env=filled)
    assert ended.code == 0, ended.complaint


@pytest.mark.parametrize("name", sorted(AT_HOME))
async def test_what_is_done_at_home_is_done_in_the_order_of_the_pages(
    name: str, alone: dict[str, str], tmp_path: Path
) -> None:
    """What one command makes, the next may name."""
    (tmp_path / "state").mkdir()
    for words in SHOWN:
        if words[0] == name:
            at_home = [re.sub(r"\A(~/|(?=binder/modules))", f"{tmp_path}/", word) for word in words]
            ended = await typed(*at_home, env=alone)
            assert ended.code == 0, ended.complaint
    assert name != "modules" or (tmp_path / "modules/mailbox/1.0/module.yml").exists()


def test_each_command_that_a_text_names_is_one() -> None:
    """Names and options; what stands for something else is in capital letters."""
    options = {
        typed_as: {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}
        for typed_as, command in commands()
    }
    for page in pages():
        for span in page.spans():
            words = span.split()
            if words[0] != "binder" or len(words) == 1 or words[1].isupper() or words[1].startswith("-"):
                continue
            name = f"binder {_name_of(words[1:])}" if words[1:2] != ["build-job"] else None
            if name:
                unknown = {word.partition("=")[0] for word in words if word.startswith("-")} - options[name]
                assert not unknown, f"{page.path}: {span}"
