"""Each call to GitHub: the request that is sent, and what becomes of each answer."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import respx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from binder.errors import OperatorFault
from binder.settings import read_settings
from binder.store.tables import Repository
from githubapp.client import GitHubClient
from githubapp.faults import GitHubRefusalError, GitHubSignInError, GitHubUnavailableError
from githubapp.sign_in import SignIn
from githubapp.values import (
    AppFacts,
    Check,
    Commit,
    DeliveryPage,
    Deployment,
    HookDelivery,
    InstallationFacts,
    Listed,
    Place,
    PullRequest,
    RepositoryFacts,
    ShownCheck,
    Status,
)
from tests.githubapp.httpx_connections import httpx_connections

API = "https://api.github.com"
SHA = "c" * 40
PLACE = Place(installation_id=5, repository_id=1296269)
REPOSITORY = f"{API}/repositories/1296269"
TOKENS = f"{API}/app/installations/5/access_tokens"
STATUS = Status("success", "Ready", "https://binder.example.org/v2/gh/ada/demo/" + SHA)
MARKER = "<!-- ours -->"
CHECK = Check(
    "completed",
    "failure",
    "Failed",
    "It did.",
    annotations=[{"path": "apt.txt", "start_line": 2}],
    actions=[{"label": "Re-run"}],
    details_url="https://binder.example.org/builds/7",
    external_id="7",
)
DEPLOYMENT = Deployment("success", "Ready", "https://b.example/n", "https://b.example/builds/7")

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
).decode()


TOKEN = "ghs_one.two.three"


def minted(token: str = TOKEN, *, minutes: float = 60) -> httpx.Response:
    expires_at = datetime.now(UTC) + timedelta(minutes=minutes)
    return httpx.Response(201, json={"token": token, "expires_at": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")})


@pytest.fixture
def router() -> Iterator[respx.Router]:
    """GitHub, which answers only what a test says, and hands out tokens."""
    with respx.mock(assert_all_called=False) as router, httpx_connections():
        router.post(TOKENS, name="tokens").mock(return_value=minted())
        yield router


@pytest.fixture
def client(router: respx.Router) -> Iterator[GitHubClient]:
    opened = GitHubClient(SignIn(API, 17, PEM))
    yield opened
    opened.close()


def body_of(call: respx.models.Call) -> Any:
    return json.loads(call.request.content)


def said(message: str, status: int, **headers: str) -> httpx.Response:
    return httpx.Response(
        status, json={"message": message, "documentation_url": "https://docs.github.com"}, headers=headers
    )


# What is sent


async def test_a_token_is_minted_with_the_apps_jwt(client: GitHubClient, router: respx.Router) -> None:
    router.post(f"{REPOSITORY}/statuses/{SHA}").respond(201, json={"state": "success"})
    before = datetime.now(UTC).timestamp()
    await client.post_status(PLACE, SHA, STATUS)
    scheme, token = router["tokens"].calls.last.request.headers["authorization"].split()
    claims = jwt.decode(token, KEY.public_key(), algorithms=["RS256"], issuer="17", options={"verify_iat": False})
    assert scheme == "Bearer"
    assert before - 61 <= claims["iat"] <= before - 58
    assert 359 <= claims["exp"] - claims["iat"] <= 361
    assert body_of(router["tokens"].calls.last) == {}


async def test_post_status(client: GitHubClient, router: respx.Router) -> None:
    route = router.post(f"{REPOSITORY}/statuses/{SHA}").respond(201, json={"state": "success"})
    await client.post_status(PLACE, SHA, STATUS)
    assert route.call_count == 1
    assert route.calls.last.request.headers["authorization"] == "token ghs_one.two.three"
    assert "ghs_" not in str(route.calls.last.request.url)
    assert body_of(route.calls.last) == {
        "state": "success",
        "target_url": STATUS.target_url,
        "description": "Ready",
        "context": "binder",
    }


async def test_post_status_without_a_link(client: GitHubClient, router: respx.Router) -> None:
    route = router.post(f"{REPOSITORY}/statuses/{SHA}").respond(201, json={"state": "pending"})
    await client.post_status(PLACE, SHA, Status("pending", "Waiting", None))
    assert body_of(route.calls.last) == {"state": "pending", "description": "Waiting", "context": "binder"}


async def test_latest_status(client: GitHubClient, router: respx.Router) -> None:
    shown = [
        {"context": "ci", "state": "failure", "description": "no", "target_url": None},
        {"context": "binder", "state": "success", "description": "Ready", "target_url": STATUS.target_url},
    ]
    router.get(f"{REPOSITORY}/commits/{SHA}/status").respond(json={"state": "failure", "statuses": shown})
    assert await client.latest_status(PLACE, SHA, "binder") == STATUS
    assert await client.latest_status(PLACE, SHA, "other") is None


async def test_installation_of(client: GitHubClient, router: respx.Router) -> None:
    route = router.get(f"{REPOSITORY}/installation").respond(json={"id": 5})
    assert await client.installation_of(1296269) == 5
    assert route.calls.last.request.headers["authorization"].startswith("Bearer ey")


@pytest.mark.parametrize(
    ("branch", "path"), [("main", "main"), ("feature/one", "feature/one"), ("ünï#1%", "%C3%BCn%C3%AF%231%25")]
)
async def test_branch(client: GitHubClient, router: respx.Router, branch: str, path: str) -> None:
    answer = {"name": branch, "commit": {"sha": SHA, "commit": {"message": "First"}}}
    route = router.route(method="GET", url__startswith=f"{REPOSITORY}/branches/").respond(json=answer)
    assert await client.branch(PLACE, branch) == Commit(SHA, "First")
    assert route.calls.last.request.url.raw_path.decode() == f"/repositories/1296269/branches/{path}"
    assert route.call_count == 1


async def test_a_branch_that_was_renamed_is_not_there(client: GitHubClient, router: respx.Router) -> None:
    answer = {"name": "main", "commit": {"sha": SHA, "commit": {"message": "First"}}}
    router.get(f"{REPOSITORY}/branches/master").respond(json=answer)
    assert await client.branch(PLACE, "master") is None


PULL = {
    "number": 7,
    "state": "open",
    "draft": True,
    "user": {"login": "ada"},
    "labels": [{"name": "preview"}, {"name": "bug"}],
    "head": {"sha": SHA, "ref": "change", "repo": {"id": 1296269}},
    "base": {"sha": "d" * 40, "ref": "main", "repo": {"id": 1296269}},
}


@pytest.mark.parametrize(
    ("head_repository", "number", "is_from_fork"),
    [({"id": 1296269}, 1296269, False), ({"id": 9}, 9, True), (None, None, True)],
)
async def test_pull_request(
    client: GitHubClient,
    router: respx.Router,
    head_repository: dict[str, int] | None,
    number: int | None,
    is_from_fork: bool,
) -> None:
    found = {**PULL, "head": {"sha": SHA, "repo": head_repository}}
    route = router.get(f"{REPOSITORY}/pulls/7").respond(json=found)
    pull = await client.pull_request(PLACE, 7)
    assert pull == PullRequest(
        7, True, SHA, number, 1296269, "ada", "main", "d" * 40, draft=True, labels=("preview", "bug")
    )
    assert pull.is_from_fork is is_from_fork
    assert route.call_count == 1


async def test_the_author_of_a_pull_request_may_be_gone(client: GitHubClient, router: respx.Router) -> None:
    router.get(f"{REPOSITORY}/pulls/7").respond(json={**PULL, "user": None})
    pull = await client.pull_request(PLACE, 7)
    assert pull
    assert pull.author == "ghost"


async def test_repository(client: GitHubClient, router: respx.Router) -> None:
    found = {"id": 1296269, "owner": {"login": "ada"}, "name": "demo", "private": True, "default_branch": "main"}
    route = router.get(REPOSITORY).respond(json={**found, "archived": True})
    assert await client.repository(5, 1296269) == RepositoryFacts(PLACE, "ada", "demo", True, "main", archived=True)
    assert route.call_count == 1


async def test_installation(client: GitHubClient, router: respx.Router) -> None:
    found = {"id": 5, "account": {"login": "ada"}, "suspended_at": None}
    router.get(f"{API}/app/installations/5").respond(json=found)
    assert await client.installation(5) == InstallationFacts(5, "ada", suspended=False)
    of_enterprise = {"id": 5, "account": {"slug": "works"}, "suspended_at": "2026-01-02T03:04:05Z"}
    router.get(f"{API}/app/installations/5").respond(json=of_enterprise)
    assert await client.installation(5) == InstallationFacts(5, "works", suspended=True)


async def test_installations_are_read_page_by_page(client: GitHubClient, router: respx.Router) -> None:
    def installation(number: int) -> dict[str, object]:
        return {"id": number, "account": {"login": "ada"}, "suspended_at": None}

    pages = f"{API}/app/installations"
    router.get(pages, params={"page": "1"}).respond(json=[installation(number) for number in range(100)])
    router.get(pages, params={"page": "2"}).respond(json=[installation(100)])
    found = await client.installations()
    assert (found.is_whole, [one.id for one in found.items]) == (True, list(range(101)))


async def test_lists_have_bounds(client: GitHubClient, router: respx.Router) -> None:
    full = [{"id": 5, "account": {"login": "ada"}, "suspended_at": None}] * 100
    route = router.get(f"{API}/app/installations").respond(json=full)
    found = await client.installations()
    assert (found.is_whole, len(found.items), route.call_count) == (False, 1000, 10)


async def test_covered_repositories(client: GitHubClient, router: respx.Router) -> None:
    found = {"id": 1296269, "owner": {"login": "ada"}, "name": "demo", "private": False, "default_branch": "main"}
    router.get(f"{API}/installation/repositories").respond(json={"total_count": 1, "repositories": [found]})
    covered = await client.covered(5)
    assert covered == Listed([RepositoryFacts(PLACE, "ada", "demo", False, "main")], is_whole=True)


async def test_branches(client: GitHubClient, router: respx.Router) -> None:
    router.get(f"{REPOSITORY}/branches").respond(json=[{"name": "main", "commit": {"sha": SHA}}])
    assert await client.branches(PLACE) == Listed([("main", SHA)], is_whole=True)


async def test_open_pull_requests_take_one_request(client: GitHubClient, router: respx.Router) -> None:
    route = router.get(f"{REPOSITORY}/pulls", params={"state": "open"}).respond(json=[PULL])
    (pull,) = (await client.open_pull_requests(PLACE)).items
    assert (pull.number, pull.head_sha, pull.labels, pull.draft) == (7, SHA, ("preview", "bug"), True)
    assert route.call_count == 1
    assert len(router.calls) == 2  # with the token


async def test_files_of_a_pull_request(client: GitHubClient, router: respx.Router) -> None:
    files = [{"filename": "a.ipynb", "status": "added"}, {"filename": "b.ipynb", "status": "removed"}]
    router.get(f"{REPOSITORY}/pulls/7/files").respond(json=files)
    assert await client.changed_by_pull(PLACE, 7) == Listed(["a.ipynb"], is_whole=True)


async def test_commit_message(client: GitHubClient, router: respx.Router) -> None:
    route = router.get(f"{REPOSITORY}/commits/{SHA}").respond(json={"sha": SHA, "commit": {"message": "First"}})
    assert await client.commit_message(PLACE, SHA) == "First"
    assert route.call_count == 1


@pytest.mark.parametrize(
    ("status", "files", "changed"),
    [
        ("ahead", [{"filename": "b", "previous_filename": "a"}, {"filename": "c"}], ["b", "a", "c"]),
        ("identical", [], []),
        ("diverged", [{"filename": "b"}], None),
        ("behind", [], None),
        ("ahead", [{"filename": "b"}] * 300, None),
    ],
)
async def test_changed_since(
    client: GitHubClient, router: respx.Router, status: str, files: list[dict[str, str]], changed: list[str] | None
) -> None:
    base = "d" * 40
    router.get(f"{REPOSITORY}/compare/{base}...{SHA}").respond(json={"status": status, "files": files})
    assert await client.changed_since(PLACE, base, SHA) == changed


async def test_folder(client: GitHubClient, router: respx.Router) -> None:
    listed = [{"type": "file", "name": "binder.yml"}, {"type": "dir", "name": "binder"}]
    route = router.get(f"{REPOSITORY}/contents/", params={"ref": "main"}).respond(json=listed)
    assert await client.folder(PLACE, "", "main") == ["binder.yml", "binder"]
    assert route.call_count == 1


FILE = {"type": "file", "name": "binder.yml", "encoding": "base64", "content": "YQ==\n", "size": 1}


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        (FILE, b"a"),
        ({**FILE, "size": 11}, None),
        ({**FILE, "encoding": "none", "content": ""}, None),
        ([FILE], None),
        ({"type": "submodule", "name": "binder.yml", "size": 0}, None),
    ],
)
async def test_file(client: GitHubClient, router: respx.Router, answer: Any, content: bytes | None) -> None:
    router.get(f"{REPOSITORY}/contents/binder.yml", params={"ref": "main"}).respond(json=answer)
    assert await client.file(PLACE, "binder.yml", "main", most_bytes=10) == content


@pytest.mark.parametrize(("permission", "may"), [("admin", True), ("write", True), ("read", False), ("none", False)])
async def test_may_write(client: GitHubClient, router: respx.Router, permission: str, may: bool) -> None:
    router.get(f"{REPOSITORY}/collaborators/ada/permission").respond(json={"permission": permission})
    assert await client.may_write(PLACE, "ada") is may


async def test_allowance_asks_nothing(client: GitHubClient, router: respx.Router) -> None:
    assert await client.allowance(5) == 1.0
    limits = {"x-ratelimit-remaining": "1250", "x-ratelimit-limit": "5000"}
    router.post(f"{REPOSITORY}/statuses/{SHA}").respond(201, json={"state": "success"}, headers=limits)
    await client.post_status(PLACE, SHA, STATUS)
    before = len(router.calls)
    assert await client.allowance(5) == 0.25
    assert len(router.calls) == before


async def test_find_comment_wants_the_marker_and_our_bot(client: GitHubClient, router: respx.Router) -> None:
    router.get(f"{API}/app").respond(json={"id": 17, "slug": "binder"})
    first = [
        {"id": 1, "body": f"{MARKER}\nquoted by a person", "user": {"login": "mallory"}},
        {"id": 2, "body": "ours, but not this", "user": {"login": "binder[bot]"}},
        {"id": 3, "body": None, "user": None},
    ]
    second = [{"id": 4_000_000_000, "body": f"{MARKER}\nours", "user": {"login": "binder[bot]"}}]
    comments = f"{REPOSITORY}/issues/7/comments"
    following = {"link": f'<{comments}?per_page=100&page=2>; rel="next"'}
    router.get(comments, params={"page": "2"}).respond(json=second)
    route = router.get(comments, params={"per_page": "100"}).respond(json=first, headers=following)
    assert await client.find_comment(PLACE, 7, MARKER) == 4_000_000_000
    assert route.call_count == 1


async def test_find_comment_where_there_is_none(client: GitHubClient, router: respx.Router) -> None:
    app = router.get(f"{API}/app").respond(json={"id": 17, "slug": "binder"})
    router.get(f"{REPOSITORY}/issues/7/comments").respond(json=[])
    assert await client.find_comment(PLACE, 7, MARKER) is None
    assert await client.find_comment(PLACE, 7, MARKER) is None
    assert app.call_count == 1


async def test_create_comment(client: GitHubClient, router: respx.Router) -> None:
    route = router.post(f"{REPOSITORY}/issues/7/comments").respond(201, json={"id": 4_000_000_000})
    assert await client.create_comment(PLACE, 7, "Hello") == 4_000_000_000
    assert body_of(route.calls.last) == {"body": "Hello"}


async def test_edit_comment(client: GitHubClient, router: respx.Router) -> None:
    route = router.patch(f"{REPOSITORY}/issues/comments/9").respond(json={"id": 9})
    await client.edit_comment(PLACE, 7, 9, "Hello again")
    assert body_of(route.calls.last) == {"body": "Hello again"}


def shown_run(number: int, *, slug: str = "binder", external_id: str = "7") -> dict[str, Any]:
    output = {"title": "Ready", "summary": "All is well."}
    return {"id": number, "app": {"id": 17, "slug": slug}, "external_id": external_id, "output": output} | {
        "status": "completed",
        "conclusion": "success",
    }


async def test_find_check_wants_our_app_and_the_attempt(client: GitHubClient, router: respx.Router) -> None:
    router.get(f"{API}/app").respond(json={"id": 17, "slug": "binder"})
    runs = [shown_run(1), shown_run(3), shown_run(4, slug="other"), shown_run(5, external_id="8")]
    route = router.get(f"{REPOSITORY}/commits/{SHA}/check-runs", params={"check_name": "binder/build", "filter": "all"})
    route.respond(json={"total_count": 4, "check_runs": runs})
    seven = ShownCheck(3, "completed", "success", "Ready", "All is well.")
    assert await client.find_check(PLACE, SHA, "binder/build", "7") == seven
    assert await client.find_check(PLACE, SHA, "binder/build", None) == replace(seven, number=5)
    assert await client.find_check(PLACE, SHA, "binder/build", "9") is None


async def test_check(client: GitHubClient, router: respx.Router) -> None:
    router.get(f"{REPOSITORY}/check-runs/3").respond(json=shown_run(3))
    assert (await client.check(PLACE, 3)).shows(Check("completed", "success", "Ready", "All is well."))


async def test_create_check(client: GitHubClient, router: respx.Router) -> None:
    route = router.post(f"{REPOSITORY}/check-runs").respond(201, json=shown_run(3))
    assert await client.create_check(PLACE, SHA, "binder/build", CHECK) == 3
    assert body_of(route.calls.last) == {
        "name": "binder/build",
        "head_sha": SHA,
        "status": "completed",
        "conclusion": "failure",
        "output": {"title": "Failed", "summary": "It did.", "annotations": [{"path": "apt.txt", "start_line": 2}]},
        "actions": [{"label": "Re-run"}],
        "details_url": "https://binder.example.org/builds/7",
        "external_id": "7",
    }


async def test_edit_check_says_nothing_of_what_it_does_not_know(client: GitHubClient, router: respx.Router) -> None:
    route = router.patch(f"{REPOSITORY}/check-runs/3").respond(json=shown_run(3))
    await client.edit_check(PLACE, 3, Check("queued", None, "Queued", "Soon."))
    assert body_of(route.calls.last) == {
        "status": "queued",
        "output": {"title": "Queued", "summary": "Soon."},
        "actions": [],
    }
    assert route.call_count == 1


async def test_find_deployment_wants_our_bot(client: GitHubClient, router: respx.Router) -> None:
    router.get(f"{API}/app").respond(json={"id": 17, "slug": "binder"})
    made = [{"id": number, "creator": {"login": login}} for number, login in ((8, "ada"), (2, "binder[bot]"))]
    route = router.get(f"{REPOSITORY}/deployments", params={"sha": SHA, "environment": "binder-preview"})
    route.respond(json=[*made, {"id": 9, "creator": None}])
    assert await client.find_deployment(PLACE, SHA, "binder-preview") == 2
    route.respond(json=[])
    assert await client.find_deployment(PLACE, SHA, "binder-preview") is None


async def test_create_deployment_merges_nothing_and_waits_for_nothing(
    client: GitHubClient, router: respx.Router
) -> None:
    route = router.post(f"{REPOSITORY}/deployments").respond(201, json={"id": 2})
    assert await client.create_deployment(PLACE, SHA, "binder-preview") == 2
    assert body_of(route.calls.last) == {
        "ref": SHA,
        "environment": "binder-preview",
        "auto_merge": False,
        "required_contexts": [],
        "transient_environment": True,
        "production_environment": False,
    }


async def test_latest_deployment(client: GitHubClient, router: respx.Router) -> None:
    said = {"description": "Ready", "environment_url": "https://b.example/n", "log_url": "https://b.example/builds/7"}
    statuses = [{"id": 1, "state": "in_progress", "description": "", "environment_url": "", "log_url": ""}]
    route = router.get(f"{REPOSITORY}/deployments/2/statuses")
    route.respond(json=[{"id": 2, "state": "success", **said}, *statuses])
    assert await client.latest_deployment(PLACE, 2) == DEPLOYMENT
    route.respond(json=statuses)
    assert await client.latest_deployment(PLACE, 2) == Deployment("in_progress", "", None, None)
    route.respond(json=[])
    assert await client.latest_deployment(PLACE, 2) is None


async def test_post_deployment_leaves_the_others_as_they_are(client: GitHubClient, router: respx.Router) -> None:
    route = router.post(f"{REPOSITORY}/deployments/2/statuses").respond(201, json={"id": 3})
    await client.post_deployment(PLACE, 2, DEPLOYMENT)
    assert body_of(route.calls.last) == {
        "state": "success",
        "description": "Ready",
        "environment_url": "https://b.example/n",
        "target_url": "https://b.example/builds/7",
        "auto_inactive": False,
    }
    await client.post_deployment(PLACE, 2, Deployment("inactive", "Removed", None, None))
    assert body_of(route.calls.last) == {"state": "inactive", "description": "Removed", "auto_inactive": False}


async def test_clone_credentials_reach_one_repository_only(client: GitHubClient, router: respx.Router) -> None:
    row = Repository(installation_id=5, external_id=1296269)
    assert await client.clone_credentials(row) == "ghs_one.two.three"
    narrowed = {"repository_ids": [1296269], "permissions": {"contents": "read"}}
    assert body_of(router["tokens"].calls.last) == narrowed
    assert await client.clone_credentials(Repository(installation_id=None, external_id=1)) is None


async def test_deliveries(client: GitHubClient, router: respx.Router) -> None:
    item = {"id": 4_000_000_000, "guid": "one", "event": "push", "delivered_at": "2026-03-01T00:00:00Z"}
    items = [{**item, "status": "timed out", "status_code": 0}]
    following = {"link": f'<{API}/app/hook/deliveries?per_page=100&cursor=v1_%2B12>; rel="next"'}
    route = router.get(f"{API}/app/hook/deliveries").respond(json=items, headers=following)
    page = await client.about_app.deliveries()
    assert page == DeliveryPage(
        [HookDelivery(4_000_000_000, "one", "push", datetime(2026, 3, 1, tzinfo=UTC), "timed out", 0)], "v1_+12"
    )
    assert dict(route.calls.last.request.url.params) == {"per_page": "100"}
    assert route.calls.last.request.headers["authorization"].startswith("Bearer ey")
    route.respond(json=[])
    assert await client.about_app.deliveries(failed=True, cursor="v1_+12") == DeliveryPage([], None)
    asked = {"per_page": "100", "status": "failure", "cursor": "v1_+12"}
    assert dict(route.calls.last.request.url.params) == asked


async def test_facts(client: GitHubClient, router: respx.Router) -> None:
    page = "https://github.com/apps/binder"
    known = {"id": 17, "html_url": page, "permissions": {"checks": "write"}, "events": ["push"]}
    router.get(f"{API}/app").respond(json=known)
    assert await client.about_app.facts() == AppFacts(page, {"checks": "write"}, ["push"])


async def test_delivery_payload(client: GitHubClient, router: respx.Router) -> None:
    said = {"id": 9, "request": {"headers": {}, "payload": {"ref": "refs/heads/main"}}}
    router.get(f"{API}/app/hook/deliveries/9").respond(json=said)
    assert await client.about_app.delivery_payload(9) == {"ref": "refs/heads/main"}


async def test_deliver_again(client: GitHubClient, router: respx.Router) -> None:
    route = router.post(f"{API}/app/hook/deliveries/9/attempts").respond(202, json={})
    await client.about_app.deliver_again(9)
    assert route.call_count == 1


# What becomes of the answers

Call = Callable[[GitHubClient], Awaitable[object]]
CALLS: dict[str, tuple[str, str, Call]] = {
    "installation_of": ("GET", f"{REPOSITORY}/installation", lambda github: github.installation_of(1296269)),
    "repository": ("GET", REPOSITORY, lambda github: github.repository(5, 1296269)),
    "installation": ("GET", f"{API}/app/installations/5", lambda github: github.installation(5)),
    "installations": ("GET", f"{API}/app/installations", lambda github: github.installations()),
    "covered": ("GET", f"{API}/installation/repositories", lambda github: github.covered(5)),
    "branch": ("GET", f"{REPOSITORY}/branches/main", lambda github: github.branch(PLACE, "main")),
    "branches": ("GET", f"{REPOSITORY}/branches", lambda github: github.branches(PLACE)),
    "pull_request": ("GET", f"{REPOSITORY}/pulls/7", lambda github: github.pull_request(PLACE, 7)),
    "open_pull_requests": ("GET", f"{REPOSITORY}/pulls", lambda github: github.open_pull_requests(PLACE)),
    "changed_by_pull": ("GET", f"{REPOSITORY}/pulls/7/files", lambda github: github.changed_by_pull(PLACE, 7)),
    "commit_message": ("GET", f"{REPOSITORY}/commits/{SHA}", lambda github: github.commit_message(PLACE, SHA)),
    "changed_since": (
        "GET",
        f"{REPOSITORY}/compare/{SHA}...{SHA}",
        lambda github: github.changed_since(PLACE, SHA, SHA),
    ),
    "folder": ("GET", f"{REPOSITORY}/contents/binder", lambda github: github.folder(PLACE, "binder", "main")),
    "file": ("GET", f"{REPOSITORY}/contents/x", lambda github: github.file(PLACE, "x", "main", most_bytes=9)),
    "may_write": (
        "GET",
        f"{REPOSITORY}/collaborators/ada/permission",
        lambda github: github.may_write(PLACE, "ada"),
    ),
    "latest_status": (
        "GET",
        f"{REPOSITORY}/commits/{SHA}/status",
        lambda github: github.latest_status(PLACE, SHA, "binder"),
    ),
    "post_status": (
        "POST",
        f"{REPOSITORY}/statuses/{SHA}",
        lambda github: github.post_status(PLACE, SHA, STATUS),
    ),
    "find_comment": (
        "GET",
        f"{REPOSITORY}/issues/7/comments",
        lambda github: github.find_comment(PLACE, 7, MARKER),
    ),
    "create_comment": (
        "POST",
        f"{REPOSITORY}/issues/7/comments",
        lambda github: github.create_comment(PLACE, 7, "Hello"),
    ),
    "edit_comment": (
        "PATCH",
        f"{REPOSITORY}/issues/comments/9",
        lambda github: github.edit_comment(PLACE, 7, 9, "Hello"),
    ),
    "find_check": (
        "GET",
        f"{REPOSITORY}/commits/{SHA}/check-runs",
        lambda github: github.find_check(PLACE, SHA, "binder/build", "7"),
    ),
    "check": ("GET", f"{REPOSITORY}/check-runs/3", lambda github: github.check(PLACE, 3)),
    "create_check": (
        "POST",
        f"{REPOSITORY}/check-runs",
        lambda github: github.create_check(PLACE, SHA, "binder/build", CHECK),
    ),
    "edit_check": ("PATCH", f"{REPOSITORY}/check-runs/3", lambda github: github.edit_check(PLACE, 3, CHECK)),
    "find_deployment": (
        "GET",
        f"{REPOSITORY}/deployments",
        lambda github: github.find_deployment(PLACE, SHA, "binder-preview"),
    ),
    "create_deployment": (
        "POST",
        f"{REPOSITORY}/deployments",
        lambda github: github.create_deployment(PLACE, SHA, "binder-preview"),
    ),
    "latest_deployment": (
        "GET",
        f"{REPOSITORY}/deployments/2/statuses",
        lambda github: github.latest_deployment(PLACE, 2),
    ),
    "post_deployment": (
        "POST",
        f"{REPOSITORY}/deployments/2/statuses",
        lambda github: github.post_deployment(PLACE, 2, DEPLOYMENT),
    ),
    "clone_credentials": (
        "POST",
        TOKENS,
        lambda github: github.clone_credentials(Repository(installation_id=5, external_id=1296269)),
    ),
    "deliveries": ("GET", f"{API}/app/hook/deliveries", lambda github: github.about_app.deliveries()),
    "delivery_payload": ("GET", f"{API}/app/hook/deliveries/9", lambda github: github.about_app.delivery_payload(9)),
    "deliver_again": (
        "POST",
        f"{API}/app/hook/deliveries/9/attempts",
        lambda github: github.about_app.deliver_again(9),
    ),
}
NOTHING_WHERE_GONE: dict[str, object] = {
    **dict.fromkeys(
        ("installation_of", "repository", "installation", "branch", "pull_request", "changed_since", "file")
    ),
    "folder": [],
    "may_write": False,
}
every_call = pytest.mark.parametrize("name", CALLS)


async def ask(name: str, client: GitHubClient, router: respx.Router, answer: Any) -> object:
    """Make the call `name`, which GitHub answers with `answer`, or fails with it."""
    method, url, call = CALLS[name]
    router.get(f"{API}/app").respond(json={"slug": "binder"})
    route = router.request(method, url)
    route.side_effect = answer if isinstance(answer, type) else None
    route.return_value = answer if isinstance(answer, httpx.Response) else None
    return await call(client)


@every_call
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_broken_github_is_asked_once_and_may_be_asked_again_later(
    name: str, client: GitHubClient, router: respx.Router, status: int
) -> None:
    with pytest.raises(GitHubUnavailableError, match=str(status)) as raised:
        await ask(name, client, router, httpx.Response(status, text="<html>Unicorn!</html>"))
    assert not raised.value.limited
    method, url, _ = CALLS[name]
    asked = [
        call
        for call in router.calls
        if (call.request.method, str(call.request.url.copy_with(query=None))) == (method, url)
    ]
    assert len(asked) == 1


@every_call
@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (httpx.ReadTimeout, "did not answer in time"),
        (httpx.ConnectTimeout, "did not answer in time"),
        (httpx.ConnectError, "could not be reached"),
        (httpx.RemoteProtocolError, "could not be reached"),
    ],
)
async def test_a_github_that_is_not_there_may_be_asked_again_later(
    name: str, client: GitHubClient, router: respx.Router, failure: type[Exception], message: str
) -> None:
    with pytest.raises(GitHubUnavailableError, match=message):
        await ask(name, client, router, failure)


@every_call
@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (said("You have exceeded a secondary rate limit.", 403, **{"retry-after": "7"}), 7),
        (said("You have exceeded a secondary rate limit.", 429, **{"retry-after": "7"}), 7),
        (said("You have exceeded a secondary rate limit.", 403), 60),
        (said("Slow down", 429), 60),
        (said("You have triggered an abuse detection mechanism.", 403), 60),
        (said("API rate limit exceeded for installation ID 5.", 403, **{"x-ratelimit-remaining": "0"}), 60),
    ],
)
async def test_a_rate_limit_says_how_long_to_wait(
    name: str, client: GitHubClient, router: respx.Router, answer: httpx.Response, seconds: int
) -> None:
    with pytest.raises(GitHubUnavailableError) as raised:
        await ask(name, client, router, answer)
    assert raised.value.limited
    assert raised.value.retry_after_seconds == seconds


@every_call
@pytest.mark.parametrize("status", [403, 422])
async def test_a_refusal_is_told_with_githubs_reason(
    name: str, client: GitHubClient, router: respx.Router, status: int
) -> None:
    answer = said("Resource not accessible by integration", status, **{"x-ratelimit-remaining": "4999"})
    with pytest.raises(GitHubRefusalError, match="Resource not accessible by integration") as raised:
        await ask(name, client, router, answer)
    assert raised.value.status == status


@every_call
async def test_what_is_not_there_is_nothing_or_a_refusal(name: str, client: GitHubClient, router: respx.Router) -> None:
    answer = said("Not Found", 404)
    if name in NOTHING_WHERE_GONE:
        assert await ask(name, client, router, answer) == NOTHING_WHERE_GONE[name]
    else:
        with pytest.raises(GitHubRefusalError):
            await ask(name, client, router, answer)


@every_call
async def test_credentials_that_are_not_accepted_are_the_operators_fault(
    name: str, client: GitHubClient, router: respx.Router
) -> None:
    with pytest.raises(GitHubSignInError, match="BINDER_GITHUB_APP_ID"):
        await ask(name, client, router, said("Bad credentials", 401))


@every_call
async def test_an_answer_that_is_no_json_is_not_believed(name: str, client: GitHubClient, router: respx.Router) -> None:
    with pytest.raises(GitHubUnavailableError, match="could not be understood"):
        await ask(name, client, router, httpx.Response(200, text="{"))


async def test_an_empty_repository_has_no_head(client: GitHubClient, router: respx.Router) -> None:
    answer = said("Git Repository is empty.", 409)
    assert await ask("branch", client, router, answer) is None


async def test_a_validation_error_names_the_field(client: GitHubClient, router: respx.Router) -> None:
    answer = httpx.Response(
        422,
        json={
            "message": "Validation Failed",
            "errors": [
                {"resource": "Status", "code": "custom", "message": "This SHA and context has too many statuses."}
            ],
        },
    )
    with pytest.raises(GitHubRefusalError, match="too many statuses"):
        await ask("post_status", client, router, answer)


async def test_a_redirect_to_another_host_is_not_followed(client: GitHubClient, router: respx.Router) -> None:
    elsewhere = httpx.Response(301, headers={"location": "https://evil.example.org/repositories/1296269"}, json={})
    with pytest.raises(GitHubUnavailableError):
        await ask("repository", client, router, elsewhere)


# Tokens


async def test_those_who_ask_at_the_same_time_share_one_token(client: GitHubClient, router: respx.Router) -> None:
    router.post(f"{REPOSITORY}/statuses/{SHA}").respond(201, json={"state": "success"})
    await asyncio.gather(*(client.post_status(PLACE, SHA, STATUS) for _ in range(20)))
    assert router["tokens"].call_count == 1


async def test_requests_made_at_the_same_time_are_not_mixed_up(client: GitHubClient, router: respx.Router) -> None:
    route = router.post(url__regex=rf"{REPOSITORY}/statuses/[0-9a-f]+").respond(201, json={"state": "success"})
    shas = [f"{number:040x}" for number in range(40)]
    statuses = [Status("success", sha, None) for sha in shas]
    await asyncio.gather(*(client.post_status(PLACE, one.description, one) for one in statuses))
    sent = {(str(call.request.url).rsplit("/", 1)[1], body_of(call)["description"]) for call in route.calls}
    assert sent == {(sha, sha) for sha in shas}


@pytest.mark.parametrize(("minutes", "mints"), [(6, 1), (4.5, 2)])
async def test_a_token_is_renewed_five_minutes_before_its_end(
    client: GitHubClient, router: respx.Router, minutes: float, mints: int
) -> None:
    router["tokens"].mock(return_value=minted(minutes=minutes))
    router.post(f"{REPOSITORY}/statuses/{SHA}").respond(201, json={"state": "success"})
    for _ in range(2):
        await client.post_status(PLACE, SHA, STATUS)
    assert router["tokens"].call_count == mints


async def test_a_token_that_ended_early_is_replaced(client: GitHubClient, router: respx.Router) -> None:
    router["tokens"].side_effect = [minted("ghs_old"), minted("ghs_new")]
    route = router.post(f"{REPOSITORY}/statuses/{SHA}")
    route.side_effect = [said("Bad credentials", 401), httpx.Response(201, json={"state": "success"})]
    await client.post_status(PLACE, SHA, STATUS)
    assert [call.request.headers["authorization"] for call in route.calls] == ["token ghs_old", "token ghs_new"]


async def test_a_failed_minting_is_tried_again_by_the_next(client: GitHubClient, router: respx.Router) -> None:
    router.post(f"{REPOSITORY}/statuses/{SHA}").respond(201, json={"state": "success"})
    router["tokens"].side_effect = [httpx.Response(502), minted()]
    with pytest.raises(GitHubUnavailableError):
        await client.post_status(PLACE, SHA, STATUS)
    await client.post_status(PLACE, SHA, STATUS)


async def test_tokens_are_in_no_log_and_no_repr(
    client: GitHubClient, router: respx.Router, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    router.post(f"{REPOSITORY}/statuses/{SHA}").respond(201, json={"state": "success"})
    await client.post_status(PLACE, SHA, STATUS)
    token = await client._sign_in.mint(5, {})
    assert "ghs_" not in repr(token)
    # PyGithub's own records hold whole answers; `binder.log` never lets them through.
    written = [record.getMessage() for record in caplog.records if record.name != "github.Requester"]
    assert "ghs_" not in " ".join(written)


async def test_what_was_added_since_is_seen_with_a_new_token(client: GitHubClient, router: respx.Router) -> None:
    router["tokens"].side_effect = [minted("ghs_old"), minted("ghs_new"), minted("ghs_newer")]
    route = router.get(REPOSITORY)
    found = {"id": 1296269, "owner": {"login": "ada"}, "name": "demo", "private": True, "default_branch": "main"}
    route.side_effect = [said("Not Found", 404), httpx.Response(200, json=found)]
    assert await client.repository(5, 1296269) is None
    assert await client.repository(5, 1296269, anew=True)
    assert [call.request.headers["authorization"] for call in route.calls] == ["token ghs_old", "token ghs_new"]
    router.get(f"{API}/installation/repositories").respond(json={"repositories": []})
    await client.covered(5)
    assert router["tokens"].call_count == 3


# Settings


def test_the_client_needs_an_app_and_its_key(tmp_path: Path) -> None:
    key = tmp_path / "app.pem"
    with pytest.raises(OperatorFault, match="BINDER_GITHUB_APP_ID"):
        GitHubClient.from_settings(read_settings(github_private_key_file=key))
    for text in (None, "", "not a key", "-----BEGIN RSA PRIVATE KEY-----\n", "ü"):
        if text is not None:
            key.write_text(text)
        with pytest.raises(OperatorFault, match="BINDER_GITHUB_PRIVATE_KEY_FILE"):
            GitHubClient.from_settings(read_settings(github_app_id=17, github_private_key_file=key))
    key.write_text(PEM)
    GitHubClient.from_settings(read_settings(github_app_id=17, github_private_key_file=key)).close()
