"""Refuses what another site has a visitor's browser send, and the addresses that would lead a visitor there.

What changes something is sent by POST, and a browser says where that comes from. Programs say nothing, and have no
visitor's cookies that they could be made to send.

Source: https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from binder.errors import VisitorFault
from proxy.answers import fault_page

_HARMLESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FROM_HERE: Final = frozenset({"same-origin", "none"})
_LONGEST_RETURN: Final = 2000
_FORBIDDEN: Final = 403


def is_from_here(headers: Headers, url: str) -> bool:
    """Whether a request was sent by a page of the origin of `url`, or by no page at all."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site in _FROM_HERE
    parts = urlsplit(url)
    return origin is None or origin == f"{parts.scheme}://{parts.netloc}"


def safe_return(address: str) -> str:
    """Return an address to come back to, `/` where it is none of this host."""
    # A browser takes a backslash for a slash, leaves tabs and line ends out, and `//` begins another host's address.
    is_odd = any(character <= " " or character in "\\\x7f" for character in address)
    inside = address.startswith("/") and not address.startswith("//") and not is_odd
    return address if inside and len(address) <= _LONGEST_RETURN else "/"


class OwnPagesOnly:
    """Passes on what changes something only if it does not come from another origin's page."""

    def __init__(self, app: ASGIApp, url: str) -> None:
        self._app = app
        self._url = url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if (
            scope["type"] == "http"
            and scope["method"] not in _HARMLESS
            and not is_from_here(Headers(scope=scope), self._url)
        ):
            refused = fault_page(VisitorFault("Another site's page had your browser send this, so nothing was done."))
            refused.status_code = _FORBIDDEN
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)
