"""The service that a command works with: the one that is named, the one of this machine, or the command's own.

All three are asked the same questions and answer alike. Where none is named, they are answered in this process, from
the store of its settings; who may read that is its operator.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
from starlette.applications import Starlette

from binder.cli.remote import Answer, fault_in, named_service
from binder.errors import OperatorFault, VisitorFault
from binder.log import set_up_logging
from binder.names import digest_of
from binder.paths import Paths
from binder.process import find_account
from binder.service.alone import engine_alone, is_served, working_alone
from binder.service.builder import wired_git
from binder.service.folders import make_folders
from binder.service.loops import Loops
from binder.service.module_catalogue import catalogue_in
from binder.service.sources import PublicRefs
from binder.service.views import Views
from binder.settings import Settings, read_settings
from binder.store import Store, open_store
from binder.store.tables import Repository
from build.commits.git import Git
from build.host import find_certificates
from proxy.operating import LOCAL_PREFIX, Operating
from proxy.operator_api import OperatorApi
from proxy.providers.local import HOST as LOCAL

_SECONDS = 600.0


class Service(Protocol):
    """What a command asks."""

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Any:
        """Ask for JSON.

        Raises: BinderError.
        """

    async def read(self, path: str, **query: Any) -> Answer:
        """Ask for a text.

        Raises: BinderError.
        """


class Alone:
    """This machine's own store, asked in this process. `loops` is there while this process is who works on it."""

    def __init__(self, settings: Settings, store: Store, views: Views) -> None:
        self.settings = settings
        self.store = store
        self.views = views
        self.loops: Loops | None = None
        self.folders: list[Path] = []
        self.operating = Operating(store, settings, _Refs(settings))
        api = OperatorApi(store, settings, self.operating, views, lambda: catalogue_in(settings))
        transport = httpx.ASGITransport(Starlette(routes=api.routes(is_open=True)))
        self._client = httpx.AsyncClient(transport=transport, base_url=settings.url, timeout=_SECONDS)

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Any:
        """Ask for JSON."""
        return (await self._asked(method, path, body, query)).json()

    async def read(self, path: str, **query: Any) -> Answer:
        """Ask for a text."""
        answer = await self._asked("GET", path, None, query)
        return Answer(answer.text, dict(answer.headers))

    async def _asked(
        self, method: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, Any]
    ) -> httpx.Response:
        asked = {name: value for name, value in query.items() if value is not None}
        answer = await self._client.request(method, path, json=body, params=asked)
        if answer.status_code != 200:
            raise fault_in(answer.json())
        return answer

    async def add_folder(self, folder: Path, ref: str) -> tuple[str, str]:
        """Have a commit of a folder be a repository of the store; return what it is called there, and the sha.

        Raises: VisitorFault.
        """
        from binder.cli.preview import commit_in, copy_commit  # noqa: PLC0415

        top, sha = await commit_in(folder, ref)
        account = find_account(self.settings.build_account)
        paths = Paths(self.settings.state_dir, self.settings.cache_dir)
        make_folders(paths, account)
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", top.name).strip("-.")[:80] or "repository"
        name = f"{slug}-{digest_of(str(top))[:8]}"
        mirror = paths.state / f"folder-{name}-{sha[:12]}.git"
        self.folders.append(mirror)
        await asyncio.to_thread(shutil.rmtree, mirror, ignore_errors=True)
        source = await copy_commit(top, sha, mirror, account)
        await self._remember(name, source.url)
        return f"{LOCAL_PREFIX}{name}", sha

    async def _remember(self, name: str, clone_url: str) -> None:
        from binder.store.queries import find_repository  # noqa: PLC0415

        async with self.store.write() as session:
            row = await find_repository(session, host=LOCAL, owner="preview", name=name)
            if row is None:
                row = Repository(host=LOCAL, owner="preview", name=name, clone_url=clone_url)
                session.add(row)
            row.clone_url = clone_url

    async def until_broken_or_cancelled(self) -> None:
        """Go on for ever, or until a loop of this process ends, which none may."""
        if self.loops:
            await self.loops.broken()
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Let go of what was only for the time of the command."""
        await self._client.aclose()
        for folder in self.folders:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


class _Refs:
    """Asks git servers, with tools that are wired once somebody is asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._git: Git | None = None

    async def resolve(self, clone_url: str, ref: str) -> str | None:
        """Return the sha of a ref."""
        if self._git is None:
            settings, account = self._settings, find_account(self._settings.build_account)
            paths = Paths(settings.state_dir, settings.cache_dir)
            make_folders(paths, account)
            self._git = wired_git(settings, paths, account, await find_certificates())
        return await PublicRefs(self._git, self._settings).resolve(clone_url, ref)


@asynccontextmanager
async def chosen_service(*, works: bool = False, serves: bool = False) -> AsyncIterator[Service]:
    """Give the service to work with; with `works`, one that makes what it is asked for so, and with `serves`, one that
    sessions can be opened at.

    Raises: BinderError.
    """
    if service := named_service():
        yield service
        return
    settings = read_settings()
    is_own = (works or serves) and not is_served(settings)
    if is_own:
        # Nobody keeps what is ready for the next click once the command has ended.
        settings = settings.model_copy(update={"standbys_at_most": 0})
    set_up_logging("error", as_json=False)
    async with AsyncExitStack() as stack:
        if not settings.database_url:
            Paths(settings.state_dir, settings.cache_dir).state.mkdir(parents=True, exist_ok=True)
        store = await stack.enter_async_context(open_store(settings.store_url))
        views = Views(settings, store)
        alone = Alone(settings, store, views)
        stack.push_async_callback(alone.close)
        if is_own:
            alone.loops = await stack.enter_async_context(working_alone(settings, store, views, serves=serves))
        yield alone


@asynccontextmanager
async def with_engine(service: Service) -> AsyncIterator[None]:
    """Have the engine be seen by whoever works alone while the block runs; a service that is named has its own.

    Raises: OperatorFault, where there is none.
    """
    if not isinstance(service, Alone) or service.views.engine is not None:
        yield
        return
    async with engine_alone(service.settings, service.store) as engine:
        service.views.engine = engine
        try:
            yield
        finally:
            service.views.engine = None


async def remove_pods(service: Service, session_ids: list[str]) -> None:
    """Have what there is of sessions that ended be removed at once, where no service does it.

    Raises: OperatorFault.
    """
    if isinstance(service, Alone) and session_ids and (service.loops or not is_served(service.settings)):
        async with with_engine(service):
            engine = service.views.engine
            if engine is None:
                raise OperatorFault("There is no engine.")
            await asyncio.gather(*(engine.stop(session_id) for session_id in session_ids))


async def named(service: Service, repository: str, ref: str) -> tuple[str, str]:
    """Return a repository as a service is told of it, and the ref: a folder of this machine is taken in.

    Raises: VisitorFault, where a service elsewhere could not get at it.
    """
    is_name = "://" in repository or re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", repository)
    if is_name and not (repository.startswith((".", "/")) or Path(repository).is_dir()):
        return repository, ref
    if not Path(repository).expanduser().is_dir():
        raise VisitorFault(f"{repository!r} is neither OWNER/NAME, nor an address (https://…), nor a folder.")
    if not isinstance(service, Alone):
        raise VisitorFault(f"{repository} is a folder of this machine: push it, and name its repository.")
    return await service.add_folder(Path(repository).expanduser(), ref)
