"""HAProxy that ends TLS itself: with the certificates that it is given, and over HTTP/2 where a client can."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from playwright.async_api import async_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from binder.errors import OperatorFault
from binder.log import set_up_logging
from binder.paths import Paths
from binder.process import Command, run
from binder.settings import Settings, read_settings
from proxy.certificates import Renewals
from tests.browser import CHROMIUM, FLAGS
from tests.build.registry_servers import write_certificate
from tests.proxy.conftest import free_port
from tests.proxy.front import Proxy, proxy_in, settings_of
from tests.proxy.upstreams import echo, mirror, running

_TALK = """([address, message]) => new Promise((resolve, reject) => {
    const socket = new WebSocket(address);
    socket.onopen = () => socket.send(message);
    socket.onmessage = event => resolve(event.data);
    socket.onerror = () => reject(new Error("the WebSocket did not open"));
})"""


@pytest.fixture
def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself."""
    return write_certificate(folder)[0]


@pytest.fixture
def secure(settings: Settings, folder: Path, certificate: Path) -> Settings:
    """Settings with a folder of certificates, whose key only root reads."""
    given = folder / "given"
    given.mkdir(mode=0o700)
    (given / "site.pem").write_text(certificate.read_text() + (folder / "key.pem").read_text())
    (given / "site.pem").chmod(0o600)
    url = settings.url.replace("http:", "https:")
    return settings.model_copy(update={"url": url, "certificates": given})


@pytest.fixture
async def proxy(secure: Settings, paths: Paths, certificate: Path) -> AsyncIterator[Proxy]:
    """A running HAProxy that ends TLS, and a client that trusts it."""
    async with proxy_in(secure, paths, trusted=ssl.create_default_context(cafile=certificate)) as running_proxy:
        yield running_proxy


@pytest.mark.slow
class TestTls:
    async def test_a_session_is_reached_and_the_host_keeps_to_https(self, proxy: Proxy) -> None:
        async with mirror("one") as target:
            seen = await proxy.get(await proxy.open(target))
        assert (seen["name"], seen["headers"]["x-forwarded-proto"]) == ("one", "https")

    async def test_every_answer_says_that_the_host_keeps_to_https(self, proxy: Proxy) -> None:
        async with mirror("one") as target:
            route, gone = await proxy.open(target), await proxy.open("127.0.0.1:1")
            for path, token in (
                ("/", ""),
                (f"/s/{route.session_id}/", route.token),
                (f"/s/{gone.session_id}/", gone.token),
            ):
                answer = await proxy.client.get(path, headers={"Cookie": f"binder-session={token}"})
                # What a session says of it (max-age=1) is not what counts.
                assert answer.headers.get_list("strict-transport-security") == ["max-age=31536000"], path

    async def test_two_requests_share_a_connection_of_http_2(self, proxy: Proxy, certificate: Path) -> None:
        async with mirror("one") as target:
            route = await proxy.open(target)
            address = f"https://{settings_of(proxy)}/s/{route.session_id}/"
            written = ("--write-out", "\n%{http_version} %{http_code} %{num_connects}\n")
            argv = (
                "curl",
                "--silent",
                "--http2",
                "--cacert",
                str(certificate),
                "--cookie",
                f"binder-session={route.token}",
            )
            said = await run(Command((*argv, *written, f"{address}a", f"{address}b")), timeout_seconds=10)
        assert said.ok, said.output
        assert [line for line in said.output.splitlines() if line.startswith("2 ")] == ["2 200 1", "2 200 0"]

    @pytest.mark.parametrize(("version", "is_spoken"), [("1.1", False), ("1.2", True), ("1.3", True)])
    async def test_versions_of_tls(self, proxy: Proxy, certificate: Path, version: str, is_spoken: bool) -> None:
        argv = ("curl", "--silent", "--cacert", str(certificate), "--ciphers", "DEFAULT@SECLEVEL=0")
        limits = (f"--tlsv{version}", "--tls-max", version)
        said = await run(
            Command((*argv, *limits, "--output", "/dev/null", str(proxy.client.base_url))), timeout_seconds=10
        )
        assert said.ok is is_spoken, said.output

    async def test_plain_http_is_not_answered(self, proxy: Proxy) -> None:
        assert not await proxy.send("GET / HTTP/1.1", "Host: a", "Connection: close")

    async def test_chromium_has_its_websocket_over_http_2(self, proxy: Proxy) -> None:
        config = uvicorn.Config(
            Starlette(routes=[Route("/{p:path}", _page), WebSocketRoute("/{p:path}", _echo)]), port=0
        )
        async with running(uvicorn.Server(config)) as server, async_playwright() as playwright:
            route = await proxy.open(f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            page = await browser.new_page(ignore_https_errors=True)
            address = f"https://{settings_of(proxy)}/s/{route.session_id}/?token={route.token}"
            await page.goto(address)
            assert await page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
            said = await page.evaluate(_TALK, [address.replace("https:", "wss:"), "hello"])
            await browser.close()
        assert said == "hello"


@pytest.mark.slow
class TestFaults:
    @pytest.mark.parametrize(
        ("name", "text", "says"),
        [
            ("site.pem", "no certificate", "does not take its configuration.*site.pem"),
            ("site.pem", "\xe9", "BINDER_CERTIFICATES: .* cannot be read"),
            (None, "", "BINDER_CERTIFICATES: there is no file"),
        ],
    )
    async def test_what_is_no_certificate_is_named(
        self, secure: Settings, paths: Paths, name: str | None, text: str, says: str
    ) -> None:
        assert secure.certificates
        (secure.certificates / "site.pem").unlink()
        if name:
            (secure.certificates / name).write_text(text)
        with pytest.raises(OperatorFault, match=says):
            async with proxy_in(secure, paths):
                pass

    async def test_a_file_that_is_not_there_is_named(self, secure: Settings, paths: Paths, folder: Path) -> None:
        missing = secure.model_copy(update={"certificates": folder / "nowhere.pem"})
        with pytest.raises(OperatorFault, match=r"nowhere\.pem cannot be read"):
            async with proxy_in(missing, paths):
                pass


@pytest.mark.slow
class TestPlainHttp:
    async def test_whoever_asks_by_http_is_led_to_https(self, secure: Settings, paths: Paths) -> None:
        plain = f"127.0.0.1:{free_port()}"
        async with (
            proxy_in(secure.model_copy(update={"http_listen": plain}), paths),
            httpx.AsyncClient() as client,
        ):
            for method, path in (("GET", "/v2/gh/a/b/c?labpath=d%20e"), ("POST", "/webhooks/github"), ("GET", "//x/")):
                answer = await client.request(method, f"http://{plain}{path}", headers={"Host": "evil.example.org"})
                assert (answer.status_code, answer.headers["location"]) == (308, f"{secure.url}{path}")

    async def test_an_address_that_is_taken_is_named(self, secure: Settings, paths: Paths) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            plain = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(
                OperatorFault, match=f"cannot listen on {plain}, which BINDER_HTTP_LISTEN says:.*in use"
            ):
                async with proxy_in(secure.model_copy(update={"http_listen": plain}), paths):
                    pass


@pytest.fixture
def renewals(secure: Settings, proxy: Proxy) -> Renewals:
    """What looks at the certificates, each time that it is asked to."""
    assert secure.certificates
    return Renewals(secure.certificates, proxy.haproxy.certificates, proxy.haproxy.serve_certificate, every_seconds=0)


def _renewed(folder: Path) -> str:
    """Return a new certificate with its key, as an operator's tool would write them."""
    certificate, key = write_certificate(folder)
    return certificate.read_text() + "\n" + key.read_text()


async def _served(proxy: Proxy) -> str:
    """Return the certificate that a new connection is shown."""
    return await asyncio.to_thread(ssl.get_server_certificate, proxy.listen)


@pytest.mark.slow
class TestRenewal:
    async def test_a_renewed_certificate_is_served_and_what_is_open_stays(
        self, proxy: Proxy, secure: Settings, renewals: Renewals, certificate: Path, folder: Path
    ) -> None:
        assert secure.certificates
        old = ssl.create_default_context(cafile=certificate)
        before = await _served(proxy)
        async with echo() as target:
            route = await proxy.open(target)
            address = f"wss://{settings_of(proxy)}/s/{route.session_id}/?token={route.token}"
            async with connect(address, ssl=old) as opened:
                (secure.certificates / "site.pem").write_text(_renewed(folder))
                assert await renewals.step() is False
                after = await _served(proxy)
                assert (after.strip(), after == before) == (certificate.read_text().strip(), False)
                await opened.send("still here")
                assert await opened.recv() == "still here"
        # What is started after HAProxy died has it, too.
        assert proxy.haproxy.pid
        os.kill(proxy.haproxy.pid, signal.SIGKILL)
        assert await _served_again(proxy) == after

    @pytest.mark.parametrize(
        ("broken", "says"),
        [
            ("no certificate", "does not take the certificate in certificates/site.pem: .*certificate"),
            ("", "does not take the certificate in certificates/site.pem"),
            ("CERTIFICATE", "does not take the certificate in certificates/site.pem: .*private key"),
            ("CERTIFICATE\nOLD KEY", "does not take the certificate in certificates/site.pem: .*private key"),
            ("CERTIFICATE\n" * 50, "certificates/site.pem is larger than 15000 bytes.* Restart the service"),
            ("\xe9", "BINDER_CERTIFICATES: .* cannot be read"),
            (None, "BINDER_CERTIFICATES: there is no file"),
        ],
        ids=["text", "empty", "without-key", "key-of-another", "large", "binary", "gone"],
    )
    async def test_what_is_broken_is_named_and_the_one_before_goes_on(
        self,
        proxy: Proxy,
        secure: Settings,
        renewals: Renewals,
        folder: Path,
        capsys: pytest.CaptureFixture[str],
        broken: str | None,
        says: str,
    ) -> None:
        assert secure.certificates
        before, old_key = await _served(proxy), (folder / "key.pem").read_text()
        good = _renewed(folder)
        file = secure.certificates / "site.pem"
        if broken is None:
            file.unlink()
        else:
            text = broken.replace("CERTIFICATE", (folder / "certificate.pem").read_text()).replace("OLD KEY", old_key)
            file.write_text(text)
        set_up_logging("info", as_json=False)
        await renewals.step()
        assert re.search(says, capsys.readouterr().err.replace("\n", " "))
        assert await _served(proxy) == before
        file.write_text(good)
        await renewals.step()
        assert (await _served(proxy)).strip() == (folder / "certificate.pem").read_text().strip()

    async def test_a_long_chain_is_taken(
        self, proxy: Proxy, secure: Settings, renewals: Renewals, folder: Path
    ) -> None:
        assert secure.certificates
        renewed = _renewed(folder)
        certificate = (folder / "certificate.pem").read_text()
        chain = renewed + certificate * ((15_000 - len(renewed)) // len(certificate))
        (secure.certificates / "site.pem").write_text(chain)
        await renewals.step()
        assert (await _served(proxy)).strip() == certificate.strip()
        assert 14_000 < len(chain) < 15_000

    async def test_while_haproxy_starts_again_it_is_tried_again(
        self, proxy: Proxy, secure: Settings, renewals: Renewals, folder: Path
    ) -> None:
        assert secure.certificates
        before = await _served(proxy)
        (secure.certificates / "site.pem").write_text(_renewed(folder))
        assert proxy.haproxy.pid
        os.kill(proxy.haproxy.pid, signal.SIGKILL)
        await renewals.step()
        assert await _served_again(proxy) == before
        await renewals.step()
        assert await _served(proxy) != before

    async def test_files_are_looked_at_once_a_minute(self, secure: Settings, certificate: Path) -> None:
        assert secure.certificates
        asked: list[str] = []

        async def serve(name: str, text: str) -> None:
            asked.append(name)

        renewals = Renewals(secure.certificates, {"site.pem": "another", "gone.pem": ""}, serve)
        await renewals.step()
        (secure.certificates / "site.pem").write_text("a third")
        (secure.certificates / "new.pem").write_text("waits for a restart")
        await renewals.step()
        assert asked == ["site.pem"]


async def _served_again(proxy: Proxy) -> str:
    """Return the certificate that a HAProxy shows that was killed, once it is there again."""
    for _ in range(100):
        await asyncio.sleep(0.05)
        with contextlib.suppress(OSError):
            return await _served(proxy)
    raise TimeoutError


def test_certificates_ask_for_https() -> None:
    with pytest.raises(OperatorFault, match="BINDER_CERTIFICATES"):
        read_settings(url="http://binder.example.org", certificates="/site.pem")
    assert read_settings(url="https://binder.example.org", certificates="/site.pem").certificates == Path("/site.pem")


@pytest.mark.parametrize(("url", "listen"), [("http://binder.example.org", "[::]:80"), ("https://a.example.org", "80")])
def test_leading_to_https_asks_for_https_and_a_port(url: str, listen: str) -> None:
    with pytest.raises(OperatorFault, match="BINDER_HTTP_LISTEN"):
        read_settings(url=url, http_listen=listen)
    assert read_settings(url="https://a.example.org", http_listen="[::]:80").http_listen == "[::]:80"


async def _page(_: Request) -> Response:
    return HTMLResponse("<!doctype html><title>A notebook</title>")


async def _echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()
