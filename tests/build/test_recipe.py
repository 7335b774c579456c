"""Which configuration files apply: a sample repository for each of them and for each rule of precedence.

What each sample comes to is in `golden/recipes/`: what is said there differs from asking for nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from binder.errors import RepositoryFault
from build.recipe import Options, Python, Recipe, paths_to_read, recipe_for
from build.requirements import text_of
from build.tree import Entry

FILE, SCRIPT, LINK, SUBMODULE = "100644", "100755", "120000", "160000"
AVAILABLE = ("3.11", "3.13")
_HERE = Path(__file__).parent
_SAMPLES = _HERE / "samples" / "recipes"
_GOLDEN = _HERE / "golden" / "recipes"
SAMPLES = sorted(path.name for path in _SAMPLES.iterdir())

NO_PYTHON = Python(None, None, {}, (), (), {}, (), (), reads_tree=False)
NOTHING = Recipe("", None, NO_PYTHON, None, None, (), {}, None, None, None, Options())


def files(*paths: str, **modes: str) -> dict[str, Entry]:
    return {path: Entry(FILE, 100) for path in paths} | {path: Entry(mode, 100) for path, mode in modes.items()}


def read(listing: Mapping[str, Entry], contents: Mapping[str, str]) -> dict[str, str]:
    """Read what is asked for until nothing more is."""
    texts: dict[str, str] = {}
    while missing := paths_to_read(listing, texts):
        assert not texts.keys() & set(missing)
        texts |= {path: contents[path] for path in missing}
    return texts


def recipe(listing: Mapping[str, Entry], contents: Mapping[str, str] | None = None) -> Recipe:
    contents = dict.fromkeys(listing, "") | dict(contents or {})
    return recipe_for(listing, read(listing, contents), AVAILABLE)


def of(**contents: str) -> Recipe:
    """Return the recipe of a repository of these files; two underscores stand for a dot."""
    return of_files({path.replace("__", "."): text for path, text in contents.items()})


def of_files(contents: Mapping[str, str]) -> Recipe:
    return recipe({path: Entry(FILE, len(text.encode())) for path, text in contents.items()}, contents)


def sample(name: str) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the listing of a sample repository, as git would give it, and its contents."""
    listing, contents = {}, {}
    for path in sorted((_SAMPLES / name).rglob("*")):
        place = path.relative_to(_SAMPLES / name).as_posix()
        if path.is_symlink():
            contents[place] = str(path.readlink())
            listing[place] = Entry(LINK, len(contents[place]))
        elif path.is_file():
            contents[place] = text_of(path.read_bytes())
            listing[place] = Entry(SCRIPT if path.stat().st_mode & 0o100 else FILE, path.stat().st_size)
    return listing, contents


def told(listing: Mapping[str, Entry], contents: Mapping[str, str]) -> dict[str, Any]:
    """Return what differs from asking for nothing, or the fault."""
    try:
        found = asdict(recipe(listing, contents))
    except RepositoryFault as fault:
        return {"fault": {"message": fault.message, "file": fault.file, "line": fault.line}}
    nothing = asdict(NOTHING)
    of_python = {key: value for key, value in found.pop("python").items() if value != nothing["python"][key]}
    rest = {key: value for key, value in found.items() if value != nothing[key]}
    both = rest | ({"python": of_python} if of_python else {})
    whole: dict[str, Any] = json.loads(json.dumps(both, default=str))
    return whole


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_comes_to_what_its_author_means(name: str) -> None:
    expected = json.loads((_GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert told(*sample(name)) == expected


def test_each_golden_file_has_a_sample() -> None:
    assert sorted(path.stem for path in _GOLDEN.iterdir()) == SAMPLES
