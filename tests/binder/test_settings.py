"""Settings: read once, wrong ones reported together, secrets masked."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from binder.errors import OperatorFault
from binder.settings import Settings, read_settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("BINDER_"):
            monkeypatch.delenv(name)


def test_all_settings_have_a_default() -> None:
    settings = read_settings()
    assert settings.url == "http://127.0.0.1:8585"
    assert settings.store_url == f"sqlite+aiosqlite:///{settings.state_dir}/binder.db"
    assert settings.github_host == "github.com"


def test_root_keeps_to_the_systems_folders_and_others_to_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert read_settings().state_dir == Path("/var/lib/binder")
    assert read_settings().cache_dir == Path("/var/cache/binder")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch/ada")
    assert read_settings().state_dir == Path("/home/ada/.local/state/binder")
    assert read_settings().cache_dir == Path("/scratch/ada/binder")


def test_settings_come_from_the_environment_and_overrides_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDER_BUILDS_AT_ONCE", "7")
    monkeypatch.setenv("BINDER_URL", "https://binder.example.org/")
    assert read_settings().builds_at_once == 7
    assert read_settings().url == "https://binder.example.org"
    assert read_settings(builds_at_once=3).builds_at_once == 3


def test_wrong_settings_are_reported_all_together_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDER_URL", "ftp://binder.example.org")
    monkeypatch.setenv("BINDER_BUILDS_AT_ONCE", "many")
    monkeypatch.setenv("BINDER_LOG_LEVEL", "loud")
    with pytest.raises(OperatorFault) as caught:
        read_settings()
    for name in ("BINDER_URL", "BINDER_BUILDS_AT_ONCE", "BINDER_LOG_LEVEL"):
        assert f"{name}: " in caught.value.message


@pytest.mark.parametrize(
    "host", ["http://a", "a:1", "a..b", ".a", "-a", "a b", "a/b", "*.a", "a" * 201, "example.org", "org"]
)
def test_a_host_of_sessions_that_is_none_or_the_services_is_refused(host: str) -> None:
    with pytest.raises(OperatorFault, match="BINDER_SESSIONS_HOST"):
        read_settings(url="https://example.org", sessions_host=host)


def test_a_host_of_sessions_is_compared_without_case() -> None:
    assert read_settings(sessions_host="Sessions.Example.Org").sessions_host == "sessions.example.org"
    assert read_settings(url="http://localhost:8585", sessions_host="localhost").sessions_host == "localhost"
    with pytest.raises(OperatorFault, match="BINDER_SESSIONS_HOST"):
        read_settings(url="http://binder.localhost:8585", sessions_host="localhost")


@pytest.mark.parametrize("listen", ["8585", ":8585", "localhost:", "localhost:http", "localhost:0", "localhost:65536"])
def test_an_address_without_a_port_is_refused(listen: str) -> None:
    with pytest.raises(OperatorFault, match="BINDER_LISTEN"):
        read_settings(listen=listen)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        read_settings().builds_at_once = 3


def test_secrets_are_masked_wherever_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDER_GITHUB_WEBHOOK_SECRETS", "hunter2,hunter3")
    monkeypatch.setenv("BINDER_DATABASE_URL", "postgresql+psycopg://binder:hunter4@db.example.org/binder")
    settings = read_settings()
    assert [secret.get_secret_value() for secret in settings.github_webhook_secrets] == ["hunter2", "hunter3"]
    assert settings.store_url.endswith("hunter4@db.example.org/binder")
    for printed in (repr(settings), str(settings)):
        assert "hunter" not in printed


def test_secrets_may_be_written_with_spaces_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDER_GITHUB_WEBHOOK_SECRETS", "one, two,")
    assert [secret.get_secret_value() for secret in read_settings().github_webhook_secrets] == ["one", "two"]


def test_folders_do_not_depend_on_where_a_child_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BINDER_STATE_DIR", "state")
    assert read_settings().state_dir == tmp_path / "state"


def test_the_github_host_is_that_of_its_pages() -> None:
    assert Settings(github_url="https://github.example.org:8443/").github_host == "github.example.org"


@pytest.mark.parametrize("cache", ["/var/cache", "host:cache", "claim:", "claim:Builds", "pvc:builds"])
def test_a_cache_of_builders_is_a_folder_of_nodes_or_a_claim(cache: str) -> None:
    with pytest.raises(OperatorFault, match="BINDER_BUILDER_CACHE"):
        read_settings(builder_cache=cache)
    assert read_settings(builder_cache="host:/var/cache/builds").builder_cache == "host:/var/cache/builds"


@pytest.mark.parametrize("network", ["10.1.2.3:5000", "registry.example.org", "mirrors:http", "10.1.2.0/24:"])
def test_what_builders_reach_is_a_network_or_a_namespace(network: str) -> None:
    with pytest.raises(OperatorFault, match="BINDER_BUILDER_NETWORKS"):
        read_settings(builder_networks=network)


def test_where_builders_run_and_what_they_reach_is_written_as_for_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDER_BUILDER_NODE_SELECTOR", "pool=builds")
    monkeypatch.setenv("BINDER_BUILDER_TOLERATIONS", "builds=yes:NoSchedule, other")
    monkeypatch.setenv("BINDER_BUILDER_NETWORKS", "10.1.2.0/24, mirrors,")
    settings = read_settings()
    assert settings.builder_node_selector == (("pool", "builds"),)
    assert settings.builder_tolerations == (("builds", "yes", "NoSchedule"), ("other", "", ""))
    assert settings.builder_networks == ("10.1.2.0/24", "mirrors")
