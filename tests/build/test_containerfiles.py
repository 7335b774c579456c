"""What Buildah is told, word for word.

`BINDER_WRITE_GOLDEN=1 pytest tests/build/test_containerfiles.py` writes the golden files anew; look at the difference
before you commit it.
"""

import os
from pathlib import Path

import pytest

from build.plan import ENVIRONMENT_HOME, HOME
from templates import render

_GOLDEN = Path(__file__).parent / "golden"
_KEY = "0123456789abcdef0123456789abcdef"
_ENVIRONMENT = {"base": f"localhost/binder/base:{_KEY}", "prefix": ENVIRONMENT_HOME, "home": HOME}
_CONTENT = {"environment": f"localhost/binder/environment:{_KEY}", "home": HOME}


@pytest.mark.parametrize(
    ("name", "template", "values"),
    [
        ("environment", "environment", _ENVIRONMENT | {"builds_allowed": False}),
        ("environment-built", "environment", _ENVIRONMENT | {"builds_allowed": True}),
        ("content", "content", _CONTENT | {"post_build": None}),
        ("content-post-build", "content", _CONTENT | {"post_build": ".binder/postBuild"}),
    ],
)
def test_a_containerfile_is_what_it_was(name: str, template: str, values: dict[str, object]) -> None:
    golden = _GOLDEN / f"{name}.Containerfile"
    rendered = render(f"build/{template}.Containerfile", **values)
    if os.environ.get("BINDER_WRITE_GOLDEN"):
        golden.write_text(rendered)
    assert rendered == golden.read_text()
