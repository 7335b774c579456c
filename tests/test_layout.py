"""The shape of the project itself: what tools would hide, and what people would forget."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
    "wheel"
]["packages"]

# Taken apart, so that this file does not hold them.
REGISTRIES = [
    ".".join(labels)
    for labels in (
        ("docker", "io"),
        ("quay", "io"),
        ("ghcr", "io"),
        ("gcr", "io"),
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("anaconda", "org"),
    )
]


def _tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=30,
    )
    paths = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def test_the_tests_of_the_package_named_build_are_collected() -> None:
    """Tools take that name for generated output, and pytest does by default."""
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-m", "", "tests/build"]
    listed = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    collected = set(re.findall(r"^(tests/build/(?:\w+/)?test_\w+\.py)::", listed.stdout, re.MULTILINE))
    there = {str(path.relative_to(ROOT)) for path in ROOT.glob("tests/build/**/test_*.py")}
    assert collected == there != set(), listed.stdout + listed.stderr


def test_whoever_collects_the_whole_collects_the_package_named_build(request: pytest.FixtureRequest) -> None:
    if request.config.args not in ([str(ROOT / "tests")], ["tests"]):
        return  # only a part was asked for
    assert any(item.path.is_relative_to(ROOT / "tests/build") for item in request.session.items)


def test_the_packages_are_named_one_by_one() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert set(PACKAGES) == found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_in_one_sentence_what_it_is(package: str) -> None:
    sentence, *_ = re.split(r"(?<=\.)\s", _docstring(ROOT / package / "__init__.py"), maxsplit=1)
    assert re.fullmatch(r"[A-Z][^\n]+\.", sentence)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_tests_that_mirror_it(package: str) -> None:
    assert (ROOT / "tests" / package / "__init__.py").exists()


def test_every_module_says_what_it_owns() -> None:
    modules = [path for path in _tracked_files() if path.suffix == ".py" and path.read_text().strip()]
    assert [str(path) for path in modules if not _docstring(path)] == []


def test_every_setting_is_documented_where_it_is_declared() -> None:
    tree = ast.parse((ROOT / "binder/settings.py").read_text())
    (settings,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings")
    undocumented = [
        ast.unparse(node.target)
        for node, following in zip(settings.body, [*settings.body[1:], None], strict=True)
        if isinstance(node, ast.AnnAssign) and not _is_text(following)
    ]
    assert undocumented == []


def _is_text(node: ast.stmt | None) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def test_no_file_names_a_registry_or_this_checkout() -> None:
    named = re.compile("|".join([re.escape(str(ROOT)) + r"(?![\w.-])", *map(re.escape, REGISTRIES)]))
    found = []
    for path in _tracked_files():
        text = path.read_bytes().decode(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in named.finditer(text)]
    assert found == []
