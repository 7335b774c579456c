"""What was typed becomes values, and names are completed, without a wait."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from binder.cli.completing import complete_modules, complete_sessions
from binder.cli.deploying import parameters_in
from binder.cli.logs import overlap
from binder.cli.module_images import wanted_modules
from binder.cli.showing import ago, modules_said, shown
from binder.errors import VisitorFault
from modules.catalogue import built_in
from tests.binder.cli.typed import typed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["list", "nothing"], "'nothing' is none of binders, modules, builds, sessions."),
        (["list", "--limit", "0"], "0 must be 1 at least and 1000 at most."),
        (["list", "--limit", "many"], "'many' is not a whole number."),
        (["stop", "--inactive-since", "nan", "--yes"], "nan must be 0 at least."),
        (["list", "--jsno"], "--json"),
        (["logs"], "WHAT|BUILD|SESSION"),
        (["build"], "Say what to build: a repository, --all, --module NAME or --modules."),
        (["build", "a/b", "--all"], "Say what to build"),
    ],
)
async def test_what_is_mistyped_is_said(arguments: list[str], says: str, alone: dict[str, str]) -> None:
    ended = await typed(*arguments, env=alone)
    assert (ended.code, ended.output) == (2, "")
    assert any(word in ended.complaint for word in ([says] if "|" not in says else says.split("|")))


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["list", "--json"], ["stop", "--help"]])
def test_what_comes_at_once_imports_no_more_than_it_needs(arguments: list[str], tmp_path: Path) -> None:
    """An ORM takes a second to import, pydantic and rich a quarter each."""
    code = (
        "import sys; sys.argv = ['binder', *sys.argv[1:]]\nfrom binder.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'pydantic', 'rich', 'httpx', 'asyncio', 'jinja2'} & set(sys.modules)\n"
        "print('heavy', *heavy, file=sys.stderr)"
    )
    env = {**os.environ, "BINDER_STATE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.splitlines()[-1] == "heavy"


def test_names_are_completed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mailbox" / "1.0").mkdir(parents=True)
    (tmp_path / "mailbox" / "1.0" / "module.yml").touch()
    monkeypatch.setenv("BINDER_MODULES", f"{tmp_path},https://git.example.org/m.git@{'a' * 40}")
    assert complete_modules("mail") == ["mailbox"]
    assert set(complete_modules("")) == {*built_in().names, "mailbox"}
    monkeypatch.setenv("BINDER_STATE_DIR", str(tmp_path / "none"))
    assert complete_sessions("s") == []


@pytest.mark.parametrize(
    ("words", "found"),
    [("binder bu", "build"), ("binder modules ch", "check"), ("binder build --module mariad", "mariadb")],
)
def test_a_shell_is_given_names(words: str, found: str) -> None:
    of_bash = {"_BINDER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    program = Path(sys.executable).parent / "binder"
    done = subprocess.run(
        [program], env={**os.environ, **of_bash}, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == [found]


def test_parameters_are_read_as_they_are_typed() -> None:
    assert parameters_in(["spark.workers=3", "postgres.database=a=b"]) == {
        "spark.workers": "3",
        "postgres.database": "a=b",
    }
    for wrong in ("workers=3", "spark.workers", "Spark.workers=3", ".=", "spark.=3"):
        with pytest.raises(VisitorFault, match=r"give it as MODULE\.NAME=VALUE"):
            parameters_in([wrong])


def test_modules_are_named_with_or_without_a_version() -> None:
    catalogue = built_in()
    assert [one.version for one in wanted_modules(catalogue, ["postgres", "postgres/15"])] == ["17", "15"]
    assert len(wanted_modules(catalogue, [])) == len(catalogue.all())
    with pytest.raises(VisitorFault, match=r"There is no module 'postgres/9'\. There are: .*postgres/15"):
        wanted_modules(catalogue, ["postgres/9"])


def test_of_a_log_only_what_is_new_is_printed() -> None:
    assert overlap(["a", "b", "c"], ["b", "c", "d"]) == 2
    assert overlap([], ["a"]) == 0
    assert overlap(["a"], ["b"]) == 0
    assert overlap(["a", "a"], ["a", "a"]) == 2


def test_values_are_shown_to_people() -> None:
    assert [shown(value) for value in (None, True, False, "a\x1b[2J\nb", 3)] == ["-", "yes", "no", "a [2J b", "3"]
    assert modules_said([{"name": "spark", "version": "4.0", "mode": "multi-node"}]) == "spark 4.0 (multi-node)"
    assert ago(None) == "-"
