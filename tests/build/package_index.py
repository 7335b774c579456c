"""What a host may be set up with: an index that wants a password, certificates, and a folder of wheels."""

import base64
import shutil
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from build.host import HostFacts, HostSettings, settings_for

PASSWORD = "password-of-this-host"


class Index(ThreadingHTTPServer):
    """A package index of the wheels in a folder, if any; it remembers whether it was asked with the password."""

    daemon_threads = True

    def __init__(self, wheels: Path | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked_with_password = False
        self.wheels = {path.name: path.read_bytes() for path in wheels.glob("*.whl")} if wheels else {}

    @property
    def address(self) -> str:
        """Its address, with the password in it."""
        return f"http://ada:{PASSWORD}@127.0.0.1:{self.server_port}/simple/"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        credentials = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
        allowed = self.headers["Authorization"] == f"Basic {credentials}"
        assert isinstance(self.server, Index)
        self.server.asked_with_password |= allowed
        content = self._content(self.server.wheels) if allowed else b""
        self.send_response(200 if content else 404 if allowed else 401)
        if not allowed:
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Type", "application/octet-stream" if self.path.endswith(".whl") else "text/html")
        # What was once loaded is taken as it is, with a password or without.
        self.send_header("Cache-Control", "max-age=365000000, immutable")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _content(self, wheels: Mapping[str, bytes]) -> bytes:
        place, _, name = self.path.strip("/").partition("/")
        if place == "files":
            return wheels.get(name, b"")
        named = (wheel for wheel in wheels if wheel.partition("-")[0].replace("_", "-") == name)
        return "".join(f'<a href="/files/{wheel}">{wheel}</a>' for wheel in named).encode()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def running_index(wheels: Path | None = None) -> Iterator[Index]:
    """Give an index that answers while the block runs; `wheels` is a folder of those that it has."""
    with Index(wheels) as index:
        thread = threading.Thread(target=index.serve_forever)
        thread.start()
        try:
            yield index
        finally:
            index.shutdown()
            thread.join()


def write_wheel(folder: Path, name: str, files: Mapping[str, str], *, version: str = "1.0") -> None:
    """Write a wheel; the same files make the same wheel, byte for byte."""
    info = f"{name}-{version}.dist-info"
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {
            **files,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": record,
        }.items():
            wheel.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), text)


def host_with(found: HostSettings, wheels: Path) -> HostSettings:
    """Return this host's settings, with a folder of wheels besides."""
    folders = [wheels, *found.folders]
    environ = {name: value for name, value in found.variables.items() if name != "UV_FIND_LINKS"}
    pip = {"find-links": " ".join(map(str, folders))}
    return settings_for(HostFacts(pip, found.apt, environ, found.certificates, folders))


def demanding_host(found: HostSettings, folder: Path, index: Index) -> tuple[HostSettings, list[str]]:
    """Return this host's settings with more of a host's own in them, and what of that nobody may find in an image."""
    wheels = folder / "secret-place-of-wheels"
    wheels.mkdir()
    wheels.chmod(0o755)
    certificates = folder / "secret-place-of-certificates.pem"
    if found.certificates:
        shutil.copyfile(found.certificates, certificates)
    facts = HostFacts(
        pip={"extra-index-url": index.address, "find-links": " ".join(map(str, [wheels, *found.folders]))},
        apt=found.apt,
        environ={name: value for name, value in found.variables.items() if name != "UV_FIND_LINKS"},
        certificates=certificates if found.certificates else None,
        folders=[wheels, *found.folders],
    )
    traces = [PASSWORD, f"127.0.0.1:{index.server_port}", "secret-place", *map(str, found.folders)]
    return settings_for(facts), traces
