"""`binder images` takes a checkout as it is, and says where there is none."""

import zipfile
from io import BytesIO
from pathlib import Path

import pytest

import binder
from binder.cli.images import sources_in
from binder.errors import OperatorFault

_CHECKOUT = Path(binder.__file__).parents[1]


async def test_our_images_hold_all_of_us_and_no_developer_s_tools(tmp_path: Path) -> None:
    sources = await sources_in(_CHECKOUT, tmp_path)
    names = set(zipfile.ZipFile(BytesIO(sources.wheel)).namelist())
    assert {"binder/cli/images.py", "templates/haproxy.cfg", "build/base.py", "deploy/kubernetes.py"} <= names
    assert not [name for name in names if name.startswith(("tests/", "deploy/chart/"))]
    locked = {line.split("==")[0] for line in sources.requirements.splitlines() if "==" in line}
    assert {"kubernetes", "psycopg-binary", "uv"} <= locked
    assert not {"pytest", "mypy", "hatchling", "playwright"} & locked


async def test_the_same_checkout_gives_the_same_wheel(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    one, other = [await sources_in(_CHECKOUT, folder) for folder in folders]
    assert one == other


async def test_what_is_no_checkout_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(OperatorFault, match="checkout of this project"):
        await sources_in(tmp_path, tmp_path)
