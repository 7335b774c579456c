"""Apps on accounts: installed, changed, suspended and removed, and the tokens that an installation acts with.

Owns the rules for these and the events that follow. What a token may do is `access`.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from githubapp.sandbox import events
from githubapp.sandbox.access import Refusal
from githubapp.sandbox.values import Account, App, Installation, InstallationToken, Repository
from githubapp.sandbox.world import World

TOKEN_LIFETIME = timedelta(hours=1)


def install(
    world: World, app: App, account: Account, repositories: Sequence[Repository] | None, sender: str
) -> Installation:
    """Install an App on an account: on `repositories`, or on all of them; a second time adds to the first.

    Raises: Refusal 422, for a repository of somebody else.
    """
    if any(repository.owner.lower() != account.login.lower() for repository in repositories or ()):
        raise Refusal(422, "An installation covers repositories of one account")
    chosen = None if repositories is None else frozenset(repository.id for repository in repositories)
    known = world.state.installation(app.id, account.login)
    if known is None:
        return _install_new(world, app, account, chosen, sender)
    before = {repository.id for repository in world.state.installed_repositories(known)}
    both = None if chosen is None or known.repository_ids is None else known.repository_ids | chosen
    installed = _store(world, replace(known, repository_ids=both))
    added = [one for one in world.state.installed_repositories(installed) if one.id not in before]
    if added:
        events.installation_repositories(world, installed, "added", sender, added)
    return installed


def _install_new(world: World, app: App, account: Account, chosen: frozenset[int] | None, sender: str) -> Installation:
    now = world.state.now()
    installed = Installation(
        id=world.state.next_large_id(),
        app_id=app.id,
        account=account.login,
        repository_ids=chosen,
        permissions=app.permissions,
        events=app.events,
        created_at=now,
        updated_at=now,
    )
    world.state.installations[installed.id] = installed
    events.installation(world, installed, "created", sender, world.state.installed_repositories(installed))
    return installed


def _store(world: World, installed: Installation) -> Installation:
    installed = replace(installed, updated_at=world.state.now())
    world.state.installations[installed.id] = installed
    return installed


def uninstall_from(
    world: World, installed: Installation, repositories: Sequence[Repository], sender: str
) -> Installation:
    """Take repositories out of an installation, which stays."""
    gone = {repository.id for repository in repositories}
    covered = world.state.installed_repositories(installed)
    kept = frozenset(one.id for one in covered if one.id not in gone)
    installed = _store(world, replace(installed, repository_ids=kept))
    removed = [one for one in covered if one.id in gone]
    events.installation_repositories(world, installed, "removed", sender, removed)
    return installed


def uninstall(world: World, installed: Installation, sender: str) -> None:
    """End an installation, and its tokens with it."""
    covered = world.state.installed_repositories(installed)
    events.installation(world, installed, "deleted", sender, covered)
    del world.state.installations[installed.id]


def set_suspended(world: World, installed: Installation, sender: str, *, suspended: bool) -> Installation:
    """Stop an installation's events and tokens, or let them go on."""
    installed = _store(world, replace(installed, suspended_at=world.state.now() if suspended else None))
    covered = world.state.installed_repositories(installed)
    events.installation(world, installed, "suspend" if suspended else "unsuspend", sender, covered)
    return installed


def accept_permissions(world: World, installed: Installation, sender: str) -> Installation:
    """Grant what the App asks for by now; until then an installation has what it had when it was made."""
    app = world.state.apps[installed.app_id]
    installed = _store(world, replace(installed, permissions=app.permissions, events=app.events))
    covered = world.state.installed_repositories(installed)
    events.installation(world, installed, "new_permissions_accepted", sender, covered)
    return installed


def mint_token(
    world: World, installed: Installation, repository_ids: frozenset[int] | None, permissions: Mapping[str, str]
) -> InstallationToken:
    """A new token for an hour: opaque, long and with dots in it, as GitHub's may be."""
    _forget_expired_tokens(world)
    value = f"ghs_{secrets.token_urlsafe(40)}.{secrets.token_urlsafe(120)}.{secrets.token_urlsafe(160)}"
    expires_at = world.state.now() + TOKEN_LIFETIME
    token = InstallationToken(value, installed.id, repository_ids, dict(permissions), expires_at)
    world.state.tokens[value] = token
    return token


def _forget_expired_tokens(world: World) -> None:
    now = world.state.now()
    for value, token in list(world.state.tokens.items()):
        if token.expires_at <= now:
            del world.state.tokens[value]
