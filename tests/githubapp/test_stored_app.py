"""The App's keys on the disk: whole or not at all, for nobody else's eyes, and never in the place of others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from binder.errors import OperatorFault
from binder.settings import Settings, read_settings
from githubapp.stored_app import StoredApp, read_app, with_stored_app, write_app

APP = StoredApp(17, "binder", "Iv1", "https://github.com/apps/binder", "the key", "the webhook's", "the client's")
ANSWER: dict[str, Any] = {
    "id": 17,
    "slug": "binder",
    "client_id": "Iv1",
    "html_url": "https://github.com/apps/binder",
    "pem": "the key",
    "webhook_secret": "the webhook's",
    "client_secret": "the client's",
}


def settings_in(folder: Path, **more: object) -> Settings:
    nothing: dict[str, object] = {"github_app_id": None, "github_private_key_file": None, "github_webhook_secrets": ""}
    return read_settings(state_dir=folder, cache_dir=folder, **{**nothing, **more})


def secrets_of(settings: Settings) -> list[str]:
    return [one.get_secret_value() for one in settings.github_webhook_secrets]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read_app(tmp_path) is None
    write_app(tmp_path, APP)
    assert read_app(tmp_path) == APP == StoredApp.from_conversion(ANSWER)


def test_nobody_else_can_see_it(tmp_path: Path) -> None:
    write_app(tmp_path, APP)
    assert (tmp_path / "app").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "app").iterdir()} == {0o600}


def test_secrets_are_in_no_text_of_it() -> None:
    assert "the " not in repr(APP)


def test_a_second_one_never_takes_the_place_of_the_first(tmp_path: Path) -> None:
    write_app(tmp_path, APP)
    with pytest.raises(OperatorFault, match="could not be kept"):
        write_app(tmp_path, replace(APP, app_id=18))
    assert read_app(tmp_path) == APP
    assert [path.name for path in tmp_path.iterdir()] == ["app"]


@pytest.mark.parametrize("field", ANSWER)
@pytest.mark.parametrize("value", [None, "", "missing"])
def test_an_answer_that_is_not_whole_is_none(field: str, value: str | None) -> None:
    answer = {name: given for name, given in ANSWER.items() if name != field}
    if value != "missing":
        answer[field] = value
    with pytest.raises((KeyError, TypeError, ValueError)):
        StoredApp.from_conversion(answer)


@pytest.mark.parametrize("name", ["app.json", "private-key.pem", "webhook-secret"])
def test_one_that_is_broken_is_said(tmp_path: Path, name: str) -> None:
    write_app(tmp_path, APP)
    (tmp_path / "app" / name).unlink()
    with pytest.raises(OperatorFault, match="Restore the folder"):
        read_app(tmp_path)


def test_settings_that_name_no_app_get_it(tmp_path: Path) -> None:
    assert with_stored_app(settings_in(tmp_path), tmp_path).github_app_id is None
    write_app(tmp_path, APP)
    found = with_stored_app(settings_in(tmp_path), tmp_path)
    assert found.github_app_id == 17
    assert found.github_private_key_file
    assert found.github_private_key_file.read_text() == "the key"
    assert secrets_of(found) == ["the webhook's"]
    assert "the webhook's" not in repr(found)


def test_settings_win(tmp_path: Path) -> None:
    write_app(tmp_path, APP)
    own = settings_in(tmp_path, github_app_id=5, github_webhook_secrets="mine")
    assert with_stored_app(own, tmp_path) == own
    rotated = with_stored_app(settings_in(tmp_path, github_webhook_secrets="new,old"), tmp_path)
    assert (rotated.github_app_id, secrets_of(rotated)) == (17, ["new", "old"])
