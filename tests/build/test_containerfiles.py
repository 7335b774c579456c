"""What Buildah is told, word for word.

`BINDER_WRITE_GOLDEN=1 pytest tests/build/test_containerfiles.py` writes the golden files anew; look at the difference
before you commit it.
"""

import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from build.contents import Content, _script
from build.environments import Method, Wanted, files_for, variables_of
from build.lock import Lock
from build.plan import HOME, Layer
from build.recipes.asked import Project
from templates import render

_GOLDEN = Path(__file__).parent / "golden"
_KEY = "0123456789abcdef0123456789abcdef"
_BASE, _ENVIRONMENT = Layer("base", _KEY), Layer("environment", _KEY)
_RECORD = {"url": "https://c.example.org/x.conda", "sha256": "0" * 64, "name": "x", "version": "1", "build": "0"}
_PLAIN = Wanted(_ENVIRONMENT, _BASE, Lock("six==1.17.0\n"), {})
_CONDA = Wanted(_ENVIRONMENT, _BASE, Lock("", (_RECORD | {"name": "python"},)), {}, {"GREETING": 'say "$HOME" \\o/'})
_BESIDE = Wanted(_ENVIRONMENT, _BASE, Lock("six==1.17.0\n", (_RECORD,)), {})
_R = Wanted(_ENVIRONMENT, _BASE, Lock("six==1.17.0\n"), {"r.sh": "true\n"})
_PROJECTS = (Project("", editable=True), Project("lib/a b's"), Project("wheels/x-1.0-py3-none-any.whl"))
_MANIFESTS = {"": "pyproject.toml", "lib/a b's": "lib/a b's/setup.py", _PROJECTS[2].path: _PROJECTS[2].path}
_OF_PROJECTS = Content(
    _ENVIRONMENT,
    _BASE,
    0,
    projects=_PROJECTS,
    manifests=_MANIFESTS,
    built_with={"": "-i https://index.example.org/simple\nhatchling==1.27.0\n", "lib/a b's": "setuptools==80.9.0\n"},
    newest=datetime(2024, 6, 1, tzinfo=UTC),
    python="/opt/binder/env",
)
_LABELS = {
    "org.opencontainers.image.source": 'https://git.example.org/a"b',
    "org.opencontainers.image.revision": "0" * 40,
}


def _is_golden(name: str, text: str) -> None:
    golden = _GOLDEN / name
    if os.environ.get("BINDER_WRITE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def _is_a_script(text: str) -> None:
    """See that a shell can read it."""
    subprocess.run(["sh", "-n"], input=text.encode(), check=True, timeout=10)


@pytest.mark.parametrize(
    ("name", "wanted", "method"),
    [
        *((f"environment-{method}", _PLAIN, method) for method in get_args(Method)),
        ("environment-conda", _CONDA, "whole"),
        ("environment-conda-beside", _BESIDE, "whole"),
        ("environment-r", _R, "whole"),
    ],
)
def test_the_script_of_an_environment_is_what_it_was(name: str, wanted: Wanted, method: Method) -> None:
    script = files_for(wanted, method)["environment.sh"]
    _is_a_script(script)
    _is_golden(f"{name}.sh", script)


@pytest.mark.parametrize("method", get_args(Method))
def test_an_environment_does_not_tell_who_asked_for_it(method: Method) -> None:
    """It is shared by all who come to the same packages, in whatever words they ask."""
    other = replace(_PLAIN, lock=replace(_PLAIN.lock, made_of="what somebody else wrote"))
    assert files_for(other, method) == files_for(_PLAIN, method)


@pytest.mark.parametrize(("name", "wanted"), [("environment", _PLAIN), ("environment-conda", _CONDA)])
def test_the_containerfile_of_an_environment_is_what_it_was(name: str, wanted: Wanted) -> None:
    values = {"variables": variables_of(wanted), "entrypoint": wanted.entrypoint, "home": HOME}
    parent = f"localhost/binder:{_BASE.tag}"
    _is_golden(f"{name}.Containerfile", render("build/environment.Containerfile", parent=parent, **values))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("content-post-build", Content(_ENVIRONMENT, _BASE, 0, post_build="binder/post Build")),
        ("content-projects", _OF_PROJECTS),
        ("content-projects-cut-off", _OF_PROJECTS),
        ("content-r", Content(_ENVIRONMENT, _BASE, 0, is_r_package=True)),
    ],
)
def test_the_script_of_a_content_is_what_it_was(name: str, content: Content) -> None:
    script = _script(content, has_network=not name.endswith("cut-off"))
    _is_a_script(script)
    _is_golden(f"{name}.sh", script)


@pytest.mark.parametrize(
    ("name", "labels", "entrypoint"),
    [("content", _LABELS, None), ("content-start", {}, ("/opt/binder/conda-entrypoint", f"{HOME}/start"))],
)
def test_the_containerfile_of_a_content_is_what_it_was(
    name: str, labels: dict[str, str], entrypoint: tuple[str, ...] | None
) -> None:
    values = {"parent": f"localhost/binder:{_ENVIRONMENT.tag}", "labels": labels, "entrypoint": entrypoint}
    _is_golden(f"{name}.Containerfile", render("build/content.Containerfile", **values))
