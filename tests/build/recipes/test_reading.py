"""The files of a repository as they are read: paths, lines, and TOML and JSON that would hold everything up."""

import contextlib
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.errors import RepositoryFault
from build.commits.tree import Entry
from build.recipes.reading import LARGEST_LOCK_BYTES, NotReadYet, Reading, lines_naming, path_within


def reading(**texts: str) -> Reading:
    contents = {path.replace("__", "."): text for path, text in texts.items()}
    return Reading({path: Entry("100644", len(text)) for path, text in contents.items()}, contents)


@pytest.mark.parametrize(
    ("folder", "path", "expected"),
    [
        ("", "x", "x"),
        ("", "./x//y/", "x/y"),
        ("a/b", "../x", "a/x"),
        ("a", "..", ""),
        ("", ".", ""),
        ("", "", ""),
        ("a", "../..", None),
        ("", "x/../../y", None),
        ("a", "/x", None),
        ("", "..x", "..x"),
    ],
)
def test_a_path_is_in_the_repository_or_nowhere(folder: str, path: str, expected: str | None) -> None:
    assert path_within(folder, path) == expected


@given(st.text("ab./"), st.text("ab./"))
def test_no_path_leads_out(folder: str, path: str) -> None:
    found = path_within(path_within("", folder) or "", path)
    assert found is None or not {"..", ".", ""} & set(found.split("/")) or found == ""


def test_what_is_below_a_folder_is_found() -> None:
    files = {path: Entry("100644", 1) for path in ("a", "b/c", "b/d/e", "b.c", "b0")}
    found = Reading(files, {})
    assert found.below("b") == ["b/c", "b/d/e"]
    assert found.below("a") == ["a"]
    assert found.below("c") == found.below("b/d/e/f") == []
    assert found.below("") == sorted(files)


def test_what_is_not_read_yet_is_asked_for() -> None:
    found = Reading({"x": Entry("100644", 1)}, {})
    for look in (found.text, found.toml, found.json, found.require):
        with pytest.raises(NotReadYet) as caught:
            look("x")
        assert caught.value.paths == ("x",)


def test_the_first_line_that_names_a_package_is_known() -> None:
    listed = "[project]\ndependencies = [\"Num_Py>=1\", 'pandas']\n"
    text = listed + '\n[packages]\nscipy = "*"\n"zope.interface" = "*"\nnumpy = 1\n'
    found = lines_naming(text)
    names = ("numpy", "num-py", "pandas", "scipy", "zope-interface")
    assert [found.get(name) for name in names] == [7, 2, 2, 5, 6]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [("x = 1\ny = = 2\n", 2, "is not TOML"), ("a" + ".a" * 64 + " = 1", None, "key of too many parts"),
     ("a = " + "[" * 100_000, None, "nested too deeply"), ("a = " + "9" * 10_000, None, "is not TOML")],
)  # fmt: skip
def test_toml_that_cannot_be_read_is_refused(text: str, line: int | None, problem: str) -> None:
    with pytest.raises(RepositoryFault, match=problem) as caught:
        reading(x__toml=text).toml("x.toml")
    assert (caught.value.file, caught.value.line) == ("x.toml", line)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [('{\n"a": }', 2, "is not JSON"), ("[" * 100_000, None, "nested too deeply"), ("9" * 10_000, None, "is not JSON")],
)
def test_json_that_cannot_be_read_is_refused(text: str, line: int | None, problem: str) -> None:
    with pytest.raises(RepositoryFault, match=problem) as caught:
        reading(x__json=text).json("x.json")
    assert (caught.value.file, caught.value.line) == ("x.json", line)


@pytest.mark.parametrize(
    "piece",
    ["a.", 'a."', '"a".', "'a'.", '"\\"".', '"".', "a . ", "a.'b'.", '"a".b.', "[", "{", "a={", '"', "'", '"""', "\\",
     "\n", "a\n", "a=1\n", "[a]\n", "[[a]]\n", "#", " ", "\t", "a.b=1\n", "a[", '"a', "a-", '["a",', "ä.", "é"],
)  # fmt: skip
def test_the_largest_file_is_read_or_refused_at_once(piece: str) -> None:
    text = piece * (2**20 // len(piece))
    began = process_time()
    for whole in (text, f"x = {text}", f"[{text}", f"{text}x]\na = 1"):
        with contextlib.suppress(RepositoryFault):
            reading(x__toml=whole).toml("x.toml")
    lines_naming(text)
    assert process_time() - began < 15


def test_the_files_of_a_lock_cost_little() -> None:
    wheel = '    { url = "https://files.example.org/a-1-py3-none-any.whl", hash = "sha256:00", size = 1 },\n'
    package = f'[[package]]\nname = "a"\nversion = "1"\nwheels = [\n{wheel * 50}]\n'
    text = package * 2000
    began = process_time()
    found = reading(uv__lock=text).toml("uv.lock", LARGEST_LOCK_BYTES)
    assert process_time() - began < 2
    assert found["package"] == [{"name": "a", "version": "1", "wheels": []}] * 2000
