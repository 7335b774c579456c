"""What Apps, installations, tokens and deliveries look like from outside."""

from githubapp.sandbox.access import token_grants
from githubapp.sandbox.payloads import api, iso, iso_or_none, node_id, repository, user
from githubapp.sandbox.state import State
from githubapp.sandbox.values import App, Delivery, Installation, InstallationToken, Json


def app(state: State, registered: App) -> Json:
    """An `integration`."""
    return {
        "id": registered.id,
        "client_id": registered.client_id,
        "slug": registered.slug,
        "node_id": node_id("App", registered.id),
        "owner": user(state, registered.owner),
        "name": registered.name,
        "description": "",
        "external_url": registered.homepage,
        "html_url": f"{state.url}/apps/{registered.slug}",
        "created_at": iso(registered.created_at),
        "updated_at": iso(registered.created_at),
        "permissions": dict(registered.permissions),
        "events": list(registered.events),
    }


def installation(state: State, installed: Installation) -> Json:
    """An `installation`."""
    account = user(state, installed.account)
    return {
        "id": installed.id,
        "client_id": state.apps[installed.app_id].client_id,
        "account": account,
        "repository_selection": "all" if installed.repository_ids is None else "selected",
        "access_tokens_url": api(state, f"/app/installations/{installed.id}/access_tokens"),
        "repositories_url": api(state, "/installation/repositories"),
        "html_url": f"{state.url}/settings/installations/{installed.id}",
        "app_id": installed.app_id,
        "app_slug": state.apps[installed.app_id].slug,
        "target_id": account["id"],
        "target_type": account["type"],
        "permissions": dict(installed.permissions),
        "events": list(installed.events),
        "created_at": iso(installed.created_at),
        "updated_at": iso(installed.updated_at),
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": user(state, installed.account) if installed.suspended_at else None,
        "suspended_at": iso_or_none(installed.suspended_at),
    }


def installation_token(state: State, token: InstallationToken) -> Json:
    """An `installation-token`; it names its repositories only where it was narrowed to them."""
    body: Json = {
        "token": token.value,
        "expires_at": iso(token.expires_at),
        "permissions": dict(token.permissions),
        "repository_selection": "all" if token.repository_ids is None else "selected",
    }
    if token.repository_ids is not None:
        found = [state.repositories[number] for number in sorted(token.repository_ids)]
        body["repositories"] = [repository(state, repo) for repo in found]
    return body


def visible_permissions(token: InstallationToken) -> Json:
    """What an installation may do with a repository's contents, in the words of a repository's `permissions`."""
    push = token_grants(token, "contents", "write")
    pull = token_grants(token, "contents", "read")
    return {"admin": False, "maintain": False, "push": push, "triage": False, "pull": pull}


def delivery_item(value: Delivery) -> Json:
    """A `hook-delivery-item`, the short form of lists."""
    return {
        "id": value.id,
        "guid": value.guid,
        "delivered_at": iso(value.delivered_at),
        "redelivery": value.redelivery,
        "duration": round(value.duration_seconds, 2),
        "status": value.status,
        "status_code": value.status_code,
        "event": value.event,
        "action": value.action,
        "installation_id": value.installation_id,
        "repository_id": value.repository_id,
        "throttled_at": None,
    }


def delivery(state: State, value: Delivery) -> Json:
    """A `hook-delivery`, with what was sent and what came back."""
    return {
        **delivery_item(value),
        "url": state.apps[value.app_id].webhook_url,
        "request": {"headers": dict(value.request_headers), "payload": value.payload},
        "response": {"headers": dict(value.response_headers), "payload": value.response_body},
    }
