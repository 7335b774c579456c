#!/usr/bin/python3
"""Runs OpenStack Swift with its S3 API in one process: the proxy that is talked to, and the three servers behind it.

The account's key is the session's; it is in no file and no argument.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from eventlet import GreenPile, listen, spawn, wsgi
from swift.common.http_protocol import SwiftHttpProtocol
from swift.common.utils import NullLogger, get_logger, monkey_patch
from swift.common.wsgi import loadapp, make_pre_authed_request

BEHIND = {"account": 6202, "container": 6201, "object": 6200}
PORT = 9000


class NoCache:
    """Stands where Swift wants a cache that several servers share: it is asked, and knows nothing."""

    def get(self, key: str, **_: object) -> None:
        """Return what is known of a key."""

    def set(self, key: str, value: object, **_: object) -> None:
        """Forget a value."""

    def delete(self, key: str, **_: object) -> None:
        """Forget a key."""


def with_no_cache(app: Callable[..., object]) -> Callable[..., object]:
    """Return an application that gives each request to `app`, with the cache that it wants."""
    cache = NoCache()

    def inner(environ: dict[str, object], start_response: object) -> object:
        environ["swift.cache"] = cache
        return app(environ, start_response)

    return inner


def serve(app: object, host: str, port: int) -> object:
    """Serve an application; S3's clients want their headers spelled as they are."""
    return spawn(
        wsgi.server,
        listen((host, port), backlog=1024),
        app,
        NullLogger(),
        protocol=SwiftHttpProtocol,
        capitalize_response_headers=False,
    )


def main() -> None:
    """Serve until one of the servers ends."""
    monkey_patch()
    bucket, secret = os.environ["BUCKET"], os.environ.pop("SECRET")
    Path("/var/lib/objects/disk").mkdir(exist_ok=True)
    for name in (*BEHIND, "proxy"):
        get_logger({"log_level": "WARNING"}, name, log_to_console=True, log_route=f"{name}-server")
    running = [serve(loadapp(f"/etc/swift/{name}.conf"), "127.0.0.1", port) for name, port in BEHIND.items()]
    proxy = loadapp("/etc/swift/proxy.conf", global_conf={"user_binder_notebook": f"{secret} .admin"})
    made = make_pre_authed_request({}, "PUT", f"/v1/AUTH_binder/{bucket}", agent="binder").get_response(proxy)
    if not made.is_success:
        sys.exit(f"The bucket {bucket} could not be made: {made.status}")
    running.append(serve(with_no_cache(proxy), "0.0.0.0", PORT))  # noqa: S104 - the session's pods
    ends = GreenPile()
    for one in running:
        ends.spawn(one.wait)
    next(ends)


if __name__ == "__main__":
    main()
