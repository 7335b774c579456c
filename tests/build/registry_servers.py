"""Real registries on this machine: Debian's docker-registry, alone or behind a password, TLS or a token server."""

import base64
import gzip
import io
import json
import re
import subprocess
import tarfile
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from build.registries.oci import OCI_CONFIG, OCI_GZIP_LAYER, ConfigChange, Descriptor, append_layer, digest_of_bytes
from build.registries.registry import Registry

USERNAME, PASSWORD = "binder", "password-of-the-registry"
SECRET = SecretStr(PASSWORD)
CHANGE = ConfigChange(1_700_000_000, "binder: files", cmd=("jupyter-lab",), labels={"a": "b"})
ARTIFACT = "application/vnd.binder.lock.v1+json"

_ADDRESS = re.compile(r"listening on (127\.0\.0\.1:\d+)")
_REQUEST = re.compile(r'\] "(\w+) (\S+) HTTP/[\d.]+" (\d{3}) ')


@dataclass(frozen=True)
class RunningRegistry:
    """A registry that answers at `host`; `certificates` is what its visitors must trust."""

    host: str
    log: Path
    certificates: Path | None

    def requests(self) -> list[tuple[str, str, int]]:
        """Return what it was asked by its own account: method, path without query, status."""
        found = _REQUEST.findall(self.log.read_text(errors="replace"))
        return [(method, urlsplit(path).path, int(status)) for method, path, status in found]

    def methods(self, part: str) -> list[tuple[str, int]]:
        """Return method and status of all requests whose path holds `part`."""
        return [(method, status) for method, path, status in self.requests() if part in path]


@contextmanager
def running_registry(
    folder: Path, *, password: bool = False, tls: bool = False, auth: Mapping[str, object] | None = None
) -> Iterator[RunningRegistry]:
    """Give a registry that keeps its storage below `folder`, while the block runs."""
    http: dict[str, object] = {"addr": "127.0.0.1:0", "secret": "any"}
    certificates = None
    if tls:
        certificate, key = write_certificate(folder)
        http["tls"], certificates = {"certificate": str(certificate), "key": str(key)}, certificate
    if password:
        argv = ["htpasswd", "-Bbn", USERNAME, PASSWORD]
        users = subprocess.run(argv, capture_output=True, check=True, timeout=30).stdout
        (folder / "users").write_bytes(users)
        auth = {"htpasswd": {"realm": "test", "path": str(folder / "users")}}
    settings: dict[str, object] = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}, "delete": {"enabled": True}},
        "http": http,
    }
    (folder / "registry.yml").write_text(json.dumps(settings | ({"auth": auth} if auth else {})))
    log = folder / "registry.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            ["docker-registry", "serve", str(folder / "registry.yml")], stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield RunningRegistry(_address_in(log, process), log, certificates)
        finally:
            process.terminate()
            process.wait(timeout=10)


def _address_in(log: Path, process: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + 20
    while time.monotonic() < until and process.poll() is None:
        if said := _ADDRESS.search(log.read_text(errors="replace")):
            return said[1]
        time.sleep(0.01)
    raise AssertionError(f"the registry did not start: {log.read_text(errors='replace')}")


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for this machine that signs itself, and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


class TokenServer(ThreadingHTTPServer):
    """Gives tokens to whoever knows the password, and remembers what it was asked: scope and whether it gave one."""

    daemon_threads = True

    def __init__(self, folder: Path, *, token_seconds: int) -> None:
        super().__init__(("127.0.0.1", 0), _TokenHandler)
        self.certificate, key = write_certificate(folder)
        self.key = key.read_bytes()
        self.token_seconds = token_seconds
        self.asked: list[tuple[str, bool]] = []

    @property
    def auth(self) -> dict[str, object]:
        """What a registry has to be told, so that it sends its visitors here."""
        return {
            "token": {
                "realm": f"http://127.0.0.1:{self.server_port}/token",
                "service": "test-registry",
                "issuer": "test-issuer",
                "rootcertbundle": str(self.certificate),
            }
        }

    def token(self, scope: str) -> str:
        """Return a token for a scope (`repository:NAME:ACTIONS`)."""
        kind, name, actions = scope.split(":")
        der = x509.load_pem_x509_certificate(self.certificate.read_bytes()).public_bytes(serialization.Encoding.DER)
        now = int(time.time())
        claims = {
            "iss": "test-issuer",
            "sub": USERNAME,
            "aud": "test-registry",
            "jti": "1",
            "iat": now,
            "nbf": now - 5,
            "exp": now + self.token_seconds,
            "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
        }
        return jwt.encode(claims, self.key, algorithm="ES256", headers={"x5c": [base64.b64encode(der).decode()]})


class _TokenHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, TokenServer)
        (scope,) = parse_qs(urlsplit(self.path).query)["scope"]
        pair = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        allowed = self.headers["Authorization"] == f"Basic {pair}"
        self.server.asked.append((scope, allowed))
        said = {"token": self.server.token(scope), "expires_in": self.server.token_seconds} if allowed else {}
        body = json.dumps(said).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def running_token_server(folder: Path, *, token_seconds: int = 300) -> Iterator[TokenServer]:
    """Give a token server that answers while the block runs."""
    with TokenServer(folder, token_seconds=token_seconds) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@asynccontextmanager
async def opened(host: str, name: str = "test/binder", **settings: Any) -> AsyncIterator[Registry]:
    """Give a repository of the registry at `host`."""
    registry = Registry(f"{host}/{name}", **{"plain_http": True, **settings})
    try:
        yield registry
    finally:
        await registry.close()


def tar_of(**files: bytes) -> bytes:
    """Return a plain tar of files in the home folder."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"home/jovyan/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return output.getvalue()


async def put(registry: Registry, data: bytes) -> int:
    """Upload a blob, and return how many bytes were sent."""
    return await registry.upload_blob(data, digest_of_bytes(data), len(data))


async def put_parent(registry: Registry, tag: str = "parent") -> str:
    """Put an image of one layer there, with the file `below` in it, and return its digest."""
    tar = tar_of(below=b"1")
    layer = gzip.compress(tar, mtime=0)
    empty = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    config = json.dumps(empty).encode()
    described = {"mediaType": OCI_CONFIG, "digest": digest_of_bytes(config), "size": len(config)}
    manifest = json.dumps({"schemaVersion": 2, "config": described, "layers": []}).encode()
    descriptor = Descriptor(OCI_GZIP_LAYER, digest_of_bytes(layer), len(layer))
    made = append_layer(manifest, config, descriptor, digest_of_bytes(tar), CHANGE)
    for blob in (layer, made.config):
        await put(registry, blob)
    return await registry.put_manifest(tag, made.manifest)
