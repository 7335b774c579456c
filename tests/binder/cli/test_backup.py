"""`binder backup` and `binder restore`, typed: on SQLite and PostgreSQL, while somebody writes, and over nothing."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from binder.service.folders import alone_in
from binder.store import Store, open_store
from binder.store.schema import upgrade
from binder.store.tables import Build
from githubapp.stored_app import StoredApp, read_app, write_app
from tests.binder.cli.typed import Ended, typed
from tests.binder.rows import add_repository
from tests.postgresql import EACH_STORE, store_address

_TAG = "lock-" + "0123456789abcdef" * 2
_GONE = "lock-" + "f" * 32
_APP = StoredApp(
    7, "ours", "Iv1.7", "https://github.com/apps/ours", "PEM of ours", "a webhook secret", "a client secret"
)


@dataclass(frozen=True)
class Place:
    """A state folder, a cache folder and a database."""

    state: Path
    cache: Path
    url: str

    @property
    def env(self) -> dict[str, str]:
        """What says where they are."""
        env = {"BINDER_STATE_DIR": str(self.state), "BINDER_CACHE_DIR": str(self.cache)}
        return env if self.url.startswith("sqlite") else {**env, "BINDER_DATABASE_URL": self.url}


def _place(folder: Path, kind: str, request: pytest.FixtureRequest) -> Place:
    (folder / "state").mkdir(parents=True)
    return Place(folder / "state", folder / "cache", store_address(kind, request, folder / "state"))


async def _lived_in(place: Place) -> None:
    """Have a build, with the lock that it was made of, and an App."""
    async with open_store(place.url) as store:
        repository = await add_repository(store)
        result = {"image": "localhost/binder:content-1", "locks": [_TAG, _GONE]}
        async with store.write() as session:
            session.add(Build(repository_id=repository.id, sha="a" * 40, state="succeeded", result=result))
    (place.cache / "locks").mkdir(parents=True)
    (place.cache / "locks" / _TAG).write_text("six==1.16\n", encoding="utf-8")
    (place.state / "github").mkdir(mode=0o700)
    write_app(place.state / "github", _APP)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "monday.zip"


async def _backed_up(place: Place, file: Path, *options: str) -> Ended:
    await _lived_in(place)
    ended = await typed("backup", str(file), *options, env=place.env)
    assert ended.code == 0, ended.complaint
    return ended


async def _build(store: Store) -> Build:
    async with store.read() as session:
        return await session.get_one(Build, 1)


@pytest.mark.parametrize(("kind", "other"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
async def test_what_was_backed_up_is_there_again(
    kind: str, other: str, tmp_path: Path, file: Path, request: pytest.FixtureRequest
) -> None:
    ended = await _backed_up(_place(tmp_path / "old", kind, request), file, "--with-keys")
    assert "2 locks" not in ended.output
    assert "1 locks are in no cache any more" in ended.output
    assert "The App's keys are in it" in ended.output
    assert file.stat().st_mode & 0o777 == 0o600
    new = _place(tmp_path / "new", other, request)
    ended = await typed("restore", str(file), env=new.env)
    assert ended.code == 0, ended.complaint
    assert (new.cache / "locks" / _TAG).read_text(encoding="utf-8") == "six==1.16\n"
    assert read_app(new.state / "github") == _APP
    assert {one.stat().st_mode & 0o777 for one in (new.state / "github" / "app").iterdir()} == {0o600}
    async with open_store(new.url) as store:
        build = await _build(store)
        # This machine does not have the image: who wants it has it built again.
        assert (build.sha, build.result) == ("a" * 40, {"image": None, "locks": [_TAG, _GONE]})
    assert not list(new.state.glob("restore-*"))


async def test_keys_are_in_it_only_where_that_is_asked_for(
    tmp_path: Path, file: Path, request: pytest.FixtureRequest
) -> None:
    ended = await _backed_up(_place(tmp_path / "old", "sqlite", request), file)
    assert "No keys of the App are in it" in ended.output
    content = file.read_bytes()
    assert b"PEM of ours" not in content
    assert b"private-key" not in content
    new = _place(tmp_path / "new", "sqlite", request)
    ended = await typed("restore", str(file), env=new.env)
    assert (ended.code, "No App's keys were in it" in ended.output) == (0, True)
    assert read_app(new.state / "github") is None


async def test_where_there_are_no_keys_none_can_be_backed_up(
    tmp_path: Path, file: Path, request: pytest.FixtureRequest
) -> None:
    place = _place(tmp_path, "sqlite", request)
    upgrade(place.url)
    ended = await typed("backup", "--with-keys", str(file), env=place.env)
    assert (ended.code, file.exists()) == (4, False)
    assert "There are no keys of an App" in ended.complaint


@EACH_STORE
async def test_nothing_is_restored_over_something(
    store_url: str, tmp_path: Path, file: Path, request: pytest.FixtureRequest
) -> None:
    await _backed_up(_place(tmp_path / "old", "sqlite", request), file, "--with-keys")
    kind = "sqlite" if store_url.startswith("sqlite") else "postgresql"
    new = _place(tmp_path / "new", kind, request)
    async with open_store(new.url) as store:
        await add_repository(store, "mine")
    ended = await typed("restore", str(file), env=new.env)
    assert ended.code == 4
    assert "The store is not empty" in ended.complaint
    assert read_app(new.state / "github") is None  # nor any part of it
    shutil.rmtree(new.state)
    new = _place(tmp_path / "newer", kind, request)
    (new.state / "github").mkdir(mode=0o700)
    write_app(new.state / "github", _APP)
    ended = await typed("restore", str(file), env=new.env)
    assert (ended.code, "The keys of an App are in" in ended.complaint) == (4, True)
    async with open_store(new.url) as store, store.read() as session:
        assert await session.get(Build, 1) is None


async def test_nothing_is_restored_where_a_service_runs(
    tmp_path: Path, file: Path, request: pytest.FixtureRequest
) -> None:
    await _backed_up(_place(tmp_path / "old", "sqlite", request), file)
    new = _place(tmp_path / "new", "sqlite", request)
    with alone_in(new.state):
        ended = await typed("restore", str(file), env=new.env)
    assert (ended.code, "Another service already runs" in ended.complaint) == (4, True)


async def test_a_file_that_is_none_changes_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    new = _place(tmp_path / "new", "sqlite", request)
    file = tmp_path / "notes.zip"
    file.write_text(json.dumps({"not": "a backup"}), encoding="utf-8")
    ended = await typed("restore", str(file), env=new.env)
    assert (ended.code, ended.output) == (4, "")
    assert "is no backup that `binder backup` made" in ended.complaint
    assert list(new.state.iterdir()) == []
