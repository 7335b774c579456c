"""What a binder.yml says of notebooks that have to run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.errors import RepositoryFault
from binder.notebook_checks import (
    MOST_NOTEBOOKS,
    CheckSettings,
    NotebookCheck,
    chosen_notebooks,
    read_check,
    settings_from,
)
from binder.plain_yaml import read_yaml

PATH = "binder.yml"


def check_of(text: str, *files: str) -> NotebookCheck:
    root = read_yaml(PATH, text)
    assert isinstance(root, dict)
    ((key, value),) = root.items()
    return chosen_notebooks(read_check(PATH, key, value), files)


def test_what_is_said_is_what_is_run() -> None:
    text = "check:\n  notebooks: [tutorials/, index.ipynb]\n  timeout: 2 min\n  outputs: compare\n  tolerance: 1e-6\n"
    files = ("index.ipynb", "tutorials/b.ipynb", "tutorials/a.ipynb", "tutorials/data.csv", "else.ipynb")
    assert check_of(text, *files) == NotebookCheck(
        ("tutorials/a.ipynb", "tutorials/b.ipynb", "index.ipynb"), CheckSettings(120, "compare", 1e-6)
    )


def test_one_pattern_needs_no_list_and_the_rest_is_as_usual() -> None:
    found = check_of('check: {notebooks: "*.ipynb"}', "a.ipynb", "b/c.ipynb", ".ipynb_checkpoints/a.ipynb", "x.py")
    assert found == NotebookCheck(("a.ipynb", "b/c.ipynb"), CheckSettings(600, "ignore", 0))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("check: yes", 1, "must be a table"),
        ("check:\n  timeout: 1 min", 1, "which `notebooks`"),
        ("check:\n  notebooks: []", 2, "list of 1 to 50"),
        ("check:\n  notebooks:\n  - a.ipynb\n  - '!b.ipynb'", 4, "list of 1 to 50"),
        ("check:\n  notebooks: a.ipynb\n  kernel: python3", 3, "does not know `kernel`"),
        ("check:\n  notebooks: a.ipynb\n  timeout: 10", 3, "`timeout` in binder.yml must be a time"),
        ("check:\n  notebooks: a.ipynb\n  timeout: 25 h", 3, "up to a day"),
        ("check:\n  notebooks: a.ipynb\n  timeout: 0 s", 3, "must be a time"),
        ("check:\n  notebooks: a.ipynb\n  outputs: yes", 3, "`compare` or `ignore`"),
        ("check:\n  notebooks: a.ipynb\n  outputs: compare\n  tolerance: 2", 4, "a share from 0 to 1"),
        ("check:\n  notebooks: a.ipynb\n  outputs: compare\n  tolerance: nan", 4, "a share from 0 to 1"),
        ("check:\n  notebooks: a.ipynb\n  tolerance: 0.1", 3, "is for `outputs: compare`"),
        ("check:\n  notebooks:\n  - a.ipynb\n  - b.ipynb", 4, "names `b.ipynb`, which no notebook"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(RepositoryFault, match=said) as fault:
        check_of(text, "a.ipynb")
    assert (fault.value.file, fault.value.line) == (PATH, line)


def test_there_are_not_too_many() -> None:
    files = [f"{number}.ipynb" for number in range(MOST_NOTEBOOKS + 1)]
    assert len(check_of("check: {notebooks: '*.ipynb'}", *files[1:]).notebooks) == MOST_NOTEBOOKS
    with pytest.raises(RepositoryFault, match="more than 50 notebooks"):
        check_of("check: {notebooks: '*.ipynb'}", *files)


@given(st.builds(CheckSettings, st.floats(1, 86400), st.sampled_from(["compare", "ignore"]), st.floats(0, 1)))
def test_settings_are_kept_as_they_are(settings: CheckSettings) -> None:
    assert settings_from(settings.as_json()) == settings
