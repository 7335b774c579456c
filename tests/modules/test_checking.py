"""What `binder modules check` and `binder modules new` do with folders."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from binder.errors import OperatorFault
from modules.beginning import new_module
from modules.checking import check_folder
from tests.modules.samples import FILES, files_with


def written(folder: Path, files: Mapping[str, bytes]) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.mark.parametrize(("name", "version"), [("mailbox", "1.0"), ("my-box", "2")])
def test_a_new_module_is_a_good_one(tmp_path: Path, name: str, version: str) -> None:
    folder = written(tmp_path / name / version, new_module(name, version))
    (checked,) = check_folder(folder)
    assert (checked.problem, checked.name, checked.version) == ("", name, version)
    assert [service.name for service in checked.modes["single-node"].services] == [f"{name}-server"]


@pytest.mark.parametrize(("name", "version"), [("Mailbox", "1.0"), ("mailbox", "new"), ("../x", "1")])
def test_a_new_module_has_a_name_and_a_version(name: str, version: str) -> None:
    with pytest.raises(OperatorFault):
        new_module(name, version)


def test_all_of_a_folder_are_checked(tmp_path: Path) -> None:
    written(tmp_path / "postgres/15", FILES)
    written(tmp_path / "postgres/16", files_with(definition=("{server: 1}", "{sever: 1}")))
    written(tmp_path / "mailbox/1.0", new_module("mailbox", "1.0"))
    found = {(one.name, one.version): (one.place, one.problem) for one in check_folder(tmp_path)}
    assert found["postgres", "15"] == found["mailbox", "1.0"] == ("", "")
    place, problem = found["postgres", "16"]
    assert place == "module.yml line 16"
    assert "does not know `sever`" in problem
    assert len(check_folder(tmp_path / "postgres")) == 2


def test_where_there_is_no_module_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(OperatorFault, match=r"has no module\.yml"):
        check_folder(tmp_path)
