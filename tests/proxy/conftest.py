"""A store, folders and settings for each test, and the pages as an application."""

import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from binder.paths import Paths
from binder.process import find_account
from binder.service.github import GitHubSide
from binder.settings import Settings, read_settings
from binder.store import Store, open_store
from githubapp.setup import SetUp
from proxy.context import ProxyContext
from proxy.haproxy import service_socket
from proxy.pages import routes
from proxy.routes import RouteKeeper
from tests.postgresql import store_address
from tests.proxy.fakes import FakeResolver, FakeRouteTable
from tests.proxy.upstreams import application_on_socket


def free_port() -> int:
    """Return a port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def made_folder() -> Iterator[Path]:
    """Give a folder with a path that is short enough for sockets, and that HAProxy's account can pass through."""
    path = Path(tempfile.mkdtemp(prefix="binder-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def made_paths(settings: Settings) -> Paths:
    """Return a service's folders, made."""
    made = Paths(settings.state_dir, settings.cache_dir)
    made.make(find_account(settings.build_account))
    return made


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the test's own."""
    with made_folder() as path:
        yield path


@pytest.fixture
def settings(folder: Path) -> Settings:
    """Settings of their own folders and port."""
    listen = f"127.0.0.1:{free_port()}"
    return read_settings(
        state_dir=folder / "state",
        cache_dir=folder / "cache",
        listen=listen,
        url=f"http://{listen}",
        sessions_at_most=5,
    )


@pytest.fixture
def paths(settings: Settings) -> Paths:
    """The folders of these settings."""
    return made_paths(settings)


@pytest.fixture
def store_url(request: pytest.FixtureRequest, paths: Paths) -> str:
    """The address of an empty database, SQLite's where nothing else is asked for."""
    return store_address(getattr(request, "param", "sqlite"), request, paths.state)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An empty store."""
    async with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def table() -> FakeRouteTable:
    """A table of routes in memory."""
    return FakeRouteTable()


@pytest.fixture
def resolver() -> FakeResolver:
    """A git server that knows nothing yet."""
    return FakeResolver()


@pytest.fixture
def context(
    store: Store, settings: Settings, paths: Paths, table: FakeRouteTable, resolver: FakeResolver
) -> ProxyContext:
    """What the pages are given."""
    github = GitHubSide(store, settings)
    set_up = SetUp(settings, paths, github.begin_with)
    return ProxyContext(store, settings, paths, table, RouteKeeper(store, table), resolver, set_up, github.visitors)


@pytest.fixture
async def visitor(context: ProxyContext) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the pages that does not follow redirects."""
    async with client_of(Starlette(routes=routes(context)), context.settings.url) as client:
        yield client


@pytest.fixture
async def streamer(context: ProxyContext) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the pages that gets an answer's parts as they are sent."""
    path = service_socket(context.paths)
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with (
        application_on_socket(Starlette(routes=routes(context)), path),
        httpx.AsyncClient(transport=transport, base_url=context.settings.url, timeout=10) as client,
    ):
        yield client


def client_of(application: Starlette, url: str) -> httpx.AsyncClient:
    """Return a client that talks to an application without a socket."""
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=url)
