"""Apps that are made from a manifest: what may stand in one, and the code that is given for it.

Owns the rules; the page on which a person agrees is `web_apps`.

Source: https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from githubapp.sandbox import registry
from githubapp.sandbox.access import Refusal
from githubapp.sandbox.values import Account, App, Manifest, ManifestCode
from githubapp.sandbox.world import World

CODE_LIFETIME = timedelta(hours=1)
_LEVELS = frozenset({"read", "write", "admin"})


def read_manifest(text: str) -> Manifest:
    """What a form's `manifest` asks for.

    Raises: Refusal 422.
    """
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise Refusal(422, "The manifest is not a JSON object")
    hook = asked.get("hook_attributes", {})
    if not isinstance(hook, dict):
        raise Refusal(422, "hook_attributes is not an object")
    return Manifest(
        name=_text(asked, "name"),
        url=_url(asked, "url"),
        webhook_url=_url(hook, "url") if hook.get("active", True) and hook else "",
        redirect_url=_url(asked, "redirect_url"),
        callback_urls=_texts(asked, "callback_urls"),
        setup_url=_url(asked, "setup_url") if asked.get("setup_url") else None,
        permissions=_permissions(asked),
        events=_texts(asked, "default_events"),
    )


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Refusal(422, f"{name} is missing in the manifest, or no text")
    return value


def _url(asked: Mapping[str, Any], name: str) -> str:
    value = _text(asked, name)
    if not value.startswith(("http://", "https://")):
        raise Refusal(422, f"{name} is not an address of the web")
    return value


def _texts(asked: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = asked.get(name, [])
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise Refusal(422, f"{name} is not a list of texts")
    return tuple(values)


def _permissions(asked: Mapping[str, Any]) -> dict[str, str]:
    values = asked.get("default_permissions", {})
    if not isinstance(values, dict) or not all(value in _LEVELS for value in values.values()):
        raise Refusal(422, "default_permissions must map a name to read, write or admin")
    return {"metadata": "read", **values}


def slug_of(name: str) -> str:
    """The part of the App's address that is made from its name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def agree(world: World, manifest: Manifest, name: str, owner: Account) -> ManifestCode:
    """Give a code for a manifest, under the name that the person left it.

    Raises: Refusal 422, for a name that cannot be or is taken.
    """
    registry.check_slug(world, slug_of(name))
    code = secrets.token_hex(20)
    agreed = ManifestCode(code, replace(manifest, name=name), owner.login, world.state.now() + CODE_LIFETIME)
    world.state.manifest_codes[code] = agreed
    return agreed


async def convert(world: World, code: str) -> tuple[App, str]:
    """Make the App, once for each code; the second half is its private key in PEM.

    Raises: Refusal 404, for a code that is unknown, used or too old; 422.
    """
    agreed = world.state.manifest_codes.pop(code, None)
    if agreed is None or agreed.expires_at <= world.state.now():
        raise Refusal(404, "Not Found")
    manifest = agreed.manifest
    return await registry.create_app(
        world,
        slug_of(manifest.name),
        world.account(agreed.owner),
        webhook_url=manifest.webhook_url,
        webhook_secret=secrets.token_hex(20),
        permissions=manifest.permissions,
        events_wanted=manifest.events,
        name=manifest.name,
        homepage=manifest.url,
        callback_urls=manifest.callback_urls,
        setup_url=manifest.setup_url,
    )
