"""The catalogue: Binder's own modules and an operator's, of which the latter win, and versions side by side."""

from pathlib import Path

import pytest

from binder.errors import OperatorFault
from modules.beginning import new_module
from modules.catalogue import Catalogue, built_in, catalogue_of
from modules.checking import check_folder
from modules.folders import BUILT_IN
from tests.modules.samples import FILES, files_with, postgres
from tests.modules.test_checking import written


def test_the_highest_version_is_the_usual_one() -> None:
    catalogue = Catalogue().joined([postgres("9.6"), postgres("15"), postgres("15.10"), postgres("15.9")])
    assert catalogue.versions("postgres") == ("15.10", "15.9", "15", "9.6")
    assert [found.version for version in (None, "9.6") if (found := catalogue.find("postgres", version))] == [
        "15.10",
        "9.6",
    ]
    assert catalogue.find("postgres", "14") is catalogue.find("redis") is None


def test_an_operators_module_wins(tmp_path: Path) -> None:
    name, version = next(((one.name, one.version) for one in built_in().all()), ("mailbox", "1"))
    written(tmp_path / "first" / name / version, new_module(name, version))
    second = written(tmp_path / "second" / name / version, new_module(name, version)) / "module.yml"
    second.write_text(second.read_text().replace("title: ", "title: Second "))
    catalogue = catalogue_of([(tmp_path / "first", "first"), (tmp_path / "second", "second")])
    found = catalogue.find(name, version)
    assert found
    assert (found.title, found.origin) == (f"Second {name}", "second")
    assert set(catalogue.names) == {*built_in().names, name}


def test_all_of_our_own_modules_are_good_ones() -> None:
    modules = built_in().all()
    if modules:
        assert [(one.name, one.problem) for one in check_folder(BUILT_IN) if one.problem] == []


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "holds no module"),
        (files_with(definition=("{server: 1}", "{sever: 1}")), r"module\.yml line 16: .* does not know `sever`"),
    ],
)
def test_a_folder_that_is_wrong_is_the_operators_fault(tmp_path: Path, files: dict[str, bytes], problem: str) -> None:
    written(tmp_path / "postgres/15", files)
    with pytest.raises(OperatorFault, match=problem):
        catalogue_of([(tmp_path, "an operator's")])


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorFault, match="BINDER_MODULES"):
        catalogue_of([(tmp_path / "none", "an operator's")])


def test_links_are_followed_nowhere(tmp_path: Path) -> None:
    folder = written(tmp_path / "postgres/15", FILES)
    (folder / "images/server/passwd").symlink_to("/etc/passwd")
    with pytest.raises(OperatorFault, match="links are followed nowhere"):
        catalogue_of([(tmp_path, "an operator's")])


def test_what_python_and_people_leave_there_is_no_part_of_it(tmp_path: Path) -> None:
    folder = written(tmp_path / "postgres/15", FILES)
    before = catalogue_of([(tmp_path, "an operator's")]).find("postgres", "15")
    written(folder, {"client/binder_modules/__pycache__/postgres.cpython-311.pyc": b"x", ".git/config": b"x"})
    after = catalogue_of([(tmp_path, "an operator's")]).find("postgres", "15")
    assert before
    assert after
    assert before.digest == after.digest


def test_a_version_has_what_all_versions_have_and_its_own_wins(tmp_path: Path) -> None:
    own = {name: content for name, content in FILES.items() if not name.startswith("client/")}
    written(tmp_path / "postgres/15", own | {"README.md": b"# Fifteen"})
    written(tmp_path / "postgres/16", FILES)
    written(tmp_path / "postgres/all", {name: FILES[name] for name in FILES.keys() - own} | {"README.md": b"# Any"})
    known = catalogue_of([(tmp_path, "an operator's")])
    fifteen, sixteen = known.find("postgres", "15"), known.find("postgres", "16")
    assert fifteen
    assert sixteen
    assert fifteen.client == sixteen.client
    assert (fifteen.files["README.md"], sixteen.files["README.md"]) == (b"# Fifteen", b"# Any")
    assert known.find("postgres", "all") is None
