"""The pages that a person looks at, at GitHub's own addresses.

Owns what each page shows; how it looks is left to `templates/sandbox/`, and what the forms on them do to `web_forms`.
Nobody signs in here: whoever reaches the stand-in sees everything, private repositories too.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypedDict
from urllib.parse import urlsplit

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from githubapp.sandbox.access import Refusal
from githubapp.sandbox.commit_payloads import combined_state
from githubapp.sandbox.events import diff_of
from githubapp.sandbox.markdown import rendered
from githubapp.sandbox.names import is_owner, is_repository, is_sha
from githubapp.sandbox.plumbing import EMPTY_TREE
from githubapp.sandbox.rest_repositories import resolve
from githubapp.sandbox.values import (
    AccountKind,
    CheckConclusion,
    CheckRun,
    Deployment,
    GitCommit,
    PullRequest,
    Repository,
    Status,
)
from githubapp.sandbox.world import World
from templates import render

_SHOWN_COMMITS = 30
_SHOWN_DELIVERIES = 100
_SHOWN_FILES = 300
_LARGEST_README_BYTES = 500_000
_REFRESH_SECONDS = 3
_CHECK_MARKS: dict[CheckConclusion, str] = {
    "success": "success",
    "failure": "failure",
    "timed_out": "failure",
    "action_required": "error",
    "cancelled": "none",
    "neutral": "none",
    "skipped": "none",
}

# Nothing is loaded but pictures, and nothing is run.
_POLICY = (
    "default-src 'none'; img-src http: https: data:; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    # With none at all a browser would not say that a form is of our own.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}

Page = Callable[[World, Request], Awaitable[Response]]


class _CheckLine(TypedDict):
    run: CheckRun
    state: str
    html: Markup


class _SaidOf(TypedDict):
    statuses: list[Status]
    checks: list[_CheckLine]
    deployments: list[Deployment]


class _CommitLine(TypedDict):
    commit: GitCommit
    state: str


def routes(world: World) -> list[BaseRoute]:
    """The pages, none of which changes anything by being looked at."""
    here = "/{owner}/{name}"
    pages: dict[str, Page] = {
        "/": index,
        "/sandbox/avatars/{number:int}.svg": avatar,
        here: repository_page,
        f"{here}/tree/{{ref:path}}": repository_page,
        f"{here}/commit/{{sha}}": commit_page,
        f"{here}/runs/{{number:int}}": run_page,
        f"{here}/pull/{{number:int}}": pull_page,
    }
    return [Route(path, _endpoint(world, page), methods=["GET"]) for path, page in pages.items()]


def _endpoint(world: World, page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await page(world, request)

    return endpoint


def form_endpoint(world: World, page: Page) -> Callable[[Request], Awaitable[Response]]:
    """A page that something is sent to: what cannot be is said on a page too."""

    async def endpoint(request: Request) -> Response:
        try:
            return await page(world, request)
        except Refusal as refusal:
            return shown("refused", status=refusal.status, message=refusal.message)

    return endpoint


def refuse_other_sites(request: Request) -> None:
    """Nobody signs in here, so it is the browser's word that keeps other sites' forms out.

    Raises: Refusal 403.
    """
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Refusal(403, "This form is not from one of the pages here.")


def people(world: World, kinds: Sequence[AccountKind] = ("User",)) -> list[str]:
    """The logins of which one acts, where a page asks for one."""
    return [account.login for account in world.state.accounts.values() if account.kind in kinds]


def shown(
    name: str, *, status: int = 200, refresh: bool = False, form_action: str = "'none'", **values: object
) -> Response:
    """A page; `form_action` is where its forms may lead, redirects included."""
    html = render(f"sandbox/{name}.html", refresh_seconds=_REFRESH_SECONDS if refresh else None, **values)
    policy = f"{_POLICY}; form-action {form_action}"
    return HTMLResponse(html, status, {**_HEADERS, "content-security-policy": policy})


def _missing() -> Response:
    return shown("missing", status=404)


async def index(world: World, _request: Request) -> Response:
    """All repositories, and what was delivered of late."""
    state = world.state
    repositories = sorted(state.repositories.values(), key=lambda one: one.pushed_at, reverse=True)
    deliveries = world.deliveries.newest_first()[:_SHOWN_DELIVERIES]
    names = {one.id: one.full_name for one in repositories}
    lines = [
        {"delivery": one, "repository": names.get(one.repository_id or 0), "when": _clock(one.delivered_at)}
        for one in deliveries
    ]
    return shown("index", repositories=repositories, deliveries=lines)


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _repository(world: World, request: Request) -> Repository | Response:
    """The repository of the path, a way on from its old name, or a page that says there is none."""
    owner, name = request.path_params["owner"], request.path_params["name"]
    if not is_owner(owner) or not is_repository(name):
        return _missing()
    found = world.state.repository(owner, name)
    if found:
        return found
    moved = world.state.repository_once_named(owner, name)
    if moved is None:
        return _missing()
    rest = request.url.path.split("/", 3)[3:]
    return RedirectResponse("/".join([world.state.url, moved.full_name, *rest]), 301)


async def repository_page(world: World, request: Request) -> Response:
    """A branch's latest commits with their states, the README and the pull requests."""
    repository = _repository(world, request)
    if isinstance(repository, Response):
        return repository
    ref = request.path_params.get("ref", repository.default_branch)
    sha = await resolve(world, repository, ref)
    if sha is None and "ref" in request.path_params:
        return _missing()
    commits = await world.git.commits(repository.id, sha, limit=_SHOWN_COMMITS) if sha else []
    lines = [_commit_line(world, repository, commit) for commit in commits]
    branches = [name.removeprefix("refs/heads/") for name in await world.git.refs(repository.id, "refs/heads")]
    return shown(
        "repository",
        refresh=any(line["state"] == "pending" for line in lines),
        repository=repository,
        ref=ref,
        branches=branches,
        commits=lines,
        pulls=world.state.pulls_of(repository),
        readme=await _readme(world, repository, sha) if sha else None,
        clone_url=f"{world.state.url}/{repository.full_name}.git",
    )


def _commit_line(world: World, repository: Repository, commit: GitCommit) -> _CommitLine:
    statuses = world.state.latest_statuses(repository, commit.sha)
    return {"commit": commit, "state": combined_state(statuses) if statuses else "none"}


async def _readme(world: World, repository: Repository, sha: str) -> Markup | str | None:
    """The README of a commit: rendered when it is Markdown, else as it is."""
    names = await world.git.file_names(repository.id, sha)
    found = next((name for name in names if name.lower().partition(".")[0] == "readme"), None)
    content = await world.git.file(repository.id, sha, found, largest_bytes=_LARGEST_README_BYTES) if found else None
    if found is None or content is None:
        return None
    text = content.decode(errors="replace")
    return rendered(text) if found.lower().endswith((".md", ".markdown")) else text


async def commit_page(world: World, request: Request) -> Response:
    """A commit with its statuses; it looks again by itself until all of them are final."""
    repository = _repository(world, request)
    if isinstance(repository, Response):
        return repository
    sha = request.path_params["sha"]
    if not is_sha(sha) or await world.git.commit_sha(repository.id, sha) != sha:
        return _missing()
    commit = await world.git.commit(repository.id, sha)
    parent = commit.parents[0] if commit.parents else EMPTY_TREE
    files = await world.git.changed_files(repository.id, parent, sha)
    said = _said_of(world, repository, sha)
    return shown(
        "commit",
        refresh=_is_unsettled(said),
        form_action="'self'",
        repository=repository,
        commit=commit,
        **said,
        people=people(world),
        files=files[:_SHOWN_FILES],
        files_left_out=max(0, len(files) - _SHOWN_FILES),
    )


def _said_of(world: World, repository: Repository, sha: str) -> _SaidOf:
    """All that Apps have said of a commit."""
    runs = world.state.latest_check_runs(repository, sha)
    return {
        "statuses": world.state.latest_statuses(repository, sha),
        "checks": [_check_line(run) for run in runs],
        "deployments": world.state.deployments_of(repository, sha),
    }


def _check_line(run: CheckRun) -> _CheckLine:
    state = _CHECK_MARKS[run.conclusion] if run.conclusion else "pending"
    text = "\n\n".join(part for part in (run.summary, run.text) if part)
    return {"run": run, "state": state, "html": rendered(text)}


def _is_unsettled(said: _SaidOf) -> bool:
    """Whether more is to be expected: also where nothing has been said yet."""
    states = [status.state for status in said["statuses"]] + [line["state"] for line in said["checks"]]
    return not states or "pending" in states


async def run_page(world: World, request: Request) -> Response:
    """A check run stands on its commit's page."""
    repository = _repository(world, request)
    if isinstance(repository, Response):
        return repository
    run = world.state.check_runs.get(request.path_params["number"])
    if run is None or run.repository_id != repository.id:
        return _missing()
    return RedirectResponse(f"/{repository.full_name}/commit/{run.sha}#check-{run.id}", 302)


async def pull_page(world: World, request: Request) -> Response:
    """A pull request with what is said of its head, and its comments.

    A page on which somebody writes a comment (`?write`) does not look again: their words would be gone.
    """
    repository = _repository(world, request)
    if isinstance(repository, Response):
        return repository
    pull = world.state.pulls.get((repository.id, request.path_params["number"]))
    if pull is None:
        return _missing()
    said, writing = _said_of(world, repository, pull.head_sha), "write" in request.query_params
    comments = [
        {"id": one.id, "author": one.author, "when": _clock(one.created_at), "html": rendered(one.body)}
        for one in world.state.comments_of(repository, pull.number)
    ]
    return shown(
        "pull",
        refresh=pull.state == "open" and not writing and _is_unsettled(said),
        form_action="'self'",
        repository=repository,
        pull=pull,
        word=_word(pull),
        text=rendered(pull.body or ""),
        diff=await diff_of(world, pull),
        **said,
        people=people(world),
        comments=comments,
        writing=writing,
    )


def _word(pull: PullRequest) -> str:
    return "Draft" if pull.draft and pull.state == "open" else pull.state.capitalize()


async def avatar(_world: World, request: Request) -> Response:
    """A picture for an account: a square in a colour of its own."""
    colour = f"hsl({request.path_params['number'] * 47 % 360} 45% 55%)"
    svg = render("sandbox/avatar.svg", colour=colour)
    return Response(svg, media_type="image/svg+xml", headers={"content-security-policy": "default-src 'none'"})
