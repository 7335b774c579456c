"""The pages of signing in with GitHub, and out.

Owns what a browser holds. On the way to GitHub that is one secret, in a cookie: the state that GitHub has to bring back
and PKCE's verifier are both made of it, so that nobody finishes in one browser what was begun in another, and nothing
has to be kept here. Afterwards it is a random token, of which the store knows the digest.
"""

import base64
import hashlib
import hmac
from datetime import timedelta
from urllib.parse import quote, unquote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from binder.app_manifest import SIGN_IN_PATH
from binder.errors import VisitorFault
from binder.names import is_token, new_token
from binder.store.access import digest_of_cookie, sign_out
from binder.store.tables import SignedIn, utc_now
from proxy.access import Access
from proxy.answers import host_cookie, html, redirect
from proxy.context import ProxyContext
from proxy.same_origin import safe_return
from proxy.viewers import ANYBODY

SIGN_OUT_PATH = "/sign-out"

_PATH = "/sign-in"
_ON_THE_WAY_SECONDS = 600
_SIGNED_IN_FOR = timedelta(days=7)


def sign_in_address(request: Request) -> str:
    """Return where to sign in, to come back to what was asked for."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{_PATH}?{urlencode({'return': quote(request.url.path) + query})}"


def state_of(secret: str) -> str:
    """Return what GitHub is to bring back to the browser that holds `secret`."""
    return _made_of(secret, "state")


def verifier_of(secret: str) -> str:
    """Return PKCE's verifier of that browser's sign-in."""
    return _made_of(secret, "verifier")


def challenge_of(verifier: str) -> str:
    """Return PKCE's S256 of a verifier.

    Source: https://www.rfc-editor.org/rfc/rfc7636#section-4.2
    """
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _made_of(secret: str, what: str) -> str:
    return hmac.new(secret.encode(), what.encode(), hashlib.sha256).hexdigest()


class SignInPages:
    """Signs visitors in and out."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context
        self._access = Access(context)
        self._on_the_way = host_cookie("binder-sign-in", context.settings)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of these pages."""
        return [
            Route(_PATH, self.begin, methods=["GET"]),
            Route(SIGN_IN_PATH, self.finish, methods=["GET"]),
            Route(SIGN_OUT_PATH, self.show, methods=["GET"]),
            Route(SIGN_OUT_PATH, self.end, methods=["POST"]),
        ]

    async def begin(self, request: Request) -> Response:
        """Send a browser to GitHub, to come back to `return`."""
        secret, address = new_token(), safe_return(request.query_params.get("return", "/"))
        asked = self._context.sign_in.address(state_of(secret), challenge_of(verifier_of(secret)))
        answer = redirect(asked)
        self._set(answer, self._on_the_way, f"{secret}.{quote(address, safe='')}", _ON_THE_WAY_SECONDS)
        return answer

    async def finish(self, request: Request) -> Response:
        """Take a browser that GitHub sent back, once, and lead it to where it came from."""
        query = request.query_params
        secret, _, kept = request.cookies.get(self._on_the_way, "").partition(".")
        address = safe_return(unquote(kept))
        given, wanted = query.get("state", ""), state_of(secret)
        if not is_token(secret) or not hmac.compare_digest(given.encode(errors="replace"), wanted.encode()):
            said = "This is not the browser, or not the way back, of a sign-in that was begun here in the last minutes."
            return self._failed(said, 400, "/")
        if query.get("error") == "access_denied":
            return self._failed("You said no at GitHub, so nobody is signed in.", 403, address)
        if "error" in query:
            return self._failed("GitHub did not sign you in. The service's operator may know why.", 502, address)
        try:
            visitor_id = await self._context.sign_in.sign_in(query.get("code", ""), verifier_of(secret))
        except VisitorFault as error:
            return self._failed(error.message, 400, address)
        return await self._signed_in(request, visitor_id, address)

    async def _signed_in(self, request: Request, visitor_id: int, address: str) -> Response:
        token, before = new_token(), request.cookies.get(self._access.cookie)
        async with self._context.store.write() as session:
            ends_at = utc_now() + _SIGNED_IN_FOR
            session.add(SignedIn(digest=digest_of_cookie(token), visitor_id=visitor_id, ends_at=ends_at))
            await session.flush()
            if before:
                await sign_out(session, before)
        answer = redirect(address)
        self._set(answer, self._access.cookie, token, int(_SIGNED_IN_FOR.total_seconds()))
        self._drop(answer, self._on_the_way)
        return answer

    async def show(self, request: Request) -> Response:
        """Say who is signed in, with a button to sign out."""
        viewer = await self._access.viewer(request)
        return html("sign_out.html", login=viewer.login, is_signed_in=viewer != ANYBODY)

    async def end(self, request: Request) -> Response:
        """Sign out in this browser."""
        token = request.cookies.get(self._access.cookie)
        if token:
            async with self._context.store.write() as session:
                await sign_out(session, token)
        answer = RedirectResponse(SIGN_OUT_PATH, 303, {"Cache-Control": "no-store"})
        self._drop(answer, self._access.cookie)
        return answer

    def _failed(self, message: str, status: int, address: str) -> Response:
        again = f"{_PATH}?{urlencode({'return': address})}"
        answer = html("sign_in_failed.html", status=status, message=message, again=again)
        self._drop(answer, self._on_the_way)
        return answer

    def _set(self, answer: Response, name: str, value: str, seconds: int) -> None:
        answer.set_cookie(
            name,
            value,
            max_age=seconds,
            path="/",
            httponly=True,
            samesite="lax",
            secure=self._context.settings.is_secure,
        )

    def _drop(self, answer: Response, name: str) -> None:
        answer.delete_cookie(name, path="/", httponly=True, samesite="lax", secure=self._context.settings.is_secure)
