"""A small server of git repositories over HTTP, with Git LFS: the real `git http-backend`, behind Python's server."""

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from binder.process import Account
from build.commits.git import Source
from tests.repositories import LocalRepository, new_repository
from tests.served import serving

_LFS = "application/vnd.git-lfs+json"


@dataclass
class GitServer:
    """Repositories at `/OWNER/NAME.git`. `requests` are those that came: path and Authorization."""

    root: Path
    account: Account
    origin: str = ""
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    """Private repositories, as `owner/name`, and the token of each."""
    large: dict[str, bytes] = field(default_factory=dict)
    """What Git LFS keeps: sha256 → content, which a server that lies has got wrong."""

    def repository(self, name: str) -> LocalRepository:
        """Make an empty repository, `owner/name`."""
        folder = self.root / f"{name}.git"
        folder.parent.mkdir(exist_ok=True)
        folder.parent.chmod(0o755)
        return new_repository(folder, self.account)

    def source(self, name: str, token: str | None = None) -> Source:
        """Return where a build fetches a repository from."""
        return Source(f"{self.origin}/{name}.git", token)

    def keep(self, content: bytes) -> str:
        """Keep a large file, and return its pointer."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.large[sha256] = content
        return pointer(sha256, len(content))

    def authorised(self, path: str) -> set[str | None]:
        """Return what the requests below a path had as Authorization."""
        return {authorization for asked, authorization in self.requests if asked.startswith(path)}

    def may(self, path: str, authorization: str | None) -> bool:
        """Whether a request may see what it asks for."""
        token = self.tokens.get("/".join(path.split("/")[1:3]).removesuffix(".git"))
        return token is None or authorization == basic(token)


def pointer(sha256: str, size: int) -> str:
    """Return the pointer to a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"


def basic(token: str) -> str:
    """Return the header that carries a token."""
    return "Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()


@contextmanager
def git_server(root: Path, account: Account, address: str = "127.0.0.1") -> Iterator[GitServer]:
    """Give a server of repositories below `root`, at an address of this machine; gone after the block."""
    server = GitServer(root, account)

    class Handler(_Handler):
        served = server

    http = ThreadingHTTPServer((address, 0), Handler)
    server.origin = f"http://{address}:{http.server_address[1]}"
    with serving(http):
        yield server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: GitServer

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self._serve(path, query, b"")

    def do_POST(self) -> None:
        self._serve(self.path, "", self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _serve(self, path: str, query: str, body: bytes) -> None:
        authorization = self.headers.get("Authorization")
        self.served.requests.append((path, authorization))
        if not self.served.may(path, authorization):
            self._answer(401, b"", {"WWW-Authenticate": 'Basic realm="git"'})
        elif path.endswith("/info/lfs/objects/batch"):
            self._batch(path, json.loads(body))
        elif "/info/lfs/objects/" in path:
            self._answer(200, self.served.large[path.rpartition("/")[2]], {})
        else:
            self._git(path, query, body)

    def _batch(self, path: str, asked: dict[str, list[dict[str, str]]]) -> None:
        objects = []
        for one in asked["objects"]:
            href = f"{self.served.origin}{path.removesuffix('/batch')}/{one['oid']}"
            there = one["oid"] in self.served.large
            gone = {"error": {"code": 404, "message": "Object does not exist"}}
            objects.append({**one, **({"actions": {"download": {"href": href}}} if there else gone)})
        self._answer(200, json.dumps({"transfer": "basic", "objects": objects}).encode(), {"Content-Type": _LFS})

    def _git(self, path: str, query: str, body: bytes) -> None:
        account = self.served.account
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            stdout=subprocess.PIPE,
            env={
                "PATH": "/usr/bin:/bin",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_PROJECT_ROOT": str(self.served.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            },
            user=account.uid if account.is_other else None,
            group=account.gid if account.is_other else None,
            extra_groups=() if account.is_other else None,
            check=False,
            timeout=60,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self._answer(int(headers.pop("Status", "200").split()[0]), content, headers)

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing: the requests are kept."""
