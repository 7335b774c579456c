"""What happened, told to the Apps that want to know.

Owns which Apps hear of an event and the payload of each. When an event happens is left to the actions.

Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from githubapp.sandbox import app_payloads, check_payloads, payloads, pull_payloads
from githubapp.sandbox.pull_payloads import Diff
from githubapp.sandbox.values import (
    Account,
    App,
    CheckRun,
    CheckSuite,
    Comment,
    GitCommit,
    Installation,
    Json,
    PullRequest,
    Repository,
)
from githubapp.sandbox.world import World

if TYPE_CHECKING:
    from githubapp.sandbox.state import State


def publish(world: World, event: str, repository: Repository, sender: str, body: Json) -> None:
    """Tell each App that is installed on `repository` and subscribed to `event`."""
    for installed in world.state.installations_of(repository):
        if event in installed.events:
            _tell(world, installed, event, repository, sender, body)


def _tell(world: World, installed: Installation, event: str, repository: Repository, sender: str, body: Json) -> None:
    state = world.state
    payload = {
        "repository": payloads.repository(state, repository),
        **body,
        "sender": payloads.user(state, sender),
        "installation": {"id": installed.id, "node_id": payloads.node_id("Installation", installed.id)},
    }
    owner = world.account(repository.owner)
    if owner.kind == "Organization":
        payload["organization"] = payloads.organization(state, owner)
    app = state.apps[installed.app_id]
    world.deliveries.post(app, event, payload, installation_id=installed.id, repository_id=repository.id)


def ping(world: World, app: App) -> None:
    """Tell an App that its address is known."""
    created = payloads.iso(app.created_at)
    hook: Json = {
        "type": "App",
        "id": app.hook_id,
        "name": "web",
        "active": True,
        "events": list(app.events),
        "config": {"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": app.webhook_url},
        "updated_at": created,
        "created_at": created,
        "app_id": app.id,
        "deliveries_url": payloads.api(world.state, "/app/hook/deliveries"),
    }
    body: Json = {"zen": "Keep it logically awesome.", "hook_id": app.hook_id, "hook": hook}
    world.deliveries.post(app, "ping", body, installation_id=None, repository_id=None)


def installation(
    world: World, installed: Installation, action: str, sender: str, repositories: Sequence[Repository]
) -> None:
    """Tell the App that it was installed, removed, suspended or allowed back."""
    names = [payloads.repository_name(world.state, repository) for repository in repositories]
    _tell_app(world, installed, "installation", sender, {"action": action, "repositories": names, "requester": None})


def installation_repositories(
    world: World, installed: Installation, action: str, sender: str, repositories: Sequence[Repository]
) -> None:
    """Tell the App which repositories were `added` or `removed`."""
    names = [payloads.repository_name(world.state, repository) for repository in repositories]
    body: Json = {
        "action": action,
        "repository_selection": "all" if installed.repository_ids is None else "selected",
        "repositories_added": names if action == "added" else [],
        "repositories_removed": names if action == "removed" else [],
        "requester": None,
    }
    _tell_app(world, installed, "installation_repositories", sender, body)


def _tell_app(world: World, installed: Installation, event: str, sender: str, body: Json) -> None:
    state = world.state
    payload = {
        **body,
        "installation": app_payloads.installation(state, installed),
        "sender": payloads.user(state, sender),
    }
    app = state.apps[installed.app_id]
    world.deliveries.post(app, event, payload, installation_id=installed.id, repository_id=None)


def repository(world: World, repo: Repository, action: str, sender: str, changes: Json | None = None) -> None:
    """Tell of a repository that was renamed, archived, made private …"""
    body: Json = {"action": action} if changes is None else {"action": action, "changes": changes}
    publish(world, "repository", repo, sender, body)


def member_removed(world: World, repo: Repository, account: Account) -> None:
    """Tell of somebody who is no collaborator any more."""
    body: Json = {"action": "removed", "member": payloads.user(world.state, account.login)}
    publish(world, "member", repo, repo.owner, body)


def sign_in_revoked(world: World, app: App, account: Account) -> None:
    """Tell an App, which need not have subscribed, that a person took back that it acts for them."""
    body: Json = {"action": "revoked", "sender": payloads.user(world.state, account.login)}
    world.deliveries.post(app, "github_app_authorization", body, installation_id=None, repository_id=None)


async def diff_of(world: World, pull: PullRequest) -> Diff:
    """How much a pull request changes, counted from where its branch left the base."""
    number = pull.repository_id
    start = await world.git.merge_base(number, pull.base_sha, pull.head_sha) or pull.base_sha
    files = await world.git.changed_files(number, start, pull.head_sha)
    return Diff(await world.git.count(number, pull.head_sha, f"^{start}"), files)


async def pull_request(world: World, pull: PullRequest, action: str, sender: str, **more: object) -> None:
    """Tell of a pull request; `more` are the fields that only some actions have (`before`, `changes`, …)."""
    repo = world.state.repositories[pull.repository_id]
    shape = pull_payloads.full_pull_request(world.state, pull, await diff_of(world, pull))
    publish(
        world, "pull_request", repo, sender, {"action": action, "number": pull.number, "pull_request": shape, **more}
    )


def issue_comment(world: World, comment: Comment, action: str, sender: str, **more: object) -> None:
    """Tell of a comment on a pull request."""
    state: State = world.state
    repo = state.repositories[comment.repository_id]
    issue = pull_payloads.issue_of(state, state.pulls[repo.id, comment.number])
    shape = pull_payloads.comment(state, comment)
    publish(world, "issue_comment", repo, sender, {"action": action, "issue": issue, "comment": shape, **more})


def check_run(world: World, run: CheckRun, action: str, sender: str) -> None:
    """Tell of a check run that was `created` or `completed`."""
    repo = world.state.repositories[run.repository_id]
    body: Json = {"action": action, "check_run": check_payloads.told_check_run(world.state, run)}
    publish(world, "check_run", repo, sender, body)


def check_run_asked(world: World, run: CheckRun, action: str, sender: str, **more: object) -> None:
    """Tell the App whose check run it is, and no other, what a person wants of it."""
    repo = world.state.repositories[run.repository_id]
    body: Json = {"action": action, "check_run": check_payloads.told_check_run(world.state, run), **more}
    _tell_owner(world, run.app_id, "check_run", repo, sender, body)


def check_suite_rerequested(world: World, suite: CheckSuite, head: GitCommit, sender: str) -> None:
    """Tell the App whose suite it is that a person wants all of its checks once more."""
    repo = world.state.repositories[suite.repository_id]
    shape = check_payloads.told_check_suite(world.state, suite, head)
    _tell_owner(world, suite.app_id, "check_suite", repo, sender, {"action": "rerequested", "check_suite": shape})


def _tell_owner(world: World, app_id: int, event: str, repo: Repository, sender: str, body: Json) -> None:
    """An App that may write checks hears this without having subscribed.

    Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads#check_run
    """
    for installed in world.state.installations_of(repo):
        if installed.app_id == app_id and installed.permissions.get("checks") == "write":
            _tell(world, installed, event, repo, sender, body)
