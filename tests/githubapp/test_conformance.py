"""GitHub's published deliveries, each signed and posted to the real inbox, and what each is taken for.

What the published ones lack is made of them here, and is held against GitHub's own schemas.
"""

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
from sqlalchemy import select
from starlette.applications import Starlette

from binder.lifecycle import DeliveryState
from binder.settings import read_settings
from binder.store import Store
from binder.store.tables import Delivery
from githubapp.events import (
    AccessLook,
    Button,
    Command,
    Hint,
    Ignored,
    InstallationLook,
    Look,
    RepositoryLook,
    SignInRevoked,
    hint_of,
)
from githubapp.inbox import Inbox, webhook_route
from tests.githubapp import payloads
from tests.githubapp.github_description import validate_webhook
from tests.githubapp.github_packages import PackageFile

Payload: TypeAlias = dict[str, Any]

SECRET = "not much of a secret"
APP_ID = 2  # the one that most of the published check runs are of
GITHUB = PackageFile(
    "@octokit/webhooks-examples",
    "7.6.1",
    "api.github.com/index.json",
    "09d8f0c617876ae9dad22e26fea5510bfcaad50ee7e602659f6db25b87b25815",
)
ENTERPRISE = PackageFile(
    "@octokit/webhooks-examples",
    "7.6.1",
    "ghes-35/index.json",
    "e6c08d50c960441bb5b53feef5274a09e589b6d8998e5359f522c07b996e03ba",
)
ENTERPRISE_HEADERS = {"x-github-enterprise-host": "ghe.example.com", "x-github-enterprise-version": "3.16.0"}

ACTED_ON: dict[str, type[Hint]] = {
    "check_run.rerequested": Button,
    "check_suite.rerequested": Button,
    "github_app_authorization.revoked": SignInRevoked,
    "installation.created": InstallationLook,
    "installation.deleted": InstallationLook,
    "installation.new_permissions_accepted": InstallationLook,
    "installation.suspend": InstallationLook,
    "installation.unsuspend": InstallationLook,
    "installation_repositories.added": InstallationLook,
    "installation_repositories.removed": InstallationLook,
    "member.edited": AccessLook,
    "membership.removed": AccessLook,
    "organization.member_removed": AccessLook,
    "pull_request.closed": Look,
    "pull_request.converted_to_draft": Look,
    "pull_request.labeled": Look,
    "pull_request.opened": Look,
    "pull_request.ready_for_review": Look,
    "pull_request.reopened": Look,
    "pull_request.synchronize": Look,
    "pull_request.unlabeled": Look,
    "push of a branch": Look,
    "repository.deleted": RepositoryLook,
    "repository.edited in its default branch": RepositoryLook,
    "repository.privatized": RepositoryLook,
    "repository.publicized": RepositoryLook,
    "repository.renamed": RepositoryLook,
    "repository.transferred": RepositoryLook,
    "team.deleted": AccessLook,
    "team.removed_from_repository": AccessLook,
    "team.edited": AccessLook,
}
IGNORED = """
branch_protection_rule.created
branch_protection_rule.deleted
branch_protection_rule.edited
cache_sync
check_run.completed
check_run.completed of another App
check_run.created
check_run.created of another App
check_run.requested_action of another App
check_suite.completed
check_suite.completed of another App
check_suite.requested
check_suite.requested of another App
check_suite.rerequested of another App
code_scanning_alert.closed_by_user
code_scanning_alert.created
code_scanning_alert.fixed
code_scanning_alert.reopened
commit_comment.created
create of a tag
delete of a tag
dependabot_alert.created
dependabot_alert.fixed
deploy_key.created
deployment
deployment.created
deployment_review.requested
deployment_status
deployment_status.created
discussion.answered
discussion.category_changed
discussion.created
discussion.edited
discussion.labeled
discussion.locked
discussion.pinned
discussion.transferred
discussion.unanswered
discussion.unlabeled
discussion.unlocked
discussion_comment.created
discussion_comment.deleted
discussion_comment.edited
enterprise.anonymous_access_enabled
fork
gollum
issue_comment.created
issue_comment.deleted
issue_comment.edited
issues.assigned
issues.deleted
issues.demilestoned
issues.edited
issues.labeled
issues.locked
issues.milestoned
issues.opened
issues.pinned
issues.reopened
issues.transferred
issues.unassigned
issues.unlabeled
issues.unlocked
issues.unpinned
label.created
label.deleted
label.edited
marketplace_purchase.cancelled
marketplace_purchase.changed
marketplace_purchase.purchased
member.added
membership.added
merge_group.checks_requested
meta.deleted
milestone.closed
milestone.created
milestone.deleted
org_block.blocked
org_block.unblocked
organization.member_added
organization.member_invited
organization.renamed
package.published
page_build
ping
project.created
project_card.created
project_card.deleted
project_card.moved
project_column.created
project_column.edited
projects_v2_item.archived
projects_v2_item.converted
projects_v2_item.created
projects_v2_item.edited
projects_v2_item.reordered
projects_v2_item.restored
public
pull_request.assigned
pull_request.locked
pull_request.review_request_removed
pull_request.review_requested
pull_request.unassigned
pull_request.unlocked
pull_request_review.dismissed
pull_request_review.submitted
pull_request_review_comment.created
pull_request_review_comment.deleted
pull_request_review_comment.edited
pull_request_review_thread.resolved
pull_request_review_thread.unresolved
push of a tag
release.created
release.deleted
release.edited
release.prereleased
release.published
release.released
repository.created
repository.edited
repository_dispatch.on-demand-test
repository_import
repository_vulnerability_alert.create
repository_vulnerability_alert.dismiss
secret_scanning_alert.reopened
secret_scanning_alert_location.created
security_advisory.published
security_advisory.updated
security_advisory.withdrawn
sponsorship.created
sponsorship.pending_tier_change
star.created
star.deleted
status
team.added_to_repository
team.created
team_add
user.created
user.deleted
watch.started
workflow_dispatch
workflow_job.completed
workflow_job.in_progress
workflow_job.queued
workflow_job.waiting
workflow_run.completed
workflow_run.requested
"""
TABLE: dict[str, type[Hint]] = ACTED_ON | dict.fromkeys(IGNORED.strip().splitlines(), Ignored)


def case_of(event: str, payload: Payload) -> str:
    """Return what the table calls a delivery."""
    name = f"{event}.{payload['action']}" if "action" in payload else event
    if event == "push":
        return f"{name} of a {'branch' if payload['ref'].startswith('refs/heads/') else 'tag'}"
    if event in {"create", "delete"}:
        return f"{name} of a {payload['ref_type']}"
    if event in {"check_run", "check_suite"} and payload[event]["app"]["id"] != APP_ID:
        return f"{name} of another App"
    if name == "repository.edited" and "default_branch" in payload["changes"]:
        return f"{name} in its default branch"
    return name


def published(source: PackageFile) -> list[tuple[str, Payload]]:
    return [(of_event["name"], payload) for of_event in source.read() for payload in of_event["examples"]]


@pytest.fixture
async def client(store: Store, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = read_settings(
        state_dir=tmp_path, cache_dir=tmp_path, github_app_id=APP_ID, github_webhook_secrets=SECRET
    )
    transport = httpx.ASGITransport(Starlette(routes=[webhook_route(Inbox(store, settings))]))
    async with httpx.AsyncClient(transport=transport, base_url="http://binder.example.org") as opened:
        yield opened


async def deliver(
    client: httpx.AsyncClient, store: Store, event: str, payload: Payload, guid: str = "one", **more: str
) -> tuple[int, Hint]:
    """Return the answer, and what is made of what was stored."""
    body, headers = payloads.signed(event, payload, SECRET, guid)
    answer = await client.post("/webhooks/github", content=body, headers={**headers, **more})
    assert answer.is_success, f"{case_of(event, payload)}: {answer.text}"
    async with store.read() as session:
        row = (await session.scalars(select(Delivery).where(Delivery.guid == guid))).one()
    hint = hint_of(row.event, row.payload, APP_ID)
    assert row.state is (DeliveryState.IGNORED if isinstance(hint, Ignored) else DeliveryState.STORED)
    assert row.reason == (hint.reason if isinstance(hint, Ignored) else None)
    return answer.status_code, hint


@pytest.mark.parametrize(
    ("source", "count", "headers"), [(GITHUB, 329, {}), (ENTERPRISE, 125, ENTERPRISE_HEADERS)], ids=["github", "ghes"]
)
async def test_each_published_delivery_is_taken_for_what_the_table_says(
    client: httpx.AsyncClient, store: Store, source: PackageFile, count: int, headers: dict[str, str]
) -> None:
    examples = published(source)
    answers = await asyncio.gather(
        *(
            deliver(client, store, event, payload, f"example-{number}", **headers)
            for number, (event, payload) in enumerate(examples)
        )
    )
    assert len(answers) == count
    found = [
        (case_of(event, payload), type(hint), status)
        for (event, payload), (status, hint) in zip(examples, answers, strict=True)
    ]
    expected = [(case, TABLE.get(case), 200 if TABLE.get(case) is Ignored else 202) for case, _, _ in found]
    assert found == expected


def test_the_table_lists_nothing_that_was_never_published() -> None:
    seen = {case_of(event, payload) for source in (GITHUB, ENTERPRISE) for event, payload in published(source)}
    assert set(TABLE) == seen


def example(event: str, action: str | None = None, ref: str | None = None) -> Payload:
    """Return a copy of the newest published delivery of this kind, which is the one nearest to the schemas."""
    found = [one for name, one in published(GITHUB) if name == event and one.get("action") == action]
    payload: Payload = copy.deepcopy([one for one in found if ref is None or one["ref"] == ref][-1])
    payload["sender"]["type"] = "User"
    payload["installation"] = {"id": 5, "node_id": "MDIzOk"}
    if event == "push":
        payload["repository"] |= {"has_discussions": False}
    return payload


def fork_opened() -> Payload:
    payload = example("pull_request", "opened")
    head = payload["pull_request"]["head"]
    head["repo"] |= {"id": 9, "name": "Hello-World", "full_name": "Bob/Hello-World", "fork": True}
    head["label"] = "Bob:changes"
    head["user"]["login"] = head["repo"]["owner"]["login"] = payload["sender"]["login"] = "Bob"
    return payload


def head_repository_is_gone() -> Payload:
    payload = example("pull_request", "reopened")
    payload["pull_request"]["head"]["repo"] = None
    return payload


def retargeted() -> Payload:
    changes = {"base": {"ref": {"from": "main"}, "sha": {"from": payloads.OLD_SHA}}}
    return {**example("pull_request", "opened"), "action": "edited", "changes": changes}


def retitled() -> Payload:
    return {**example("pull_request", "opened"), "action": "edited", "changes": {"title": {"from": "A change"}}}


def branch_pushed() -> Payload:
    return example("push", ref="refs/heads/master")


def branch_deleted() -> Payload:
    gone = {"before": payloads.OLD_SHA, "after": payloads.NO_COMMIT, "created": False, "deleted": True}
    return {**branch_pushed(), **gone, "head_commit": None, "commits": []}


def of_branch(event: str) -> Payload:
    return {**example(event), "ref": "feature/x", "ref_type": "branch"}


def commented(body: str, sender: str = "User") -> Payload:
    payload = example("issue_comment", "created")
    url = "https://api.github.com/repos/Codertocat/Hello-World/pulls/1"
    html = "https://github.com/Codertocat/Hello-World/pull/1"
    links = {"url": url, "html_url": html, "diff_url": f"{html}.diff", "patch_url": f"{html}.patch"}
    payload["issue"]["pull_request"] = links
    payload["comment"]["body"] = body
    payload["sender"]["type"] = sender
    return payload


def pressed(identifier: str, app_id: int = APP_ID) -> Payload:
    payload = example("check_run", "requested_action")
    payload["requested_action"]["identifier"] = identifier
    payload["check_run"]["app"]["id"] = app_id
    return payload


def suite_rerequested() -> Payload:
    payload = example("check_suite", "rerequested")
    payload["check_suite"]["app"]["id"] = APP_ID
    return payload


def of_repository(action: str) -> Payload:
    return {**example("repository", "privatized"), "action": action}


def installation_renamed() -> Payload:
    suspended = example("installation", "suspend")
    return {
        "action": "renamed",
        "account": {**suspended["sender"], "login": "new-name"},
        "changes": {"login": {"from": "old-name"}},
        "installation": {"id": 5, "node_id": "MDIzOk"},
        "target_type": "Organization",
    }


def at_an_enterprise(payload: Payload) -> Payload:
    """Return a delivery as GitHub Enterprise Server sends it: of other hosts, and with an `enterprise`."""
    text = json.dumps(payload).replace("https://api.github.com", "https://ghe.example.com/api/v3")
    moved: Payload = json.loads(text.replace("https://github.com", "https://ghe.example.com"))
    moved["enterprise"] = {
        "id": 1,
        "slug": "example",
        "name": "Example",
        "node_id": "MDEwOkVudGVycHJpc2Ux",
        "avatar_url": "https://ghe.example.com/avatars/b/1?",
        "description": None,
        "website_url": None,
        "html_url": "https://ghe.example.com/enterprises/example",
        "created_at": "2019-05-14T19:31:12Z",
        "updated_at": "2019-05-14T19:31:12Z",
    }
    return moved


REPOSITORY = 186853002
HEAD = "ec26c3e57ca3a959ca5aad62de7213c562f8c821"
MASTER = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"


def pull(sha: str | None, actor: str = "Codertocat") -> Look:
    return Look("pull", "2", sha, REPOSITORY, 5, actor)


def branch(ref: str, sha: str | None, *, sha_known: bool = True) -> Look:
    return Look("branch", ref, sha, REPOSITORY, 5, "Codertocat", sha_known)


def button(action: Any) -> Button:
    return Button(action, "5bd5f196a46b8222fb7484f05faba41a73cf34bd", "codebytere", 9384267, 5)


DERIVED: list[tuple[str, Payload, Hint | None]] = [
    ("pull_request", fork_opened(), pull(HEAD, "Bob")),
    ("pull_request", head_repository_is_gone(), pull(HEAD)),
    ("pull_request", retargeted(), pull(HEAD)),
    ("pull_request", retitled(), Ignored("the pull request was edited, but not its base")),
    ("push", branch_pushed(), branch("master", MASTER)),
    ("push", branch_deleted(), branch("master", None)),
    ("create", of_branch("create"), branch("feature/x", None, sha_known=False)),
    ("delete", of_branch("delete"), branch("feature/x", None)),
    ("issue_comment", commented("/binder build"), Command("build", None, 1, 492700400, "Codertocat", REPOSITORY, 5)),
    ("issue_comment", commented("Thanks!"), Ignored("the comment is no command")),
    (
        "issue_comment",
        commented("/binder build", "Bot"),
        Ignored("commands are taken from people only, and this one came from an App"),
    ),
    ("check_run", pressed("approve"), button("approve")),
    ("check_run", pressed("rerun"), button("rerun")),
    ("check_run", pressed("lgtm"), Ignored("there is no such button")),
    ("check_run", pressed("approve", app_id=3), Ignored("the check run is another App's")),
    ("check_suite", suite_rerequested(), Button("rerun", HEAD, "octocoders-linter[bot]", REPOSITORY, 5)),
    ("repository", of_repository("archived"), RepositoryLook(REPOSITORY, 5, "archived")),
    ("repository", of_repository("unarchived"), RepositoryLook(REPOSITORY, 5, "unarchived")),
    ("repository", of_repository("deleted"), RepositoryLook(REPOSITORY, 5, "deleted")),
    ("installation_target", installation_renamed(), InstallationLook(5, "renamed")),
]


@pytest.mark.parametrize("enterprise", [False, True], ids=["github", "ghes"])
@pytest.mark.parametrize(("event", "payload", "expected"), DERIVED)
async def test_what_was_never_published_is_as_described_and_taken_for_what_it_is(
    client: httpx.AsyncClient, store: Store, event: str, payload: Payload, expected: Hint, *, enterprise: bool
) -> None:
    sent = at_an_enterprise(payload) if enterprise else payload
    validate_webhook(event, sent)
    headers = ENTERPRISE_HEADERS if enterprise else {}
    status, hint = await deliver(client, store, event, sent, **headers)
    assert (status, hint) == (200 if isinstance(expected, Ignored) else 202, expected)
