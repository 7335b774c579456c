"""A small Conda channel, made from nothing and from this machine's Debian Python, and served on the loopback device.

It holds `tool` (a file and a script, for all platforms, in two versions and two builds), `pure` (a Python package with
an entry point), `python`, and `left` and `right`, which want different versions of `tool`. The same channel has the
same archives, byte for byte, so that what is made of it can be kept.
"""

import asyncio
import bz2
import functools
import hashlib
import http.server
import io
import json
import ssl
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import rattler
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DEBIANS_PYTHON = Path("/usr/bin/python3").resolve()
PYTHON_VERSION = DEBIANS_PYTHON.name.removeprefix("python") + ".2"
_EARLY, _LATE = 1_600_000_000_000, 1_700_000_000_000  # 2020-09-13 and 2023-11-14, in milliseconds of the epoch
_LEFT_OUT = frozenset(
    {"test", "tests", "idlelib", "turtledemo", "ensurepip", "lib2to3", "pydoc_data", "tkinter", "dist-packages"}
    | {"__pycache__", "EXTERNALLY-MANAGED"}
)
# Debian's Python takes the usual places for packages in virtual environments only. Where it installs to can be changed
# in its library; where it looks is compiled in, so that a link has to lead from there.
_ONLY_IN_ENVIRONMENTS = 'if sys.base_prefix != sys.prefix or hasattr(sys, "real_prefix"):'
_BLOCK_BYTES = 2**17
_PLACEHOLDER = "/opt/placeholder/of/the/prefix"

Files = Mapping[str, bytes | Path]


def make_channel(folder: Path, *, versions: Sequence[str] = ("1.0", "2.0"), with_python: bool = True) -> None:
    """Write the channel's packages and its index; `versions` are those of `tool`."""
    (folder / "noarch").mkdir(parents=True)
    (folder / "linux-64").mkdir()
    for version in versions:
        _tool(folder, version, 0, _LATE if version == "2.0" else _EARLY)
    _tool(folder, "1.0", 1, _EARLY)
    _write_package(folder, {"name": "left", "depends": ["tool >=2"]}, {"share/left": b"left\n"})
    _write_package(folder, {"name": "right", "depends": ["tool <2"]}, {"share/right": b"right\n"})
    _write_package(folder, {"name": "needs-newer-libc", "depends": ["__glibc >=99"]}, {"share/newer": b""})
    _pure(folder)
    if with_python:
        _python(folder)
    asyncio.run(rattler.index.index_fs(folder, write_zst=False, write_shards=False))
    for listing in folder.glob("*/repodata.json"):
        _forget_when_indexed(listing)


def _forget_when_indexed(listing: Path) -> None:
    """Remove the time of this indexing, which would count as the day on which a package came into the channel."""
    repodata = json.loads(listing.read_text(encoding="utf-8"))
    for record in [*repodata["packages"].values(), *repodata["packages.conda"].values()]:
        del record["indexed_timestamp"]
    listing.write_text(json.dumps(repodata), encoding="utf-8")


@contextmanager
def served(folder: Path, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve a folder on a port of its own, over TLS where a context is given; gives its address."""
    handler = functools.partial(_QuietHandler, directory=str(folder))
    with _QuietServer(("127.0.0.1", 0), handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _QuietServer(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        pass  # a client that goes away has what it wanted


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def write_certificate(path: Path, host: str = "") -> None:
    """Write a certificate for a host, or for 127.0.0.1, that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "channel")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
    whose = x509.DNSName(host) if host else x509.IPAddress(IPv4Address("127.0.0.1"))
    made = made.add_extension(x509.SubjectAlternativeName([whose]), critical=False)
    in_pem = serialization.Encoding.PEM
    text = made.sign(key, hashes.SHA256()).public_bytes(in_pem)
    text += key.private_bytes(in_pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(text)


def _tool(folder: Path, version: str, build_number: int, timestamp: int) -> None:
    about = {"name": "tool", "version": version, "build_number": build_number, "timestamp": timestamp}
    script = f"#!/bin/sh\ncat {_PLACEHOLDER}/share/tool\n".encode()
    _write_package(folder, about, {"share/tool": f"{version}\n".encode(), "bin/tool": script}, noarch="generic")


def _pure(folder: Path) -> None:
    module = b"import sys\n\n\ndef main():\n    print('pure', sys.prefix)\n"
    files = {"site-packages/pure/__init__.py": module, "site-packages/pure/data.txt": b"data\n"}
    about = {"name": "pure", "depends": ["python >=3.9"]}
    _write_package(folder, about, files, noarch="python", entry_points=["pure-says = pure:main"])


def _python(folder: Path) -> None:
    """Pack Debian's Python: its standard library beside its binary is all that a prefix needs."""
    minor = DEBIANS_PYTHON.name
    source = Path("/usr/lib", minor)
    files: dict[str, bytes | Path] = {f"bin/{minor}": DEBIANS_PYTHON}
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if path.is_file() and not set(inside.parts) & _LEFT_OUT and not inside.parts[0].startswith("config-"):
            files[f"lib/{minor}/{inside}"] = path.resolve()
    schemes = (source / "sysconfig.py").read_text(encoding="utf-8")
    assert _ONLY_IN_ENVIRONMENTS in schemes
    files[f"lib/{minor}/sysconfig.py"] = schemes.replace(_ONLY_IN_ENVIRONMENTS, "if True:").encode()
    files[f"lib/{minor}/site-packages/README"] = b"Packages lie here.\n"
    about = {"name": "python", "version": PYTHON_VERSION, "subdir": "linux-64"}
    links = {"bin/python": minor, "bin/python3": minor, f"lib/{minor}/dist-packages": "site-packages"}
    _write_package(folder, about, files, links=links)


def _write_package(
    folder: Path,
    about: Mapping[str, Any],
    files: Files,
    *,
    noarch: str | None = None,
    entry_points: list[str] | None = None,
    links: Mapping[str, str] | None = None,
) -> None:
    number = about.get("build_number", 0)
    subdir = about.get("subdir", "noarch")
    defaults = {"version": "1.0", "build_number": 0, "depends": [], "subdir": subdir, "timestamp": _EARLY}
    index = defaults | dict(about) | {"build": f"b_{number}", "arch": None, "platform": None}
    if noarch := noarch or ("generic" if subdir == "noarch" else None):
        index["noarch"] = noarch
    contents = {name: data if isinstance(data, bytes) else data.read_bytes() for name, data in files.items()}
    info: dict[str, Any] = {"info/index.json": index, "info/paths.json": _paths(contents, links or {})}
    if entry_points:
        link = {"noarch": {"type": noarch, "entry_points": entry_points}, "package_metadata_version": 1}
        info["info/link.json"] = link
    texts = {path: json.dumps(value).encode() for path, value in info.items()}
    name = f"{index['name']}-{index['version']}-{index['build']}"
    if number:
        (folder / subdir / f"{name}.tar.bz2").write_bytes(bz2.compress(_tar(texts | contents, links or {})))
        return
    parts = {
        "metadata.json": json.dumps({"conda_pkg_format_version": 2}).encode(),
        f"pkg-{name}.tar.zst": _zstd(_tar(contents, links or {})),
        f"info-{name}.tar.zst": _zstd(_tar(texts, {})),
    }
    with zipfile.ZipFile(folder / subdir / f"{name}.conda", "w") as archive:
        for path, data in parts.items():
            archive.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), data)


def _tar(contents: Mapping[str, bytes], links: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in contents.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), 0o755 if path.startswith("bin/") else 0o644
            archive.addfile(member, io.BytesIO(data))
        for path, target in links.items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return buffer.getvalue()


def _zstd(data: bytes) -> bytes:
    """Return a frame of zstd that holds the data as it is: Python learns to compress it with 3.14.

    Source: RFC 8878, 3.1.1
    """
    frame = [b"\x28\xb5\x2f\xfd\xa0", len(data).to_bytes(4, "little")]
    for start in range(0, len(data), _BLOCK_BYTES):
        block = data[start : start + _BLOCK_BYTES]
        is_last = start + _BLOCK_BYTES >= len(data)
        frame += [(len(block) << 3 | is_last).to_bytes(3, "little"), block]
    return b"".join(frame)


def _paths(contents: Mapping[str, bytes], links: Mapping[str, str]) -> dict[str, Any]:
    paths: list[dict[str, Any]] = []
    for path, data in contents.items():
        entry = {"_path": path, "path_type": "hardlink", "sha256": _digest(data), "size_in_bytes": len(data)}
        if _PLACEHOLDER.encode() in data:
            entry |= {"prefix_placeholder": _PLACEHOLDER, "file_mode": "text"}
        paths.append(entry)
    for path, target in links.items():
        entry = {"_path": path, "path_type": "softlink"}
        if (linked := contents.get(f"{path.rpartition('/')[0]}/{target}")) is not None:
            entry |= {"sha256": _digest(linked), "size_in_bytes": len(linked)}
        paths.append(entry)
    return {"paths": paths, "paths_version": 1}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
