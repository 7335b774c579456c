"""The pages on which a person registers an App from a manifest, and installs one.

Owns what is sent to these pages; the rules are `manifests` and `installations`. Nobody signs in: a page asks who acts.
"""

from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from githubapp.sandbox import installations, manifests
from githubapp.sandbox.access import Refusal
from githubapp.sandbox.pages import form_endpoint, people, refuse_other_sites, shown
from githubapp.sandbox.rest_bodies import form
from githubapp.sandbox.values import AccountKind, App
from githubapp.sandbox.world import World

_OWNERS: tuple[AccountKind, ...] = ("User", "Organization")


def routes(world: World) -> list[BaseRoute]:
    """The pages, at GitHub's own addresses."""
    install = "/apps/{slug}/installations/new"
    return [
        Route("/settings/apps/new", form_endpoint(world, new_app), methods=["GET", "POST"]),
        Route("/organizations/{login}/settings/apps/new", form_endpoint(world, new_app), methods=["GET", "POST"]),
        Route("/settings/apps/create", form_endpoint(world, create_app), methods=["POST"]),
        Route("/apps/{slug}", form_endpoint(world, app_page), methods=["GET"]),
        Route(install, form_endpoint(world, app_page), methods=["GET"]),
        Route(install, form_endpoint(world, install_app), methods=["POST"]),
    ]


def leading_to(url: str) -> str:
    """Where a form may lead that comes back here and is sent on to `url`."""
    parts = urlsplit(url)
    return f"'self' {parts.scheme}://{parts.netloc}"


def with_query(url: str, **values: str) -> str:
    """An address with something added to its query."""
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(values)}"


async def new_app(world: World, request: Request) -> Response:
    """What another site's form asks for, to be looked at; nothing is made of it yet."""
    sent = await form(request)
    text = sent.get("manifest", "")
    manifest = manifests.read_manifest(text)
    organization = request.path_params.get("login")
    return shown(
        "new_app",
        form_action=leading_to(manifest.redirect_url),
        manifest=manifest,
        text=text,
        state=sent.get("state", ""),
        organization=world.account(organization).login if organization else None,
        people=people(world),
    )


async def create_app(world: World, request: Request) -> Response:
    """Send the person back to where the manifest came from, with a code."""
    refuse_other_sites(request)
    sent = await form(request)
    manifest = manifests.read_manifest(sent.get("manifest", ""))
    owner = world.account(sent.get("login", ""))
    agreed = manifests.agree(world, manifest, sent.get("name", manifest.name), owner)
    more = {"state": sent["state"]} if sent.get("state") else {}
    return RedirectResponse(with_query(manifest.redirect_url, code=agreed.code, **more), 302)


def _app(world: World, request: Request) -> App:
    found = next((app for app in world.state.apps.values() if app.slug == request.path_params["slug"]), None)
    if found is None:
        raise Refusal(404, "There is no such App here.")
    return found


async def app_page(world: World, request: Request) -> Response:
    """An App, with the form that installs it."""
    app = _app(world, request)
    if not request.url.path.endswith("/new"):
        return RedirectResponse(f"/apps/{app.slug}/installations/new", 302)
    return shown(
        "install",
        form_action=leading_to(app.setup_url) if app.setup_url else "'self'",
        app=app,
        people=people(world, _OWNERS),
        repositories=sorted(one.full_name for one in world.state.repositories.values()),
    )


async def install_app(world: World, request: Request) -> Response:
    """Install it, and send the person on to the App's own page if it has one for that."""
    refuse_other_sites(request)
    app, sent = _app(world, request), await form(request)
    account = world.account(sent.get("login", ""))
    names = [name.removeprefix("repository ") for name in sent if name.startswith("repository ")]
    chosen = [world.repository(name) for name in names] or None
    installed = installations.install(world, app, account, chosen, account.login)
    if app.setup_url:
        there = with_query(app.setup_url, installation_id=str(installed.id), setup_action="install")
        return RedirectResponse(there, 302)
    return RedirectResponse("/", 303)
