"""The one way in which pages are answered: templates become responses with the headers that every answer carries."""

import hashlib
import secrets
from collections.abc import Mapping
from functools import cache
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from binder.errors import BinderError, OperatorFault, Party, RepositoryFault, VisitorFault, WorldFault
from binder.names import version_of_sha
from binder.settings import Settings
from proxy.faults import NotAllowedError, NotProvenError, TooManyError
from templates import render

_STATUSES: Final[Mapping[type[BinderError], int]] = {
    RepositoryFault: 422,
    TooManyError: 429,  # the first that fits counts
    NotProvenError: 401,
    NotAllowedError: 403,
    VisitorFault: 404,
    OperatorFault: 500,
    WorldFault: 503,
}
WHOSE_FAULT: Final[Mapping[Party, str]] = {
    "repository": "The repository needs a change.",
    "visitor": "Something about this address is not right.",
    "operator": "This service is at fault, not you.",
    "world": "Something outside of this service is at fault; it may work later.",
}
HOST_PREFIX: Final = "__Host-"
"""A browser takes a cookie of such a name by https only, from the very host that it is for."""
_TOO_MANY: Final = "That was a lot at once."
_ON_EVERY_ANSWER: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def host_cookie(name: str, settings: Settings) -> str:
    """Return the name under which a cookie is its host's alone, where the browser can see to that.

    Source: https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#name-the-__host-prefix
    """
    return f"{HOST_PREFIX}{name}" if settings.is_secure else name


def html(
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    forms_go_to: str = "'self'",
    **values: object,
) -> Response:
    """Answer with a page; `forms_go_to` is the one origin that its forms may be sent to."""
    nonce = new_nonce()
    text = page_text(template, nonce, **values)
    return HTMLResponse(text, status, page_headers(nonce, forms_go_to) | dict(headers or {}))


def page_text(template: str, nonce: str, **values: object) -> str:
    """Return a page's text; `nonce` is what its headers allow."""
    return render(f"pages/{template}", nonce=nonce, asset=asset_address, version_of=version_of_sha, **values)


def new_nonce() -> str:
    """Return 128 random bits in hexadecimal."""
    return secrets.token_hex(16)


def page_headers(nonce: str, forms_go_to: str = "'self'") -> dict[str, str]:
    """Return what a page may load: our own style, our own script, our own pictures."""
    # A session may share our origin, and serves what it likes there: 'self' would trust its scripts as well.
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src 'self'; "
        f"connect-src 'self'; form-action {forms_go_to}; base-uri 'none'; frame-ancestors 'none'"
    )
    return {"Content-Security-Policy": policy, "Cache-Control": "no-store"}


def redirect(address: str) -> Response:
    """Answer with another address of this host; what it leads to may differ the next time."""
    return RedirectResponse(address, 302, {"Cache-Control": "no-store"})


def fault_page(error: BinderError, sign_in: str | None = None) -> Response:
    """Answer with whose fault it is, and what to do; `sign_in` is where signing in may help."""
    whose = _TOO_MANY if isinstance(error, TooManyError) else WHOSE_FAULT[error.party]
    headers = retry_headers(error)
    return html("fault.html", status=status_of(error), headers=headers, whose=whose, error=error, sign_in=sign_in)


def status_of(error: BinderError) -> int:
    """Return the HTTP status that stands for an error."""
    return next(status for kind, status in _STATUSES.items() if isinstance(error, kind))


def retry_headers(error: BinderError) -> dict[str, str]:
    """Return what tells a client that trying again may help."""
    if isinstance(error, TooManyError):
        return {"Retry-After": str(error.retry_after_seconds)}
    return {"Retry-After": "10"} if isinstance(error, WorldFault) else {}


@cache
def asset(name: str) -> str:
    """Return the text of a style sheet, script or picture."""
    return render(f"pages/{name}")


@cache
def asset_address(name: str) -> str:
    """Return an asset's address, which changes with its text, so that it may be kept for ever."""
    return f"/assets/{name}?v={hashlib.sha256(asset(name).encode()).hexdigest()[:12]}"


class SafeHeaders:
    """Puts the headers of every answer on those that do not set their own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ON_EVERY_ANSWER.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_safely)
