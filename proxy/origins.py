"""Where a session lives, and how a visitor is let in: below the service's own address, or at an origin of its own.

Pure. Guarantees: a token is in no address that visitors are led to. What leads to another origin holds a code in its
place, which is worth something for half a minute and for this session alone, and which a token cannot be told from.
"""

import hmac
from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from binder.settings import Settings
from binder.store.tables import Session
from proxy.answers import HOST_PREFIX, host_cookie, redirect
from proxy.links import session_address

COOKIE = "binder-session"
"""The cookie that holds a session's token."""
HOST_COOKIE = f"{HOST_PREFIX}{COOKIE}"
"""Its name at an origin of the session's own: a browser takes such a cookie from that very host only, so that no other
session can plant one. It takes https."""
_ENTER = "enter="
_CODE_HOLDS = timedelta(seconds=30)


def cookie_name(settings: Settings) -> str:
    """Return the name of the cookie that holds a session's token."""
    return host_cookie(COOKIE, settings) if settings.sessions_host else COOKIE


def session_url(settings: Settings, session_id: str, landing: str = "") -> str:
    """Return where a session is: an address with its origin, or without one where that is the service's."""
    address = session_address(session_id, landing)
    if not settings.sessions_host:
        return address
    service = urlsplit(settings.url)
    port = f":{service.port}" if service.port else ""
    return f"{service.scheme}://{session_id}.{settings.sessions_host}{port}{address}"


def is_at_a_session(request: Request, settings: Settings) -> bool:
    """Whether a request came to the origin of a session, and not to the service's."""
    return bool(settings.sessions_host) and (request.url.hostname or "").endswith(f".{settings.sessions_host}")


def risk_of_one_origin(settings: Settings) -> str | None:
    """Return what an operator should know whose visitors share the service's origin with notebooks; else None."""
    if settings.sessions_host or (_is_loopback(urlsplit(settings.url).hostname or "") and not settings.signs_in):
        return None
    return (
        "Sessions share the origin of the service and of each other: a hostile notebook can act in its visitor's name "
        "on both. Set BINDER_SESSIONS_HOST to give each session an origin of its own."
    )


def lead_in(session: Session, landing: str, settings: Settings, now: datetime) -> Response:
    """Lead the visitor whose session it is to it."""
    address = session_url(settings, session.id, landing)
    if not settings.sessions_host:
        return _with_cookie(redirect(address), session, settings)
    parts = urlsplit(address)
    until = int((now + _CODE_HOLDS).timestamp())
    code = f"{_ENTER}{until}.{_signature(session, until)}"
    return redirect(parts._replace(query="&".join(filter(None, (parts.query, code)))).geturl())


def let_in(request: Request, session: Session, settings: Settings, now: datetime) -> Response | None:
    """Give a visitor who was led to a session's origin its cookie, at an address without the code; None for others."""
    parts = request.scope["query_string"].decode("latin-1").split("&")
    codes = [part.removeprefix(_ENTER) for part in parts if part.startswith(_ENTER)]
    if not any(_is_code(code, session, now) for code in codes):
        return None
    query = "&".join(part for part in parts if not part.startswith(_ENTER))
    path = request.scope["raw_path"].decode("latin-1")
    return _with_cookie(redirect(SplitResult("", "", path, query, "").geturl()), session, settings)


def _is_code(code: str, session: Session, now: datetime) -> bool:
    until, _, signature = code.partition(".")
    if not (until.isascii() and until.isdigit()) or len(until) > len(str(2**40)):
        return False
    expected = _signature(session, int(until)).encode()
    return hmac.compare_digest(signature.encode(), expected) and now.timestamp() <= int(until)


def _signature(session: Session, until: int) -> str:
    return hmac.digest(session.token.encode(), f"enter {session.id} {until}".encode(), "sha256").hex()


def _with_cookie(response: Response, session: Session, settings: Settings) -> Response:
    response.set_cookie(
        cookie_name(settings),
        session.token,
        path="/" if settings.sessions_host else session_address(session.id),
        httponly=True,
        samesite="lax",
        secure=settings.is_secure,
    )
    return response


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")
