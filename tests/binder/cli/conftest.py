"""A store with a binder in it, and a service that answers for it, as operators have them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from binder.service.module_catalogue import catalogue_in
from binder.service.views import Views
from binder.service.web import network_socket, serving
from binder.settings import Settings, read_settings
from binder.store import Store, open_store
from proxy.operating import Operating
from proxy.operator_api import OperatorApi
from tests.proxy.conftest import free_port
from tests.proxy.fakes import FakeResolver

TOKEN = "a-token-of-the-tests-of-operators"


@dataclass(frozen=True)
class Desk:
    """A service that answers operators: its store, and what their commands are told of it."""

    store: Store
    settings: Settings
    resolver: FakeResolver
    env: dict[str, str]


@pytest.fixture
def alone(tmp_path: Path) -> dict[str, str]:
    """Variables of whoever works alone on a store of the test's own."""
    return {"BINDER_STATE_DIR": str(tmp_path / "state")}


@pytest.fixture
async def own_store(alone: dict[str, str]) -> AsyncIterator[Store]:
    """The store of whoever works alone."""
    folder = Path(alone["BINDER_STATE_DIR"])
    folder.mkdir()
    async with open_store(f"sqlite+aiosqlite:///{folder / 'binder.db'}") as store:
        yield store


@pytest.fixture
async def desk(store: Store, tmp_path: Path) -> AsyncIterator[Desk]:
    """A service elsewhere, on SQLite and on PostgreSQL, that knows a token."""
    listen = f"127.0.0.1:{free_port()}"
    settings = read_settings(
        state_dir=tmp_path / "elsewhere",
        cache_dir=tmp_path / "cache",
        url=f"http://{listen}",
        api_token=SecretStr(TOKEN),
        sessions_at_most=5,
    )
    resolver = FakeResolver()
    views = Views(settings, store)
    api = OperatorApi(store, settings, Operating(store, settings, resolver), views, lambda: catalogue_in(settings))
    async with serving(Starlette(routes=api.routes()), network_socket(listen)):
        env = {"BINDER_URL": settings.url, "BINDER_TOKEN": TOKEN, "BINDER_STATE_DIR": str(tmp_path / "nowhere")}
        yield Desk(store, settings, resolver, env)
