"""What the pages show is what there is: blocks by their language, settings, links, and the words of commands.

What they show of our command line is run in `tests/binder/cli/test_documented_commands.py`, and what they say of our
addresses is held against the routes in `tests/proxy/test_documented_paths.py`.
"""

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs
import pytest
import yaml

from binder.settings import Settings
from build.recipes.options import options_of
from modules.binding import choose
from modules.catalogue import built_in
from tests.pages import ROOT, Block, Command, Page, pages, shown_commands

PAGES = pages()
BLOCKS = [block for page in PAGES for block in page.blocks()]
COMMANDS = shown_commands()
_INDENTED = re.compile(r"\n\n {4}\S")

# Programs that are not ours, which pages show how to use.
OTHER_PROGRAMS = {"curl", "export", "git", "grep", "helm", "journalctl", "kubectl", "sed", "sudo"}


def test_all_that_is_shown_stands_in_fences() -> None:
    for page in PAGES:
        assert not _INDENTED.search(page.prose()), f"{page.path} shows something without saying in which language"
        assert page.text.count("\n```") == 2 * len(page.blocks()), f"{page.path} has a fence that does not end"


def _settings_of_session(block: Block) -> None:
    """A binder.yml: read as a build reads it, with the modules that there are."""
    options, _ = options_of("binder.yml", block.text)
    seeds = {str(module.seed): "100755" for module in options.modules if module.seed}
    choose(options.modules, built_in(), seeds, 2**40)


def _values_of_chart(block: Block) -> None:
    schema = json.loads((ROOT / "deploy/chart/values.schema.json").read_text(encoding="utf-8"))
    values: Any = yaml.safe_load(block.text)
    jsonschema_rs.validator_for(schema).validate(values)


def _settings_of_prometheus(block: Block) -> None:
    (rules,) = yaml.safe_load(block.text)["rule_files"]
    assert (ROOT / rules.removeprefix("/PATH/")).exists()


_FILES: Mapping[str, Callable[[Block], None]] = {
    "binder.yml": _settings_of_session,
    "mine.yaml": _values_of_chart,
    "prometheus.yml": _settings_of_prometheus,
    ".github/workflows/binder.yml": lambda block: None,  # tests/action/test_page.py
}


def _yaml_file(block: Block) -> None:
    """A file of YAML says in its first line which one it is, and is read as that."""
    said = block.text.splitlines()[0]
    assert said.removeprefix("# ") in _FILES, f"{block}: the first line must name the file: # {' or # '.join(_FILES)}"
    _FILES[said.removeprefix("# ")](block)


def _shell(block: Block) -> None:
    """Each line is a command of ours, of make's or of a program that is known here."""
    of_block = [command for command in COMMANDS if command.place == str(block)]
    assert of_block or "=" in block.text
    for command in of_block:
        assert command.program in {"binder", "make", *OTHER_PROGRAMS}, f"{block}: {command}"


def _diagram(block: Block) -> None:
    assert block.text.startswith(("flowchart ", "stateDiagram-v2\n"))


def _addresses(block: Block) -> None:
    """Held against the routes elsewhere; here, that nothing else stands in such a block."""
    for line in block.text.splitlines():
        assert urlsplit(line).scheme == "https" or line.startswith(("binder ", "[![")), f"{block}: {line}"


def _script(block: Block) -> None:
    """A page that is typed into one shell from its beginning to its end; there is one."""
    assert block.page == "docs/first-hour.md"  # tests/end_to_end/test_first_hour.py


def _query(block: Block) -> None:
    """An alert's, drawn from the rules, which are held against what is counted (tests/test_monitoring.py)."""
    assert block.page == "docs/metrics.md"


CHECKS: Mapping[str, Callable[[Block], None]] = {
    "sh": _shell,
    "bash": _script,
    "promql": _query,
    "yaml": _yaml_file,
    "mermaid": _diagram,
    "text": _addresses,
    "markdown": _addresses,
    "nft": lambda block: None,  # loaded into a kernel by tests/test_security.py
}


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_each_block_is_what_its_language_says(block: Block) -> None:
    assert block.language in CHECKS, f"{block}: no check for {block.language!r}"
    CHECKS[block.language](block)


def test_no_check_is_left_over() -> None:
    assert {block.language for block in BLOCKS} == set(CHECKS)
    assert {command.program for command in COMMANDS} == {"binder", "make", *OTHER_PROGRAMS}


def test_each_setting_that_is_named_is_one() -> None:
    known = {f"BINDER_{name.upper()}" for name in Settings.model_fields}
    # Some are no settings of a service: its commands and its tests read them from the environment by these names.
    for folder in ("binder", "tests", "action"):
        for path in (ROOT / folder).rglob("*.py"):
            known |= set(re.findall(r"[\"'](BINDER_[A-Z_]+)", path.read_text(encoding="utf-8")))
    for page in PAGES:
        for name in page.settings():
            begins = name.removesuffix("…")
            is_known = name in known or (begins != name and any(one.startswith(begins) for one in known))
            assert is_known, f"{page.path}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_each_link_leads_somewhere(page: Page) -> None:
    for link in page.links():
        path, _, anchor = link.partition("#")
        if "://" in path or "HOST" in path:
            assert path.startswith("https://"), link
            continue
        target = (ROOT / page.path).parent.joinpath(path).resolve() if path else ROOT / page.path
        assert target.exists(), f"{page.path}: {link}"
        if anchor:
            there = Page(link, target.read_text(encoding="utf-8"))
            assert anchor in there.anchors(), f"{page.path}: {link}"


def test_each_page_is_led_to() -> None:
    """From README, by links alone."""
    by_path = {page.path: page for page in PAGES}
    seen, todo = set[str](), ["README.md"]
    while todo:
        path = todo.pop()
        if path in seen or path not in by_path:
            continue
        seen.add(path)
        folder = (ROOT / path).parent
        leads = [folder.joinpath(link.partition("#")[0]).resolve() for link in by_path[path].links() if ":" not in link]
        todo += [str(one.relative_to(ROOT)) for one in leads if one.is_relative_to(ROOT)]
    assert set(by_path) - seen == set()


def _make(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def _targets() -> set[tuple[str, ...]]:
    shown = {command.words[1:] for command in COMMANDS if command.program == "make"}
    spans = [span for page in PAGES for span in page.spans() if span.startswith("make ")]
    return shown | {Command("", tuple(re.sub(r'"[^"]*"', "x", span).split())).words[1:] for span in spans}


@pytest.mark.parametrize("words", sorted(_targets()), ids=" ".join)
def test_each_target_of_make_is_there(words: tuple[str, ...]) -> None:
    _make(words)


def test_each_command_that_make_lists_says_what_it_does() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert all(len(line.split()) > 2 for line in listed.splitlines())
