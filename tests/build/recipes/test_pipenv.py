"""What a Pipfile and its lock ask for."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from binder.errors import RepositoryFault
from binder.hosts import PYPI
from build.commits.tree import Entry
from build.recipes.asked import Asked, Project
from build.recipes.pipenv import pipenv, pipenv_python
from build.recipes.reading import Reading


def reading(**contents: str) -> Reading:
    texts = {path.replace("__", "."): text for path, text in contents.items()} | {"x/setup.py": "", "setup.py": ""}
    return Reading({path: Entry("100644", len(text)) for path, text in texts.items()}, texts)


def written(packages: str) -> Asked:
    return pipenv(reading(Pipfile=f"[packages]\n{packages}\n"), "")


def locked(**packages: Mapping[str, Any]) -> Asked:
    return pipenv(reading(Pipfile__lock=json.dumps({"default": packages})), "")


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ('numpy = "*"', "numpy"),
        ('numpy = ">=1,<2"', "numpy<2,>=1"),
        ('numpy = "1.26"', "numpy==1.26"),
        ('numpy = {version = "*"}', "numpy"),
        ('numpy = {version = "~=1.2", extras = ["a", "b"]}', "numpy[a,b]~=1.2"),
        ("numpy = {version = '*', markers = \"os_name == 'nt' or os_name == 'posix'\"}",
         'numpy; os_name == "nt" or os_name == "posix"'),
        ("numpy = {version = '*', markers = \"os_name == 'a' or os_name == 'b'\", python_version = '< \"3.9\"'}",
         'numpy; (os_name == "a" or os_name == "b") and python_version < "3.9"'),
        ('x = {git = "https://git.example.org/x.git"}', "x @ git+https://git.example.org/x.git"),
        ('x = {git = "git+https://git.example.org/x.git", ref = "v1", subdirectory = "y"}',
         "x @ git+https://git.example.org/x.git@v1#subdirectory=y"),
        ('x = {file = "https://files.example.org/x.whl"}', "x @ https://files.example.org/x.whl"),
    ],
)  # fmt: skip
def test_an_entry_becomes_a_line(entry: str, line: str) -> None:
    assert written(entry).texts == {".binder-pipenv.txt": f"{line}\n"}


@pytest.mark.parametrize("entry", ['x = {path = "x"}', 'x = {file = "./x"}', 'x = {path = "x", editable = false}'])
def test_a_path_is_a_project(entry: str) -> None:
    assert written(entry).places == (Project("x"),)
    assert written(entry).texts == {}


def test_paths_are_seen_from_the_file() -> None:
    found = reading(**{"binder/Pipfile": '[packages]\nx = {path = "../x", editable = true, extras = ["B_c"]}\n'})
    assert pipenv(found, "binder/").places == (Project("x", editable=True, extras=("b-c",)),)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ('x = {path = ".."}', "installs what is outside of the repository"),
        ('x = {path = "/srv"}', "installs what is outside of the repository"),
        ('x = {path = "y"}', "where there is neither a pyproject.toml nor a setup.py"),
        ('x = {file = "file:///etc/passwd"}', "refers to a file of its own"),
        ('x = {git = "file:///srv/x"}', "refers to a file of its own"),
        ('"-r /etc/passwd" = "*"', "asks for what is not a package"),
        ('x = "==1\\n-r /etc/passwd"', "asks for what is not a package"),
        ('x = {version = "*", markers = "what"}', "asks for what is not a package"),
    ],
)
def test_what_cannot_be_installed_is_refused(entry: str, problem: str) -> None:
    with pytest.raises(RepositoryFault, match=problem) as caught:
        written(entry)
    assert caught.value.file == "Pipfile"


def test_of_a_lock_both_parts_are_installed_and_no_hashes_kept() -> None:
    lock = {
        "default": {"numpy": {"version": "==1.26", "hashes": ["sha256:00"], "markers": "python_version >= '3.9'"}},
        "develop": {"pytest": {"version": "==8"}, "numpy": {"version": "==1.26", "markers": "python_version >= '3.9'"}},
    }
    found = pipenv(reading(Pipfile__lock=json.dumps(lock), Pipfile='[packages]\nscipy = "*"\n'), "")
    assert found.texts == {".binder-pipenv.txt": 'numpy==1.26; python_version >= "3.9"\npytest==8\n'}


@pytest.mark.parametrize(
    ("urls", "options"),
    [
        ([], ()),
        ([f"https://{PYPI}/simple"], ()),
        ([f"https://{PYPI}/simple/", "https://a.example.org/"], ("--extra-index-url https://a.example.org/",)),
        (
            ["https://a.example.org/", f"https://{PYPI}/simple"],
            ("--index-url https://a.example.org/", f"--extra-index-url https://{PYPI}/simple"),
        ),
    ],
)
def test_sources_are_options_of_indexes(urls: list[str], options: tuple[str, ...]) -> None:
    sources = "".join(f'[[source]]\nurl = "{url}"\n' for url in urls)
    found = pipenv(reading(Pipfile=f'{sources}[packages]\nnumpy = "*"\n'), "")
    assert found.index_options == options
    assert found.texts[".binder-pipenv.txt"] == "".join(f"{line}\n" for line in (*options, "numpy"))


@pytest.mark.parametrize("url", ["file:///srv", "https://a.example.org/\\n-r /etc/passwd", "x"])
def test_a_source_is_an_address(url: str) -> None:
    with pytest.raises(RepositoryFault, match="a source that is no address"):
        pipenv(reading(Pipfile=f'[[source]]\nurl = "{url}"\n'), "")


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ({"Pipfile": ""}, None),
        ({"Pipfile": '[requires]\npython_version = "3.9"\n'}, ("3.9", "Pipfile", 2)),
        ({"Pipfile": '[requires]\npython_version = "3.9"\npython_full_version = "3.8.2"\n'}, ("3.8", "Pipfile", 3)),
        ({"Pipfile": '[requires]\npython_version = "3"\n'}, None),
        (
            {"Pipfile": '[requires]\npython_version = "3.9"', "Pipfile__lock": '{"_meta": {}}'},
            ("3.9", "Pipfile", 2),
        ),
        (
            {"Pipfile": "", "Pipfile__lock": '{"_meta": {"requires":\n{"python_version": "3.8"}}}'},
            ("3.8", "Pipfile.lock", 2),
        ),
    ],
)  # fmt: skip
def test_the_lock_says_which_python_and_then_the_pipfile(
    contents: dict[str, str], expected: tuple[str, str, int] | None
) -> None:
    assert pipenv_python(reading(**contents), "") == expected


@pytest.mark.parametrize("entry", [None, 5, [], {}, {"version": 5}, {"extras": "a"}, {"markers": []}, {"git": {}}])
def test_a_lock_of_other_types_is_read_as_far_as_it_goes(entry: Any) -> None:
    assert locked(numpy=entry).texts == {".binder-pipenv.txt": "numpy\n"}
