"""The settings of Buildah and podman, and the folders that they keep to."""

import asyncio
import json
import os
import tomllib
from pathlib import Path

import pytest

from binder.containers import Registries, engine_environment, engine_settings, prepare_engine
from binder.paths import Paths
from binder.process import Account, Command, run


@pytest.fixture
def new_paths(reachable_path: Path, account: Account) -> Paths:
    paths = Paths(reachable_path / "state", reachable_path / "cache")
    paths.make(account)
    return paths


def test_the_settings_can_be_read_and_name_only_our_folders(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "state", tmp_path / "cache")
    settings = engine_settings(paths)
    parsed = {name: tomllib.loads(text) for name, text in settings.items() if name.endswith(".conf")}
    assert parsed["storage.conf"]["storage"]["driver"] == "overlay"
    assert parsed["registries.conf"]["unqualified-search-registries"] == []
    assert json.loads(settings[".config/containers/policy.json"])
    places = [value for table in parsed.values() for part in table.values() for value in _strings(part)]
    assert all(Path(place).is_relative_to(paths.engine) for place in places if place.startswith("/"))


def _strings(part: object) -> list[str]:
    return [value for value in part.values() if isinstance(value, str)] if isinstance(part, dict) else []


def test_the_environment_finds_nobody_elses_settings(tmp_path: Path, account: Account) -> None:
    paths = Paths(tmp_path / "state", tmp_path / "cache")
    environment = engine_environment(paths, account)
    assert all(Path(value).is_relative_to(paths.engine) for name, value in environment.items() if name != "USER")


async def _look(paths: Paths, account: Account, script: str) -> list[str]:
    done = await run(Command(["sh", "-c", script], cwd=paths.engine, account=account), timeout_seconds=10)
    assert done.ok, done.output
    return done.output.splitlines()


async def test_services_that_start_together_prepare_the_engine_together(new_paths: Paths, account: Account) -> None:
    await asyncio.gather(*(prepare_engine(new_paths, account) for _ in range(4)))
    written = await _look(new_paths, account, "cd home && find . -type f | sort")
    assert [name.removeprefix("./") for name in written] == sorted(engine_settings(new_paths))
    assert (
        await _look(new_paths, account, "cat home/containers.conf")
        == engine_settings(new_paths)["containers.conf"].splitlines()
    )


async def test_a_service_keeps_its_registry_whoever_shares_the_folder(new_paths: Paths, account: Account) -> None:
    other = Paths(new_paths.state.parent / "other", new_paths.cache)
    other.make(account)
    own = Registries("registry.example.org/binder", "binder", "a-password", plain_http=True)
    await prepare_engine(new_paths, account, own)
    await prepare_engine(other, account)
    found = {}
    for paths in (new_paths, other):
        environment = engine_environment(paths, account)
        files = (environment["CONTAINERS_REGISTRIES_CONF"], f"{environment['HOME']}/.config/containers/auth.json")
        found[paths] = [" ".join(await _look(paths, account, f"cat {file}")) for file in files]
    assert ["registry.example.org" in text for text in found[new_paths]] == [True, True]
    assert ["registry.example.org" in text for text in found[other]] == [False, False]
    # Without a registry, it is as all others are.
    await prepare_engine(new_paths, account)
    assert engine_environment(new_paths, account)["HOME"] == engine_environment(other, account)["HOME"]
    assert "a-password" not in " ".join(await _look(new_paths, account, "cat home*/.config/containers/auth.json"))


async def test_what_runs_is_kept_and_what_ran_before_the_machine_did_is_not(new_paths: Paths, account: Account) -> None:
    await prepare_engine(new_paths, account)
    await _look(new_paths, account, "touch run/mine")
    await prepare_engine(new_paths, account)
    assert "mine" in await _look(new_paths, account, "ls run")
    await _look(new_paths, account, "echo another >run/boot")
    await prepare_engine(new_paths, account)
    assert await _look(new_paths, account, "ls run") == ["boot"]


async def test_nobody_else_looks_into_the_engine(new_paths: Paths, account: Account) -> None:
    await prepare_engine(new_paths, account)
    assert new_paths.engine.stat().st_mode & 0o777 == 0o700
    if os.geteuid() == 0:
        assert new_paths.engine.stat().st_uid == account.uid
