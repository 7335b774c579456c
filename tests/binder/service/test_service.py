"""A part of a service in this process, on a real PostgreSQL, with a real HAProxy."""

from pathlib import Path

import httpx
import pytest

from binder.errors import OperatorFault
from binder.service import running_service
from binder.settings import Settings, read_settings
from tests.postgresql import PostgreSQL
from tests.proxy.conftest import free_port


def settings_of(home: Path, **values: object) -> Settings:
    """Return the settings of a part whose folders are its own; no cluster is named."""
    listen = f"127.0.0.1:{free_port()}"
    folders = {"state_dir": home / "state", "cache_dir": home / "cache"}
    return read_settings(
        **{
            "listen": listen,
            "url": f"http://{listen}",
            "engine": "kubernetes",
            "registry": "127.0.0.1:1/binder",
            **folders,
            **values,
        }
    )


async def test_the_proxy_part_needs_no_engine_and_no_cluster(
    reachable_path: Path, postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    settings = settings_of(reachable_path, database_url=postgresql.new_database())
    async with running_service(settings, part="proxy"), httpx.AsyncClient(base_url=settings.url) as client:
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/")).status_code == 200
    assert list((reachable_path / "cache" / "engine").iterdir()) == []


async def test_with_podman_there_are_no_parts(reachable_path: Path) -> None:
    settings = settings_of(reachable_path, engine="podman")
    with pytest.raises(OperatorFault, match="BINDER_ENGINE=kubernetes"):
        async with running_service(settings, part="controller"):
            pass
    assert not (reachable_path / "state").exists()
