"""A registry that asks who one is, in front of the cluster's own."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from tests.served import serving

_CARRIED = ("Content-Type", "Content-Length", "Docker-Content-Digest")


class _Gate(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Pass a question on, of who may ask."""
        gate = self.server
        assert isinstance(gate, _Server)
        if self.headers["Authorization"] != gate.expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="tests"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        accept = {"Accept": self.headers["Accept"] or "*/*"}
        answer = httpx.request(self.command, f"http://{gate.behind}{self.path}", headers=accept)
        self.send_response(answer.status_code)
        for name in _CARRIED:
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.end_headers()
        self.wfile.write(answer.content)

    do_HEAD = do_GET  # noqa: N815 - the name that its library looks for

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    def __init__(self, place: str, behind: str, user: str, password: str) -> None:
        host, _, port = place.partition(":")
        super().__init__((host, int(port)), _Gate)
        self.behind = behind
        self.expected = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@contextmanager
def private_registry(place: str, behind: str, *, user: str, password: str) -> Iterator[None]:
    """Serve at `place` what the registry `behind` has, to this user alone."""
    with serving(_Server(place, behind, user, password)):
        yield
