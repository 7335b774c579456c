"""The files of a module that somebody begins with: it works as it is, and is there to be changed.

A small web server that serves a folder of the session's own, with a secret; Debian's Python, which the base has, runs
it. What `binder modules new` writes.
"""

from collections.abc import Mapping

from binder.errors import OperatorFault
from modules.clients import helper_of
from modules.reading import is_name, is_version, read_module

_DEFINITION = """\
# What a repository gets that has `modules: [NAME]` in its binder.yml. See "Modules" in docs/authors.md, and check this
# folder with `binder modules check`.
title: NAME
summary: A small web server of the session's own; say here what yours is.

parameters:                       # what a binder.yml may choose
  greeting: {kind: text, default: Hello, most: 60, summary: What the server says.}
  memory: {kind: size, default: 64 MiB, least: 32 MiB, most: 1 GiB, summary: The most that the server uses.}

secrets: [password]               # made anew for each session

images:
  server: images/server           # a Containerfile that begins with `FROM ${BASE}`, our Debian

components:                       # components/server.json says what runs, and how it is seen to be ready
  server: {image: server, memory: memory}

modes:
  single-node: {server: 1}
  multi-node: {server: 1}

client:                           # what the notebook gets
  python: []
  debian: []
  environment:
    VARIABLE_URL: "http://{{ hosts.server }}:8090/"
    VARIABLE_PASSWORD: "{{ password }}"

seeds:                            # suffix of a file of the repository → what takes it in, in the notebook's image
  .txt: [python3, -m, binder_modules.HELPER, "{{ file }}"]
"""

_COMPONENT = """\
{
  "command": ["server"],
  "environment": {"GREETING": "{{ greeting }}", "PASSWORD": "{{ password }}"},
  "ports": {"web": 8090},
  "health": ["server", "--check"],
  "seconds": 30,
  "cpus": 0.5,
  "folders": ["/var/lib/server"]
}
"""

_CONTAINERFILE = """\
# Containers run as the user 1000. Names of Debian's packages go into a file apt.txt beside this one, and are installed
# by `RUN sh /run/asked/system.sh`, as root.
ARG BASE
FROM ${BASE}
USER root
RUN install -d -o 1000 -g 1000 /var/lib/server
COPY --chmod=0755 server.py /usr/local/bin/server
USER 1000:1000
CMD ["server"]
"""

_SERVER = '''\
#!/usr/bin/python3
"""Greets whoever brings the password, and keeps one text."""

import os
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

PORT = 8090
KEPT = Path("/var/lib/server/kept.txt")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, "ready")
        elif self.headers.get("X-Password") != os.environ["PASSWORD"]:
            self.answer(403, "no")
        else:
            self.answer(200, KEPT.read_text() if KEPT.exists() else os.environ["GREETING"])

    def do_PUT(self) -> None:
        if self.headers.get("X-Password") != os.environ["PASSWORD"]:
            self.answer(403, "no")
            return
        KEPT.write_bytes(self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 10_000)))
        self.answer(200, "kept")

    def answer(self, status: int, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if "--check" in sys.argv:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5) as answer:
        sys.exit(answer.status != 200)
HTTPServer(("", PORT), Handler).serve_forever()
'''

_HELPER = '''\
"""Talks to the server of a session: `from binder_modules import HELPER`."""

import os
import sys
import urllib.request


def get() -> str:
    """Return what the server says."""
    return _asked("GET", None)


def put(text: str) -> str:
    """Have the server keep a text, and say it from now on."""
    return _asked("PUT", text.encode())


def _asked(method: str, data: bytes | None) -> str:
    headers = {"X-Password": os.environ["VARIABLE_PASSWORD"]}
    request = urllib.request.Request(os.environ["VARIABLE_URL"], data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(put(file.read()))
'''

_EXAMPLE = """\
{
 "cells": [
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "get",
   "metadata": {},
   "outputs": [],
   "source": [
    "from binder_modules import HELPER\\n",
    "\\n",
    "HELPER.get()"
   ]
  }
 ],
 "metadata": {
  "kernelspec": {
   "display_name": "Python 3",
   "language": "python",
   "name": "python3"
  }
 },
 "nbformat": 4,
 "nbformat_minor": 5
}
"""


def new_module(name: str, version: str) -> Mapping[str, bytes]:
    """Return the files of a new module: path in its folder → content.

    Raises: OperatorFault, where none may be called so.
    """
    if not is_name(name):
        raise OperatorFault(
            f"A module cannot be called {name[:60]!r}: small letters, digits and hyphens, a letter first, 20 at most."
        )
    if not is_version(version):
        raise OperatorFault(f"{version[:60]!r} is no version of a module: it must be as `15` or `3.5.1`.")
    helper = helper_of(name)
    texts = {
        "module.yml": _DEFINITION,
        "components/server.json": _COMPONENT,
        "images/server/Containerfile": _CONTAINERFILE,
        "images/server/server.py": _SERVER,
        f"client/binder_modules/{helper}.py": _HELPER,
        "client/example.ipynb": _EXAMPLE,
    }
    words = {"NAME": name, "HELPER": helper, "VARIABLE": helper.upper()}
    files = {path: _with(text, words).encode() for path, text in texts.items()}
    read_module(name, version, files, origin="new")
    return files


def _with(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text
