"""The operator's code: used once, soon over, and nowhere written down as it is."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from binder.errors import OperatorFault
from githubapp.setup_code import LIFETIME, make_code, take_code

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_it_is_good_once(tmp_path: Path) -> None:
    code = make_code(tmp_path, NOW)
    assert take_code(tmp_path, code, NOW)
    assert not take_code(tmp_path, code, NOW)


@pytest.mark.parametrize("written", [str.lower, lambda code: code.replace("-", ""), lambda code: f"  {code}\n"])
def test_it_may_be_written_as_people_do(tmp_path: Path, written: Callable[[str], str]) -> None:
    assert take_code(tmp_path, written(make_code(tmp_path, NOW)), NOW)


def test_it_ends(tmp_path: Path) -> None:
    code = make_code(tmp_path, NOW)
    assert not take_code(tmp_path, code, NOW + LIFETIME)
    assert take_code(tmp_path, code, NOW + LIFETIME - timedelta(seconds=1))


def test_a_wrong_one_does_not_use_it_up(tmp_path: Path) -> None:
    code = make_code(tmp_path, NOW)
    for wrong in ("", "AAAAA-AAAAA-AAAAA-AAAAA", code[:-1], code + "A", "ü" * 1000):
        assert not take_code(tmp_path, wrong, NOW)
    assert take_code(tmp_path, code, NOW)


def test_a_new_one_ends_the_old_one(tmp_path: Path) -> None:
    old, new = make_code(tmp_path, NOW), make_code(tmp_path, NOW)
    assert not take_code(tmp_path, old, NOW)
    assert take_code(tmp_path, new, NOW)


def test_where_there_is_none_none_is_good(tmp_path: Path) -> None:
    assert not take_code(tmp_path, "AAAAA-AAAAA-AAAAA-AAAAA", NOW)
    (tmp_path / "setup-code.json").write_text("no json")
    assert not take_code(tmp_path, "AAAAA-AAAAA-AAAAA-AAAAA", NOW)


def test_only_its_digest_is_kept_for_the_service_alone(tmp_path: Path) -> None:
    code = make_code(tmp_path, NOW)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert code.replace("-", "") not in file.read_text()
    assert code not in file.read_text()


def test_of_many_who_bring_it_at_once_one_gets_through(tmp_path: Path) -> None:
    code = make_code(tmp_path, NOW)
    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(lambda _: take_code(tmp_path, code, NOW), range(100)))
    assert taken.count(True) == 1


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(OperatorFault, match="cannot be written to"):
        make_code(tmp_path / "nowhere", NOW)
