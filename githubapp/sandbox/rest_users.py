"""The REST calls of a person, or of an App in a person's name, and the end of the manifest flow.

Source: https://docs.github.com/en/rest/users, https://docs.github.com/en/rest/apps
"""

from starlette.responses import JSONResponse, Response

from githubapp.sandbox import app_payloads, manifests, payloads
from githubapp.sandbox.access import Actor, Refusal, may_see, not_accessible, not_found
from githubapp.sandbox.rest import Call, Rule
from githubapp.sandbox.rest_lists import page
from githubapp.sandbox.values import Account, Installation, Repository


def _person(call: Call) -> Account:
    """Raises: Refusal 401 or 403."""
    if call.actor.account:
        return call.actor.account
    raise Refusal(401, "Requires authentication") if call.actor.is_anonymous else not_accessible()


async def get_user(call: Call) -> Response:
    return JSONResponse(payloads.public_user(call.state, _person(call)))


def _reached(call: Call, installed: Installation) -> list[Repository]:
    """What of an installation the person may see too."""
    covered = call.state.installed_repositories(installed)
    login = _person(call).login
    known = [one for one in covered if may_see(call.state, Actor(account=call.actor.account), one)]
    return [one for one in known if one.owner.lower() == login.lower() or login.lower() in one.collaborators]


def _installations(call: Call) -> list[Installation]:
    """Raises: Refusal 403, for a person who does not come through an App."""
    person, app = _person(call), call.actor.app_of_user
    if app is None:
        raise Refusal(403, "You must authenticate with an access token authorized to a GitHub App.")
    own = [one for one in call.state.installations.values() if one.app_id == app.id]
    return [one for one in own if one.account.lower() == person.login.lower() or _reached(call, one)]


async def list_installations(call: Call) -> Response:
    found = _installations(call)
    shown, headers = page(call, found)
    shapes = [app_payloads.installation(call.state, one) for one in shown]
    return JSONResponse({"total_count": len(found), "installations": shapes}, headers=headers)


async def list_installation_repositories(call: Call) -> Response:
    number = call.number("installation_id")
    installed = next((one for one in _installations(call) if one.id == number), None)
    if installed is None:
        raise not_found()
    found = _reached(call, installed)
    shown, headers = page(call, found)
    shapes = [payloads.repository(call.state, one) for one in shown]
    return JSONResponse({"total_count": len(found), "repositories": shapes}, headers=headers)


async def convert_manifest(call: Call) -> Response:
    """The only time that an App's secrets are told."""
    app, pem = await manifests.convert(call.world, call.path("code"))
    told = {
        "client_id": app.client_id,
        "client_secret": app.client_secret,
        "webhook_secret": app.webhook_secret,
        "pem": pem,
    }
    return JSONResponse({**app_payloads.app(call.state, app), **told}, 201)


RULES = [
    Rule("GET", "/user", get_user),
    Rule("GET", "/user/installations", list_installations),
    Rule("GET", "/user/installations/{installation_id:int}/repositories", list_installation_repositories),
    Rule("POST", "/app-manifests/{code}/conversions", convert_manifest),
]
