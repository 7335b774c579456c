"""HAProxy as a child of this process: its configuration, its start, and its restart when it dies.

It dies with us. Each start finds the whole table of routes in a file, so that no request of an open notebook meets an
empty one. What the table should hold is `proxy.routes`' question; changing it while HAProxy runs is `proxy.runtime`'s.
"""

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from binder.errors import OperatorFault
from binder.log import logger
from binder.paths import Paths
from binder.process import Account, Command, Completed, TimedOutError, find_account, lines_of, run, spawn
from binder.settings import Settings
from proxy.certificates import read_certificates
from proxy.origins import cookie_name
from proxy.runtime import IDLE_TABLE_SECONDS, ROUTES_FILE, RuntimeApi
from templates import render

log = logger(__name__)

_ACCOUNT = "haproxy"
# Tables of tens of thousands of routes and sessions are looked up all over: with large pages, that takes less time.
# https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html
_ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
_UNAVAILABLE = "unavailable.html"
_CERTIFICATES = "certificates"
_CHECK_SECONDS = 15.0
_START_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 10.0
_HEALTHY_SECONDS = 60.0
_OPEN_RESPONSES_SECONDS = 5
_DRAIN_SECONDS = _OPEN_RESPONSES_SECONDS + 2.0
_SPARE_DESCRIPTORS = 256
_MOST_CONNECTIONS = 20_000
_LONGEST_SOCKET_PATH = 90  # of the 107 bytes of sun_path, HAProxy wants some for the name that it binds first

Routes = Mapping[str, str]
"""A table of routes: key → target."""


def service_socket(paths: Paths) -> Path:
    """Return where the service's own application has to listen."""
    return paths.run / "app.sock"


def connections_at_most(descriptors: int) -> int:
    """Return how many connections fit a limit of file descriptors (-1: none): each takes two, one on either side.

    HAProxy does not start where its `maxconn` needs more than there are, and takes memory for each that there could be.
    """
    if descriptors == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(50, min(_MOST_CONNECTIONS, (descriptors - _SPARE_DESCRIPTORS) // 2))


class HAProxy:
    """A HAProxy that is kept running; `routes` is asked for the table before each start."""

    def __init__(self, settings: Settings, paths: Paths, routes: Callable[[], Awaitable[Routes]]) -> None:
        self._settings = settings
        self._routes = routes
        self._account = _haproxy_account()
        self._app_socket = service_socket(paths)
        self._folder = paths.run / "haproxy"
        self._admin_socket = self._folder / "admin.sock"
        self.runtime = RuntimeApi(self._admin_socket)
        self.pid: int | None = None
        """The running child's process id."""
        self.certificates: dict[str, str] = {}
        """What TLS was begun with: name → PEM."""

    async def prepare(self) -> None:
        """Write the configuration, and have HAProxy check it.

        Raises: OperatorFault.
        """
        longest = max(len(os.fsencode(path)) for path in (self._admin_socket, self._app_socket))
        if longest > _LONGEST_SOCKET_PATH:
            raise OperatorFault(
                f"The state folder's path is {longest - _LONGEST_SOCKET_PATH} bytes too long for the sockets below it. "
                "Set BINDER_STATE_DIR to a shorter one."
            )
        self._make_folder(self._folder)
        await self._write_routes()
        self._write(_UNAVAILABLE, render("pages/unavailable.html"))
        self._copy_certificates()
        self._write("haproxy.cfg", self._configuration())
        try:
            checked = await run(self._command("-c"), timeout_seconds=_CHECK_SECONDS)
        except TimedOutError as error:
            raise OperatorFault("HAProxy did not check its configuration in time.") from error
        if not checked.ok:
            raise OperatorFault(f"HAProxy does not take its configuration: {_alerts(checked)}")

    async def serve_certificate(self, name: str, text: str) -> None:
        """Serve a certificate in place of that of the same name from now on; connections that are open stay.

        Raises: OperatorFault, where HAProxy does not take it: the one before goes on.
        """
        await self.runtime.set_certificate(f"{_CERTIFICATES}/{name}", text)
        self._write(f"{_CERTIFICATES}/{name}", text)

    async def keep_running(self, started: "asyncio.Future[None]") -> None:
        """Run HAProxy for ever; `started` learns how the first start went, and the end where that failed."""
        pause = 0.0
        while True:
            began = time.monotonic()
            try:
                await self._run_once(started)
            except Exception as error:
                if not started.done():
                    started.set_exception(error)
                    return
                log.exception("haproxy_ended", listen=self._settings.listen)
            pause = next_pause(pause, time.monotonic() - began)
            await asyncio.sleep(pause)

    async def _run_once(self, started: "asyncio.Future[None]") -> None:
        await self._write_routes()
        said: deque[str] = deque(maxlen=20)
        async with spawn(self._command("-db")) as process:
            self.pid = process.pid
            listening = asyncio.create_task(_listen(process, said))
            try:
                await self._wait_until_up(process, listening)
                if not started.done():
                    started.set_result(None)
                log.info("haproxy_started", listen=self._settings.listen, pid=process.pid)
                await process.wait()
            finally:
                self.pid = None
                listening.cancel()
                await _drain(process)
        raise OperatorFault(f"HAProxy ended with {process.returncode}: {' '.join(said) or 'it said nothing'}")

    async def _wait_until_up(self, process: asyncio.subprocess.Process, listening: "asyncio.Task[str]") -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if process.returncode is not None:
                raise OperatorFault(self._failed_start(await listening))
            # Not any HAProxy will do: one that was here before may still answer on the same socket.
            with contextlib.suppress(OperatorFault):
                if await self.runtime.running_pid() == process.pid:
                    return
            await asyncio.sleep(0.02)
        raise OperatorFault(f"HAProxy was not up after {_START_SECONDS:g} s.")

    def _failed_start(self, said: str) -> str:
        listen, http_listen = self._settings.listen, self._settings.http_listen
        if http_listen and f"[{http_listen}]" in said:
            return f"HAProxy cannot listen on {http_listen}, which BINDER_HTTP_LISTEN says: {said}"
        if "in use" in said:
            return (
                f"HAProxy cannot listen on {listen}: another program does. "
                "End it, or set BINDER_LISTEN (and BINDER_URL) to a free port."
            )
        if "ermission denied" in said:
            return f"HAProxy may not listen on {listen}. Set BINDER_LISTEN to a port above 1023."
        return f"HAProxy cannot listen on {listen}: {said}"

    def _command(self, flag: str) -> Command:
        argv = ("haproxy", flag, "-f", str(self._folder / "haproxy.cfg"))
        return Command(argv, _ENVIRONMENT, account=self._account, cwd=self._folder)

    def _configuration(self) -> str:
        return render(
            "haproxy.cfg",
            connections=connections_at_most(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
            admin_socket=f"unix@{self._admin_socket}",
            service_socket=f"unix@{self._app_socket}",
            unavailable_page=_UNAVAILABLE,
            certificates=f"{_CERTIFICATES}/" if self._settings.certificates else None,
            drain_seconds=_OPEN_RESPONSES_SECONDS,
            routes_file=ROUTES_FILE,
            listen=self._settings.listen,
            http_listen=self._settings.http_listen,
            sessions_host=self._settings.sessions_host,
            cookie=cookie_name(self._settings),
            scheme=urlsplit(self._settings.url).scheme,
            origin="/".join(self._settings.url.lower().split("/")[:3]),
            idle_table_seconds=IDLE_TABLE_SECONDS,
        )

    async def _write_routes(self) -> None:
        self._write(ROUTES_FILE, "".join(f"{key} {target}\n" for key, target in (await self._routes()).items()))

    def _copy_certificates(self) -> None:
        """Give HAProxy's account what it could not read where it is: keys are mostly root's."""
        if self._settings.certificates is None:
            return
        self.certificates = read_certificates(self._settings.certificates)
        folder = self._folder / _CERTIFICATES
        shutil.rmtree(folder, ignore_errors=True)
        self._make_folder(folder)
        for name, text in self.certificates.items():
            self._write(f"{_CERTIFICATES}/{name}", text)

    def _make_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        if self._account.is_other:
            os.chown(folder, self._account.uid, self._account.gid)

    def _write(self, name: str, text: str) -> None:
        """Write a file that HAProxy's account alone can read: routes hold tokens, certificates come with keys.

        Raises: OperatorFault, where it cannot be written.
        """
        path = self._folder / name
        try:
            path.unlink(missing_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                if self._account.is_other:
                    os.fchown(file.fileno(), self._account.uid, self._account.gid)
        except OSError as error:
            raise OperatorFault(f"{path} cannot be written: {error.strerror}.") from error


def next_pause(pause_seconds: float, ran_seconds: float) -> float:
    """Return how long to wait before the next start: longer each time, unless the last one held for a while."""
    if ran_seconds >= _HEALTHY_SECONDS:
        return 0.0
    return min(_LONGEST_PAUSE_SECONDS, max(0.05, pause_seconds * 2))


@asynccontextmanager
async def run_haproxy(
    settings: Settings, paths: Paths, routes: Callable[[], Awaitable[Routes]]
) -> AsyncIterator[HAProxy]:
    """Give a running HAProxy, and end it when the block is left.

    Raises: OperatorFault, where it cannot be started.
    """
    haproxy = HAProxy(settings, paths, routes)
    await haproxy.prepare()
    started = asyncio.get_running_loop().create_future()
    keeping = asyncio.create_task(haproxy.keep_running(started))
    try:
        await started
        yield haproxy
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def _drain(process: asyncio.subprocess.Process) -> None:
    """Have it take no more connections, and end when those that are open have: its configuration has a bound for it."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGUSR1)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            await process.wait()


async def _listen(process: asyncio.subprocess.Process, said: deque[str]) -> str:
    """Read what HAProxy says until it ends, and return its last lines."""
    assert process.stdout  # noqa: S101 - spawn asked for a pipe
    async for line in lines_of(process.stdout):
        if "[NOTICE]" not in line:
            said.append(line.strip())
            log.warning("haproxy_said", line=line.strip())
    return " ".join(said)


def _haproxy_account() -> Account:
    try:
        return find_account(_ACCOUNT)
    except OperatorFault as error:
        raise OperatorFault(
            f"There is no account {_ACCOUNT!r}, which Debian's package haproxy brings. Run `make set-up`."
        ) from error


def _alerts(checked: Completed) -> str:
    return " ".join(line for line in checked.output.splitlines() if "[ALERT]" in line) or checked.output
