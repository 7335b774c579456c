"""What our GitHub App asks of GitHub, and why: the one list that set-up, checks and pages go by. Pure.

Owns the permissions, the events, and the manifest that carries them. Who may send it, and what comes back, is
`githubapp.setup`'s.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, urlsplit

from binder.errors import VisitorFault

WEBHOOK_PATH: Final = "/webhooks/github"
CREATED_PATH: Final = "/setup/created"
INSTALLED_PATH: Final = "/setup/installed"
# Where visitors come back to when they sign in with GitHub.
SIGN_IN_PATH: Final = "/sign-in/github"
# GitHub wants an address before it keeps a delivery for whoever comes for it. This one can never be anybody's, so that
# nobody is sent what is meant for us. Source: https://www.rfc-editor.org/rfc/rfc6761#section-6.4
NOBODYS_WEBHOOK: Final = f"https://binder.invalid{WEBHOOK_PATH}"

_LONGEST_NAME = 34
_ORGANIZATION = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9])*")
_LONGEST_ORGANIZATION = 39
_DESCRIPTION = (
    "Opens the notebooks of this repository live: a link on every commit and pull request leads to a running notebook."
)


@dataclass(frozen=True)
class Permission:
    """Something that the App may do, and what for, in a sentence."""

    name: str
    level: Literal["read", "write"]
    title: str
    reason: str


PERMISSIONS: Final[Sequence[Permission]] = (
    Permission("metadata", "read", "Metadata", "Which repositories there are, and what they are called."),
    Permission("contents", "read", "Contents", "Fetches the commits that are built. Nothing is ever written."),
    Permission("statuses", "write", "Commit statuses", "Marks each commit: building, ready with a link, or failed."),
    Permission("checks", "write", "Checks", "Shows what went wrong at its line, with buttons to run again or approve."),
    Permission("deployments", "write", "Deployments", "Lists each live preview under the repository's environments."),
    Permission(
        "pull_requests", "write", "Pull requests", "Writes one comment on a pull request, and keeps it current."
    ),
    Permission("issues", "read", "Issues", "Hears commands that are written as comments, like /ok-to-test."),
)

# `member` needs to see an organization's members, which we do not ask for; installation events come by themselves.
EVENTS: Final[tuple[str, ...]] = (
    *("push", "create", "delete", "pull_request", "issue_comment"),
    *("check_run", "check_suite", "repository"),
)


@dataclass(frozen=True)
class Registration:
    """What a browser sends to GitHub: to `action`, in a form whose field `manifest` is this text."""

    action: str
    manifest: str
    owner: str


@dataclass(frozen=True)
class Wishes:
    """What an operator chooses. An empty `organization` stands for the account of whoever is signed in at GitHub."""

    name: str = ""
    organization: str = ""
    public: bool = False


def default_name(url: str) -> str:
    """Return a name for the App of the service at `url`; on GitHub it must be nobody else's."""
    return f"Binder {urlsplit(url).hostname or ''}"[:_LONGEST_NAME].strip()


def registration(wishes: Wishes, *, url: str, github_url: str, pulls_deliveries: bool) -> Registration:
    """Return the registration of an App for the service at `url`.

    Raises: VisitorFault, for a name or an organization that cannot be.
    """
    name, organization = wishes.name.strip(), wishes.organization.strip()
    if not 0 < len(name) <= _LONGEST_NAME:
        raise VisitorFault(f"The App's name has 1 to {_LONGEST_NAME} characters.")
    if organization and (not _ORGANIZATION.fullmatch(organization) or len(organization) > _LONGEST_ORGANIZATION):
        raise VisitorFault("The organization's name is the last part of its address on GitHub, like `jupyter`.")
    of_whom = f"/organizations/{quote(organization)}" if organization else ""
    manifest = {
        "name": name,
        "url": url,
        "description": _DESCRIPTION,
        "public": wishes.public,
        "hook_attributes": {"url": NOBODYS_WEBHOOK if pulls_deliveries else url + WEBHOOK_PATH, "active": True},
        "redirect_url": url + CREATED_PATH,
        "callback_urls": [url + SIGN_IN_PATH],
        "setup_url": url + INSTALLED_PATH,
        "setup_on_update": False,
        "default_permissions": {one.name: one.level for one in PERMISSIONS},
        "default_events": list(EVENTS),
    }
    return Registration(f"{github_url}{of_whom}/settings/apps/new", json.dumps(manifest), organization)
