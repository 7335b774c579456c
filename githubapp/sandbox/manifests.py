"""Apps from a manifest: the page that GitHub shows for one, the code that is traded for its keys, and its installation.

Owns what GitHub asks of a manifest, and what it keeps of one until its code is traded. Nobody signs in here: whoever
presses the button says whose App it is to be.

Source: https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""

import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from githubapp.sandbox import app_payloads, installations, registry
from githubapp.sandbox.access import Refusal, not_found
from githubapp.sandbox.rest import Call, Rule
from githubapp.sandbox.values import Account, App
from githubapp.sandbox.world import World
from templates import render

_CODE_LIFETIME = timedelta(hours=1)
_LARGEST_FORM_BYTES = 100_000
_LONGEST_NAME = 34
_MOST_CALLBACKS = 10
# Which permission an event comes with; those that are missing here come by themselves, and cannot be asked for.
# Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads
_PERMISSION_OF_EVENT = {
    **dict.fromkeys(("push", "create", "delete", "fork"), "contents"),
    **dict.fromkeys(("pull_request", "pull_request_review"), "pull_requests"),
    **dict.fromkeys(("issues", "issue_comment", "label"), "issues"),
    **dict.fromkeys(("check_run", "check_suite"), "checks"),
    **dict.fromkeys(("deployment", "deployment_status"), "deployments"),
    "status": "statuses",
    "repository": "metadata",
    "member": "members",
}
_HEADERS = {
    # What is sent here leads to where the manifest says, which a browser holds against this list as well.
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action http: https:; "
    "base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class _Registered:
    """What an App's code is traded for, once, until it ends."""

    app_id: int
    name: str
    client_secret: str = field(repr=False)
    private_key_pem: str = field(repr=False)
    expires_at: datetime


class Manifests:
    """The pages of one stand-in, and the codes that were not traded yet."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._codes: dict[str, _Registered] = {}
        self._setup_urls: dict[int, str] = {}

    def routes(self) -> list[BaseRoute]:
        """The pages of a person who registers and installs an App."""
        new = "/settings/apps/new"
        pages: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
            ("POST", new, self._ask),
            ("POST", f"/organizations/{{organization}}{new}", self._ask),
            ("POST", "/settings/apps/manifest", self._register),
            ("GET", "/apps/{slug}/installations/new", self._choose_account),
            ("POST", "/apps/{slug}/installations/new", self._install),
        ]
        return [Route(path, _page_or_refusal(page), methods=[method]) for method, path, page in pages]

    def rules(self) -> list[Rule]:
        """The one call, which needs no other key than the code."""
        return [Rule("POST", "/app-manifests/{code}/conversions", self._convert)]

    async def _ask(self, request: Request) -> Response:
        """Show what a manifest asks for, and a button."""
        manifest = _manifest_of((await _form(request)).get("manifest", ""))
        organization = request.path_params.get("organization")
        owners = [self._world.account(organization)] if organization else self._people()
        return _page(
            "new_app",
            manifest=manifest,
            text=json.dumps(manifest),
            state=request.query_params.get("state", ""),
            owners=[one.login for one in owners],
        )

    async def _register(self, request: Request) -> Response:
        """Register the App and go back to whoever asked, with a code."""
        form = await _form(request)
        manifest = _manifest_of(form.get("manifest", ""))
        name, hook = form.get("name") or str(manifest["name"]), manifest.get("hook_attributes", {})
        app, pem = await registry.create_app(
            self._world,
            _slug_of(name),
            self._world.account(form.get("owner", "")),
            webhook_url=hook.get("url", "") if hook.get("active", True) else "",
            webhook_secret=secrets.token_hex(20),
            permissions={"metadata": "read", **manifest.get("default_permissions", {})},
            events_wanted=manifest.get("default_events", ()),
        )
        self._setup_urls[app.id] = manifest.get("setup_url", "")
        code, ends = secrets.token_hex(20), self._world.state.now() + _CODE_LIFETIME
        self._codes[code] = _Registered(app.id, name, secrets.token_hex(20), pem, ends)
        return _away(str(manifest["redirect_url"]), code=code, state=form.get("state", ""))

    async def _convert(self, call: Call) -> Response:
        """Trade a code for the App's keys, once."""
        found = self._codes.pop(call.request.path_params["code"], None)
        if found is None or found.expires_at <= call.state.now():
            raise not_found()
        app = call.state.apps[found.app_id]
        keys = {
            "client_secret": found.client_secret,
            "webhook_secret": app.webhook_secret if app.webhook_url else None,
            "pem": found.private_key_pem,
        }
        return JSONResponse({**app_payloads.app(call.state, app), "name": found.name, **keys}, 201)

    async def _choose_account(self, request: Request) -> Response:
        app = self._app(request)
        accounts = [one.login for one in self._world.state.accounts.values() if one.kind != "Bot"]
        return _page("install_app", app=app, accounts=accounts, state=request.query_params.get("state", ""))

    async def _install(self, request: Request) -> Response:
        """Install the App on all that an account has, and go where the App wants its new users to go."""
        app, form = self._app(request), await _form(request)
        account = self._world.account(form.get("account", ""))
        known = self._world.state.installation(app.id, account.login)
        installed = installations.install(self._world, app, account, None, account.login)
        action = "update" if known else "install"
        address = self._setup_urls.get(app.id) or f"{self._world.state.url}/"
        return _away(address, installation_id=str(installed.id), setup_action=action, state=form.get("state", ""))

    def _app(self, request: Request) -> App:
        slug = request.path_params["slug"]
        found = next((one for one in self._world.state.apps.values() if one.slug == slug), None)
        if found is None:
            raise not_found()
        return found

    def _people(self) -> Sequence[Account]:
        return [one for one in self._world.state.accounts.values() if one.kind == "User"]


def _page_or_refusal(page: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await page(request)
        except Refusal as refusal:
            return _page("refused", status=refusal.status, message=refusal.message)

    return endpoint


def _page(name: str, *, status: int = 200, **values: object) -> Response:
    return HTMLResponse(render(f"sandbox/{name}.html", refresh_seconds=None, **values), status, _HEADERS)


def _away(address: str, **query: str) -> Response:
    """Go to another site, with what it is to know and nothing that is empty."""
    known = urlencode({name: value for name, value in query.items() if value})
    return RedirectResponse(f"{address}{'&' if urlsplit(address).query else '?'}{known}", 302)


async def _form(request: Request) -> dict[str, str]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM_BYTES:
            raise Refusal(413, "Payload too large")
    return dict(parse_qsl(body.decode(errors="replace")))


def _manifest_of(text: str) -> dict[str, Any]:
    """Read a manifest.

    Raises: Refusal 422, in the words that GitHub's page has for it.
    """
    try:
        manifest = json.loads(text)
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict):
        raise _invalid("it is not a JSON object")
    missing = [name for name in ("name", "url", "redirect_url") if not isinstance(manifest.get(name), str)]
    hook = manifest.get("hook_attributes")
    if missing or (hook is not None and not (isinstance(hook, dict) and isinstance(hook.get("url"), str))):
        raise _invalid(f'"{(missing or ["url"])[0]}" wasn\'t supplied')
    if len(manifest["name"]) > _LONGEST_NAME:
        raise _invalid(f"Name is too long (maximum is {_LONGEST_NAME} characters)")
    if len(manifest.get("callback_urls", ())) > _MOST_CALLBACKS:
        raise _invalid(f"there are more than {_MOST_CALLBACKS} callback_urls")
    _check_events(manifest.get("default_events", ()), manifest.get("default_permissions", {}))
    return manifest


def _check_events(events: Sequence[str], permissions: Mapping[str, str]) -> None:
    known = {"metadata", *permissions}
    unsupported = [one for one in events if _PERMISSION_OF_EVENT.get(one) not in known]
    if unsupported:
        raise _invalid(f"Default events unsupported: {', '.join(unsupported)}")


def _invalid(reason: str) -> Refusal:
    return Refusal(422, f"Invalid GitHub App configuration. Error: {reason}.")


def _slug_of(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
