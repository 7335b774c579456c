"""What the locks of other tools pin, and what a repository that has one asks for."""

from typing import Any

import pytest

from binder.errors import RepositoryFault
from binder.hosts import PYPI
from build.commits.tree import Entry
from build.recipes.asked import Asked, Project
from build.recipes.locked import locked_of
from build.recipes.poetry import _specifier
from build.recipes.projects import manifest_of
from build.recipes.reading import Reading

UV = "version = 1\n"
PYLOCK = 'lock-version = "1.0"\n'
SHA = "0123456789012345678901234567890123456789"
GIT = "https://git.example.org/x"


def locked(name: str, lock: str, manifest: str = "") -> Asked:
    places = ("a/setup.py", "lib/x/setup.py", "lib/y/setup.py", "setup.py", "wheels/w.whl", "wheels/x.whl")
    contents = {"pyproject.toml": manifest, name: lock, **dict.fromkeys(places, "")}
    reading = Reading({path: Entry("100644", len(text)) for path, text in contents.items()}, contents)
    found = locked_of(reading, "", manifest_of(reading, "pyproject.toml"))
    assert found is not None
    return found


def uv(packages: str, needs: str = '"x"') -> Asked:
    return locked("uv.lock", UV + packages, f"[project]\ndependencies = [{needs}]\n")


def poetry(packages: str, needs: str = 'x = "*"') -> Asked:
    return locked("poetry.lock", packages, f"[tool.poetry.dependencies]\n{needs}\n")


def pylock(packages: str) -> Asked:
    return locked("pylock.toml", PYLOCK + packages)


def roots(asked: Asked) -> list[str]:
    return asked.texts.get(".binder-locked.txt", "").splitlines()


def pins(asked: Asked) -> list[str]:
    return asked.texts.get(".binder-pins.txt", "").splitlines()


def package(name: str = "x", version: str = "1", **more: str) -> str:
    rest = "".join(f"{key.replace('_', '-')} = {value}\n" for key, value in more.items())
    return f'[[package]]\nname = "{name}"\nversion = "{version}"\n{rest}'


def test_a_lock_bounds_and_asks_for_nothing_more() -> None:
    found = uv(package() + package("y", dependencies='[{ name = "z" }]'), '"x>=1"')
    assert (roots(found), pins(found)) == (["x>=1"], ["x==1", "y==1"])
    assert (found.roots, found.constraints) == ((".binder-locked.txt",), (".binder-pins.txt",))


def test_forks_of_a_lock_keep_their_conditions() -> None:
    markers = "resolution-markers"
    two = f"""{package()}{markers} = ["python_version < '3.12'", "sys_platform == 'win32'"]\n"""
    two += f"""{package(version="2")}{markers} = ["python_version >= '3.12'"]\n"""
    assert pins(uv(two)) == [
        'x==1; python_version < "3.12" or sys_platform == "win32"',
        'x==2; python_version >= "3.12"',
    ]
    assert pins(
        poetry(package(markers="'os_name == \"nt\"'") + package(version="2", markers="'os_name != \"nt\"'"))
    ) == [
        'x==1; os_name == "nt"',
        'x==2; os_name != "nt"',
    ]


def test_forks_without_conditions_bound_nothing() -> None:
    assert pins(poetry(package() + package(version="2") + package("y"))) == ["y==1"]


def test_the_only_version_holds_on_every_condition() -> None:
    assert pins(poetry(package(markers="'os_name == \"nt\"'"))) == ["x==1"]


@pytest.mark.parametrize(
    ("source", "address"),
    [
        (f'{{ git = "https://git.example.org/x?rev=main#{SHA}" }}', f"git+https://git.example.org/x@{SHA}"),
        (
            f'{{ git = "https://git.example.org/x?subdirectory=a%2Fb&rev=main#{SHA}" }}',
            f"git+https://git.example.org/x@{SHA}#subdirectory=a/b",
        ),
        ('{ url = "https://files.example.org/x.whl" }', "https://files.example.org/x.whl"),
        (
            '{ url = "https://files.example.org/x.zip", subdirectory = "y" }',
            "https://files.example.org/x.zip#subdirectory=y",
        ),
    ],
)
def test_what_a_lock_takes_from_elsewhere_is_asked_for_where_it_is_needed(source: str, address: str) -> None:
    direct = package("deep", source=source)
    through = package("x", dependencies='[{ name = "y", extra = ["e"] }]') + package("y") + direct
    through = through.replace(
        'name = "y"\nversion = "1"\n', 'name = "y"\nversion = "1"\noptional-dependencies.e = [{ name = "deep" }]\n'
    )
    assert roots(uv(through)) == ["x", f"deep @ {address}"]
    assert pins(uv(through)) == ["x==1", "y==1"]
    assert roots(uv(package() + direct)) == ["x"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("editable", (Project("lib/y", editable=True),)),
        ("directory", (Project("lib/y"),)),
        ("virtual", ()),
    ],
)
def test_a_part_of_the_repository_is_installed_with_the_needs_that_the_lock_tells(
    kind: str, expected: tuple[Project, ...]
) -> None:
    member = package(
        "y", source=f'{{ {kind} = "lib/y" }}', dependencies='[{ name = "z", marker = "os_name == \'nt\'" }]'
    )
    found = uv(member + package("z"), '"y>=1"')
    assert found.places == expected
    assert roots(found) == ['z; os_name == "nt"']
    assert pins(found) == ["z==1"]


def test_where_the_manifest_leaves_it_to_a_build_the_lock_tells() -> None:
    root = package("me", source='{ editable = "." }', dependencies='[{ name = "x", extra = ["a"] }]')
    found = locked("uv.lock", UV + root + package(), '[project]\ndynamic = ["dependencies"]\n')
    assert roots(found) == ["x[a]"]


def test_a_workspace_without_a_project_is_all_its_members() -> None:
    members = package("a", source='{ editable = "a" }', dependencies='[{ name = "x" }]')
    found = locked("uv.lock", UV + members + package(), '[tool.uv.workspace]\nmembers = ["a"]\n')
    assert (found.places, roots(found)) == ((Project("a", editable=True),), ["x"])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("", ["x", "pytest"]),
        ('[tool.uv]\ndefault-groups = ["docs"]\n', ["x", "sphinx"]),
        ('[tool.uv]\ndefault-groups = "all"\n', ["x", "pytest", "sphinx"]),
        ('[tool.uv]\ndefault-groups = []\ndev-dependencies = ["ruff"]\n', ["x", "ruff"]),
    ],
)
def test_groups_are_as_uv_syncs_them(settings: str, expected: list[str]) -> None:
    groups = '[dependency-groups]\ndev = ["pytest"]\ndocs = ["sphinx"]\n'
    assert roots(locked("uv.lock", UV, f'[project]\ndependencies = ["x"]\n{groups}{settings}')) == expected


def test_other_indexes_are_asked_only_where_something_is_needed_of_them() -> None:
    source = '{ registry = "https://a.example.org/simple" }'
    option = "--extra-index-url https://a.example.org/simple"
    assert roots(uv(package(source=source))) == [option, "x"]
    assert uv(package(source=source)).index_options == (option,)
    assert uv(package() + package("y", source=source)).index_options == ()
    assert uv(package(source=f'{{ registry = "https://{PYPI}/simple" }}')).index_options == ()


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ('x = "^1.2"', ["x"]),
        ('x = {version = "*", extras = ["B_c", "a"]}', ["x[a,b-c]"]),
        ("x = {version = '*', markers = \"os_name == 'nt'\"}", ['x; os_name == "nt"']),
        ('x = {version = "*", optional = true}', []),
        ('x = [{version = "1", markers = "os_name == \'nt\'"}, {version = "2"}]', ['x; os_name == "nt"', "x"]),
        ('python = "^3.11"', []),
    ],
)
def test_what_poetry_asks_for(entry: str, expected: list[str]) -> None:
    assert roots(poetry("", entry)) == expected


@pytest.mark.parametrize(
    ("source", "address", "place"),
    [
        (f'type = "git"\nurl = "{GIT}"\nresolved_reference = "{SHA}"', f"git+{GIT}@{SHA}", None),
        ('type = "url"\nurl = "https://files.example.org/x.whl"', "https://files.example.org/x.whl", None),
        ('type = "file"\nurl = "wheels/x.whl"', None, "wheels/x.whl"),
        ('type = "directory"\nurl = "lib/x"', None, "lib/x"),
    ],
)  # fmt: skip
def test_sources_of_poetry(source: str, address: str | None, place: str | None) -> None:
    found = poetry(f"{package()}[package.source]\n{source}\n")
    assert roots(found) == (["x", f"x @ {address}"] if address else [])
    assert [one.path for one in found.places] == ([place] if place else [])
    assert pins(found) == []


@pytest.mark.parametrize(
    ("said", "specifier"),
    [
        ("^3.9", ">=3.9,<4"), ("~3.9", ">=3.9,<3.10"), ("~3.9.1", ">=3.9.1,<3.10"), ("~3", ">=3,<4"), ("*", None),
        (">=3.9,<3.13", ">=3.9,<3.13"), ("3.9.*", "==3.9.*"), ("3.11", "==3.11"), ("^3.9 || ^3.11", None),
    ],
)  # fmt: skip
def test_ranges_of_poetry(said: str, specifier: str | None) -> None:
    assert _specifier(said) == specifier


def test_a_project_of_poetry_is_installed_where_there_is_one() -> None:
    text = '[tool.poetry]\nname = "my-waves"\n%s\n[build-system]\n'
    contents = {"poetry.lock": "", "src/my_waves/__init__.py": ""}

    def places(manifest: str, *without: str) -> tuple[Project, ...]:
        texts = {path: text for path, text in contents.items() if path not in without} | {"pyproject.toml": manifest}
        reading = Reading({path: Entry("100644", 1) for path in texts}, texts)
        found = locked_of(reading, "", manifest_of(reading, "pyproject.toml"))
        return found.places if found else ()

    assert places(text % "") == (Project(""),)
    assert places(text % "", "src/my_waves/__init__.py") == ()
    assert places(text % "package-mode = false") == ()
    assert places(text % "" + "[tool.x]\n", "poetry.lock") == ()


def test_a_pylock_asks_for_all_that_it_names() -> None:
    text = """
[[packages]]
name = "x"
version = "1"
marker = "'dev' in dependency_groups or os_name == 'nt'"
[[packages]]
name = "y"
version = "2"
index = "https://a.example.org/simple"
[[packages]]
name = "z"
archive = { url = "https://files.example.org/z.zip", subdirectory = "s" }
[[packages]]
name = "w"
wheels = [{ name = "w.whl", path = "wheels/w.whl" }]
"""
    found = pylock(text)
    assert roots(found) == [
        "--extra-index-url https://a.example.org/simple",
        'x==1; python_version < "0" or os_name == "nt"',
        "y==2",
        "z",
        "z @ https://files.example.org/z.zip#subdirectory=s",
    ]
    assert found.places == (Project("wheels/w.whl"),)


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ("'a' in extras", 'python_version < "0"'),
        ("'a' not in extras", 'python_version >= "0"'),
        ('"Dev" in dependency_groups', 'python_version >= "0"'),
        ("'dev' not in dependency_groups", 'python_version < "0"'),
        ("'docs' in dependency_groups", 'python_version < "0"'),
    ],
)
def test_a_pylock_is_installed_with_its_default_groups(marker: str, expected: str) -> None:
    found = pylock(f'default-groups = ["dev"]\n[[packages]]\nname = "x"\nversion = "1"\nmarker = """{marker}"""\n')
    assert roots(found) == [f"x==1; {expected}"]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("uv.lock", "version = 2\n", "of a version that is not known here. Version 1 is"),
        ("uv.lock", "", "of a version that is not known here"),
        ("pylock.toml", 'lock-version = "2.0"\n', "of a version that is not known here. Version 1.0 is"),
        ("uv.lock", UV + package(source='{ editable = "../x" }'), "installs ../x, which is outside of the repository"),
        ("uv.lock", UV + package(source='{ path = "/etc/passwd" }'), "outside of the repository"),
        ("uv.lock", UV + package(source='{ editable = "nowhere" }'), "installs nowhere, where there is neither"),
        ("uv.lock", UV + package(source='{ registry = "/srv" }'), "takes packages from '/srv'"),
        ("uv.lock", UV + package(source='{ git = "http://[#1" }'), "an address that is none"),
        ("uv.lock", UV + package(source='{ git = "file:///srv/x#1" }'), "refers to a file of its own"),
        ("uv.lock", UV + package(source='{ url = "file:///srv/x" }'), "refers to a file of its own"),
        ("uv.lock", UV + package(version="1\\n-r /etc/passwd"), "asks for what is not a package"),
        ("uv.lock", UV + package("x -r y"), "asks for what is not a package"),
        (
            "poetry.lock",
            package() + '[package.source]\ntype = "directory"\nurl = "../x"\n',
            "outside of the repository",
        ),
        ("poetry.lock", package() + '[package.source]\ntype = "legacy"\nurl = "x y"\n', "takes packages from 'x y'"),
    ],
)
def test_a_lock_that_leads_elsewhere_is_refused(name: str, text: str, problem: str) -> None:
    manifest = '[project]\ndependencies = ["x"]\n[tool.poetry.dependencies]\nx = "*"\n'
    with pytest.raises(RepositoryFault) as caught:
        locked(name, text, manifest)
    assert problem in caught.value.message
    assert caught.value.file == name


@pytest.mark.parametrize("value", ["5", "[5]", '"x"', "{ x = 5 }", "[{ x = 5 }]", "1979-05-27"])
@pytest.mark.parametrize(
    "key", ["source", "dependencies", "resolution-markers", "optional-dependencies", "markers", "extras"]
)
def test_a_lock_of_other_types_is_read_or_refused(key: str, value: Any) -> None:
    for name, head in (("uv.lock", UV), ("poetry.lock", ""), ("pylock.toml", PYLOCK)):
        text = f'{head}{package()}{key} = {value}\n[[packages]]\nname = "x"\n{key} = {value}\n'
        try:
            found = locked(name, text, '[project]\ndependencies = ["x"]\n[tool.poetry.dependencies]\nx = 5\n')
        except RepositoryFault:
            continue
        assert "x" in roots(found)[0]
