"""The page on which a person lets an App act for them, and the address where the App fetches the token.

Owns what is sent to both; the rules of the exchange are `oauth`.

Source: https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
"""

import json
from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from githubapp.sandbox import oauth
from githubapp.sandbox.access import Refusal
from githubapp.sandbox.pages import form_endpoint, people, refuse_other_sites, shown
from githubapp.sandbox.rest_bodies import form, json_object
from githubapp.sandbox.values import App
from githubapp.sandbox.web_apps import leading_to, with_query
from githubapp.sandbox.world import World

_CARRIED = ("client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method")


def routes(world: World) -> list[BaseRoute]:
    """The page, what is sent to it, and the exchange of a code for a token."""

    async def access_token(request: Request) -> Response:
        try:
            answer = oauth.exchange(world.state, await _asked(request))
        except Refusal as refusal:
            return JSONResponse(refusal.body(), refusal.status)
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse(answer)
        return PlainTextResponse(urlencode(answer), media_type="application/x-www-form-urlencoded")

    return [
        Route("/login/oauth/authorize", form_endpoint(world, ask), methods=["GET"]),
        Route("/login/oauth/authorize", form_endpoint(world, answer), methods=["POST"]),
        Route("/login/oauth/access_token", access_token, methods=["POST"]),
    ]


async def _asked(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return await form(request)
    body = await json_object(request)
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}


def _destination(world: World, sent: Mapping[str, str]) -> tuple[App, str, Response | None]:
    """Who asks and where the answer goes; a wrong address is told to the right one.

    Raises: Refusal 404.
    """
    app = oauth.app_with_client_id(world.state, sent.get("client_id", ""))
    if app is None or not app.callback_urls:
        raise Refusal(404, "There is no App of that client_id, or it has no callback URL.")
    redirect_uri = sent.get("redirect_uri") or app.callback_urls[0]
    if redirect_uri in app.callback_urls:
        return app, redirect_uri, None
    said = "The redirect_uri MUST match the registered callback URL for this application."
    return app, redirect_uri, _refused(app.callback_urls[0], sent, "redirect_uri_mismatch", said)


def _refused(redirect_uri: str, sent: Mapping[str, str], error: str, description: str) -> Response:
    return _redirect(redirect_uri, sent, error=error, error_description=description)


def _redirect(redirect_uri: str, sent: Mapping[str, str], **values: str) -> Response:
    more = {"state": sent["state"]} if sent.get("state") else {}
    return RedirectResponse(with_query(redirect_uri, **values, **more), 302)


async def ask(world: World, request: Request) -> Response:
    """Ask the person; of PKCE's methods GitHub takes only S256."""
    sent = dict(request.query_params)
    app, redirect_uri, refused = _destination(world, sent)
    if refused:
        return refused
    if sent.get("code_challenge") and sent.get("code_challenge_method") != "S256":
        raise Refusal(400, "code_challenge_method must be S256")
    return shown(
        "authorize",
        form_action=leading_to(redirect_uri),
        app=app,
        redirect_uri=redirect_uri,
        hidden={name: sent[name] for name in _CARRIED if name in sent},
        people=people(world),
        suggested=sent.get("login", ""),
    )


async def answer(world: World, request: Request) -> Response:
    """Send the person back, with a code or with their no."""
    refuse_other_sites(request)
    sent = await form(request)
    app, redirect_uri, refused = _destination(world, sent)
    if refused:
        return refused
    if sent.get("answer") != "yes":
        return _refused(redirect_uri, sent, "access_denied", "The user has denied your application access.")
    person = world.account(sent.get("login", ""))
    agreed = oauth.agree(world.state, app, person.login, redirect_uri, sent.get("code_challenge") or None)
    return _redirect(redirect_uri, sent, code=agreed.code)
