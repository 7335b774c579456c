"""What people do around their work: register Apps and accounts, make, fork, rename and hide repositories.

Owns the rules for these and the events that follow from them. Installations are `installations`.
"""

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from githubapp.sandbox import events, payloads
from githubapp.sandbox.access import Refusal
from githubapp.sandbox.names import is_branch, is_owner, is_repository, split_full_name
from githubapp.sandbox.values import (
    Account,
    AccountKind,
    App,
    Json,
    Repository,
    Role,
)
from githubapp.sandbox.world import World

_KEY_BITS = 2048
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LONGEST_SLUG = 34
_LONGEST_DESCRIPTION_CHARACTERS = 350


def create_account(world: World, login: str, kind: AccountKind) -> Account:
    """Register a person, who gets a token, or an organization, which signs in nowhere.

    Raises: Refusal 422, for a name that cannot be or is taken.
    """
    if not is_owner(login) or world.state.account(login):
        raise Refusal(422, f"The login {login!r} is not possible or not free")
    token = f"ghp_{secrets.token_urlsafe(30)}" if kind == "User" else None
    account = Account(world.state.next_id(), login, kind, world.state.now(), token)
    world.state.accounts[login.lower()] = account
    return account


def check_slug(world: World, slug: str) -> None:
    """Raises: Refusal 422, for a slug that cannot be or is taken."""
    if not _SLUG.fullmatch(slug) or len(slug) > _LONGEST_SLUG or world.state.account(f"{slug}[bot]"):
        raise Refusal(422, f"The App name {slug!r} is not possible or not free")


async def create_app(
    world: World,
    slug: str,
    owner: Account,
    *,
    webhook_url: str,
    webhook_secret: str,
    permissions: Mapping[str, str],
    events_wanted: Sequence[str],
    name: str | None = None,
    homepage: str | None = None,
    callback_urls: Sequence[str] = (),
    setup_url: str | None = None,
) -> tuple[App, str]:
    """Register an App and its bot; the second half is its private key in PEM, which is kept by nobody here.

    Raises: Refusal 422, for a slug that cannot be or is taken.
    """
    check_slug(world, slug)
    bot = f"{slug}[bot]"
    world.state.accounts[bot] = Account(world.state.next_id(), bot, "Bot", world.state.now())
    private_pem, public_pem = await asyncio.to_thread(_new_key)
    app = App(
        id=world.state.next_id(),
        slug=slug,
        owner=owner.login,
        webhook_url=webhook_url,
        webhook_secret=webhook_secret,
        hook_id=world.state.next_id(),
        public_key_pem=public_pem,
        permissions=dict(permissions),
        events=tuple(events_wanted),
        bot=bot,
        created_at=world.state.now(),
        client_secret=secrets.token_hex(20),
        name=name or slug,
        homepage=homepage or webhook_url,
        callback_urls=tuple(callback_urls),
        setup_url=setup_url,
    )
    world.state.apps[app.id] = app
    events.ping(world, app)
    return app, private_pem


def set_webhook(world: World, app: App, webhook_url: str, webhook_secret: str | None) -> App:
    """Give an App another address, which is pinged, and another secret if one is given."""
    app = replace(app, webhook_url=webhook_url, webhook_secret=webhook_secret or app.webhook_secret)
    world.state.apps[app.id] = app
    events.ping(world, app)
    return app


def set_permissions(world: World, app: App, permissions: Mapping[str, str], events_wanted: Sequence[str]) -> App:
    """Let an App ask for something else; installations that there are have to accept it first."""
    app = replace(app, permissions=dict(permissions), events=tuple(events_wanted))
    world.state.apps[app.id] = app
    return app


def _new_key() -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    public = key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


async def create_repository(
    world: World,
    full_name: str,
    *,
    private: bool,
    description: str | None,
    default_branch: str,
    parent: int | None = None,
) -> Repository:
    """Make an empty repository of an account that exists.

    Raises: Refusal 404 or 422.
    """
    try:
        owner, name = split_full_name(full_name)
    except ValueError as error:
        raise Refusal(422, str(error)) from None
    owner = world.account(owner).login
    if world.state.repository(owner, name) or not is_branch(default_branch):
        raise Refusal(422, f"The name {full_name!r} is taken, or {default_branch!r} cannot be a branch")
    if description and len(description) > _LONGEST_DESCRIPTION_CHARACTERS:
        raise Refusal(422, f"description is too long (maximum is {_LONGEST_DESCRIPTION_CHARACTERS} characters)")
    now = world.state.now()
    number = world.state.next_large_id()
    repository = Repository(number, owner, name, private, description, default_branch, parent, {}, now, now, now)
    world.state.renamed.pop((owner.lower(), name.lower()), None)
    world.state.repositories[number] = repository
    try:
        await world.git.create(number, default_branch)
    except BaseException:
        del world.state.repositories[number]
        raise
    events.repository(world, repository, "created", owner)
    return repository


async def fork(world: World, parent: Repository, owner: Account, name: str | None) -> Repository:
    """Copy a repository to another account.

    Raises: Refusal 422.
    """
    child = await create_repository(
        world,
        f"{owner.login}/{name or parent.name}",
        private=parent.private,
        description=parent.description,
        default_branch=parent.default_branch,
        parent=parent.id,
    )
    await world.git.copy_branches(parent.id, child.id)
    return child


def rename_repository(world: World, repository: Repository, name: str, sender: str) -> Repository:
    """Give a repository another name; the old one leads on to it until somebody takes it.

    Raises: Refusal 422.
    """
    if not is_repository(name) or world.state.repository(repository.owner, name):
        raise Refusal(422, f"The name {name!r} is not possible or not free")
    world.state.renamed[repository.owner.lower(), repository.name.lower()] = repository.id
    changes: Json = {"repository": {"name": {"from": repository.name}}}
    return _change(world, replace(repository, name=name), "renamed", sender, changes)


def set_private(world: World, repository: Repository, sender: str, *, private: bool) -> Repository:
    """Hide a repository from strangers, or show it to all."""
    return _change(world, replace(repository, private=private), "privatized" if private else "publicized", sender)


def set_archived(world: World, repository: Repository, sender: str, *, archived: bool) -> Repository:
    """Make a repository read-only, or writable again."""
    return _change(world, replace(repository, archived=archived), "archived" if archived else "unarchived", sender)


async def set_default_branch(world: World, repository: Repository, branch: str, sender: str) -> Repository:
    """Make another of its branches the one that is meant when none is named.

    Raises: Refusal 422.
    """
    if not is_branch(branch) or f"refs/heads/{branch}" not in await world.git.refs(repository.id, "refs/heads"):
        raise Refusal(422, f"The branch {branch!r} was not found")
    await world.git.run(repository.id, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
    # Read again: it may have changed while git was asked.
    repository = world.state.repositories[repository.id]
    changes: Json = {"default_branch": {"from": repository.default_branch}}
    return _change(world, replace(repository, default_branch=branch), "edited", sender, changes)


def transfer_repository(world: World, repository: Repository, owner: Account, sender: str) -> Repository:
    """Give a repository to another account; its old address leads on to it.

    Only Apps that the new owner has installed on it hear of it: for those of the old one it is gone without a word.

    Raises: Refusal 422.
    """
    if world.state.repository(owner.login, repository.name):
        raise Refusal(422, f"{owner.login} has a repository {repository.name!r} already")
    before = world.account(repository.owner)
    shape: Json = {"user": payloads.user(world.state, before.login)}
    if before.kind == "Organization":
        shape = {"organization": payloads.organization(world.state, before)}
    world.state.renamed[repository.owner.lower(), repository.name.lower()] = repository.id
    world.state.take_from_installations(repository.id)
    for pull in list(world.state.pulls.values()):
        if pull.head_id == repository.id:
            world.state.change_pull(pull, head_owner=owner.login)
    changes: Json = {"owner": {"from": shape}}
    return _change(world, replace(repository, owner=owner.login), "transferred", sender, changes)


async def delete_repository(world: World, repository: Repository, sender: str) -> None:
    """Delete a repository with all that is in it; pull requests from it stay where they are, without their head's
    repository."""
    events.repository(world, repository, "deleted", sender)
    world.state.forget_repository(repository)
    await world.git.remove(repository.id)


def _change(world: World, repository: Repository, action: str, sender: str, changes: Json | None = None) -> Repository:
    repository = replace(repository, updated_at=world.state.now())
    world.state.repositories[repository.id] = repository
    events.repository(world, repository, action, sender, changes)
    return repository


def set_role(world: World, repository: Repository, account: Account, role: Role | None) -> Repository:
    """Make an account a collaborator, or none any more."""
    others = {login: kept for login, kept in repository.collaborators.items() if login != account.login.lower()}
    collaborators = others if role is None else {**others, account.login.lower(): role}
    was_one = account.login.lower() in repository.collaborators
    repository = replace(repository, collaborators=collaborators)
    world.state.repositories[repository.id] = repository
    if role is None and was_one:
        events.member_removed(world, repository, account)
    return repository
