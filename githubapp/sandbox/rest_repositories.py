"""The REST calls about a repository and its git data: branches, refs, commits, statuses, who may do what.

Source: https://docs.github.com/en/rest/repos, https://docs.github.com/en/rest/commits
"""

import re

from starlette.responses import JSONResponse, PlainTextResponse, Response

from githubapp.sandbox import app_payloads, commit_payloads, payloads
from githubapp.sandbox.access import Refusal, not_found
from githubapp.sandbox.names import is_branch, is_sha
from githubapp.sandbox.plumbing import EMPTY_TREE
from githubapp.sandbox.rest import Call, Rule
from githubapp.sandbox.rest_bodies import invalid, one_of, short_text_or_none, text, url_or_none
from githubapp.sandbox.rest_lists import page
from githubapp.sandbox.values import STATUS_STATES, Repository, Status
from githubapp.sandbox.world import World

MOST_STATUSES = 1000
LONGEST_DESCRIPTION_CHARACTERS = 140

_ABBREVIATED_SHA = re.compile(r"[0-9a-f]{7,40}")
_FOLDED_ROLES = {"maintain": "write", "triage": "read"}


async def get_repository(call: Call) -> Response:
    body = payloads.full_repository(call.state, call.repository)
    if call.actor.token:
        body["permissions"] = app_payloads.visible_permissions(call.actor.token)
    if call.actor.account:
        role = call.state.role(call.actor.account.login, call.repository) or "none"
        body["permissions"] = payloads.permission_flags(role)
    return JSONResponse(body)


async def list_branches(call: Call) -> Response:
    refs = await call.world.git.refs(call.repository.id, "refs/heads")
    shown, headers = page(call, list(refs.items()))
    shapes = [
        commit_payloads.branch(call.state, call.repository, ref.removeprefix("refs/heads/"), sha) for ref, sha in shown
    ]
    return JSONResponse(shapes, headers=headers)


async def _ref_sha(world: World, repository: Repository, ref: str) -> str | None:
    """What a full ref points at, which may be a tag object."""
    return (await world.git.refs(repository.id, ref)).get(ref)


async def get_branch(call: Call) -> Response:
    name = call.path("branch")
    sha = await _ref_sha(call.world, call.repository, f"refs/heads/{name}") if is_branch(name) else None
    if sha is None:
        raise Refusal(404, "Branch not found")
    tip = await call.world.git.commit(call.repository.id, sha)
    return JSONResponse(commit_payloads.branch_with_commit(call.state, call.repository, name, tip))


async def get_ref(call: Call) -> Response:
    """A ref by its whole name under `refs/`: no prefix of it finds anything."""
    ref = f"refs/{call.path('ref')}"
    sha = await _ref_sha(call.world, call.repository, ref) if is_branch(call.path("ref")) else None
    if sha is None:
        await _refuse_empty(call)
        raise not_found()
    is_commit = await call.world.git.commit_sha(call.repository.id, sha) == sha
    return JSONResponse(
        commit_payloads.git_ref(call.state, call.repository, ref, sha, "commit" if is_commit else "tag")
    )


async def resolve(world: World, repository: Repository, ref: str) -> str | None:
    """The commit that a person means: a sha, a branch, a tag, a ref with or without `refs/`, or HEAD."""
    candidates = [ref] if is_sha(ref) else []
    if ref == "HEAD":
        candidates.append(f"refs/heads/{repository.default_branch}")
    if is_branch(ref):
        candidates += [f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/{ref.removeprefix('refs/')}"]
    if _ABBREVIATED_SHA.fullmatch(ref):
        candidates.append(ref)
    for candidate in candidates:
        sha = await world.git.commit_sha(repository.id, candidate)
        if sha:
            return sha
    return None


async def commit_sha(call: Call) -> str:
    """Raises: Refusal 409 for a repository without commits, 422 for a ref that is none."""
    sha = await resolve(call.world, call.repository, call.path("ref"))
    if sha:
        return sha
    await _refuse_empty(call)
    raise Refusal(422, f"No commit found for SHA: {call.path('ref')}")


async def _refuse_empty(call: Call) -> None:
    """Raises: Refusal 409, for a repository that nothing was pushed to."""
    if not await call.world.git.refs(call.repository.id):
        raise Refusal(409, "Git Repository is empty.")


async def get_commit(call: Call) -> Response:
    sha = await commit_sha(call)
    if "application/vnd.github.sha" in call.request.headers.get("accept", ""):
        return PlainTextResponse(sha, media_type="application/vnd.github.sha; charset=utf-8")
    commit = await call.world.git.commit(call.repository.id, sha)
    parent = commit.parents[0] if commit.parents else EMPTY_TREE
    files = await call.world.git.changed_files(call.repository.id, parent, sha)
    return JSONResponse(commit_payloads.commit(call.state, call.repository, commit, files))


async def get_combined_status(call: Call) -> Response:
    sha = await commit_sha(call)
    latest = call.state.latest_statuses(call.repository, sha)
    shown, headers = page(call, latest)
    body = commit_payloads.combined_status(call.state, call.repository, sha, latest, shown)
    return JSONResponse(body, headers=headers)


async def list_statuses(call: Call) -> Response:
    sha = await commit_sha(call)
    shown, headers = page(call, call.state.statuses_of(call.repository, sha))
    return JSONResponse([commit_payloads.status(call.state, call.repository, one) for one in shown], headers=headers)


async def create_status(call: Call) -> Response:
    """Source: https://docs.github.com/en/rest/commits/statuses#create-a-commit-status"""
    sha = call.path("sha")
    if not is_sha(sha) or await call.world.git.commit_sha(call.repository.id, sha) != sha:
        raise Refusal(422, f"No commit found for SHA: {sha}")
    status = Status(
        id=call.state.next_large_id(),
        repository_id=call.repository.id,
        sha=sha,
        context=_context(call),
        state=one_of(call.body, "state", "Status", STATUS_STATES),
        description=short_text_or_none(call.body, "description", "Status", longest=LONGEST_DESCRIPTION_CHARACTERS),
        target_url=url_or_none(call.body, "target_url", "Status"),
        creator=call.login,
        created_at=call.state.now(),
    )
    _refuse_too_many(call, status)
    call.state.statuses.setdefault((call.repository.id, sha), []).append(status)
    call.state.changed()
    body = commit_payloads.status(call.state, call.repository, status)
    return JSONResponse(body, 201, {"location": str(body["url"])})


def _context(call: Call) -> str:
    context = text(call.body, "context", "Status", default="default")
    if not context or len(context) > 255:
        raise invalid("Status", "context", "custom", "context is too long (maximum is 255 characters)")
    return context


def _refuse_too_many(call: Call, status: Status) -> None:
    earlier = call.state.statuses_of(call.repository, status.sha)
    if sum(one.context.lower() == status.context.lower() for one in earlier) >= MOST_STATUSES:
        message = "This SHA and context has reached the maximum number of statuses."
        raise Refusal(422, "Validation Failed", errors=[{"resource": "Status", "code": "custom", "message": message}])


async def get_permission(call: Call) -> Response:
    """What a person may do here: GitHub folds the five roles into three, and says the true one in `role_name`."""
    account = call.state.account(call.path("username"))
    if account is None:
        raise Refusal(404, f"{call.path('username')} is not a user")
    role = call.state.role(account.login, call.repository) or "none"
    body = {
        "permission": _FOLDED_ROLES.get(role, role),
        "role_name": role,
        "user": payloads.collaborator(call.state, account.login, role),
    }
    return JSONResponse(body)


_HERE = "/repos/{owner}/{repo}"

RULES = [
    Rule("GET", _HERE, get_repository, ("metadata",)),
    Rule("GET", f"{_HERE}/branches", list_branches, ("contents",)),
    Rule("GET", f"{_HERE}/branches/{{branch:path}}", get_branch, ("contents",)),
    Rule("GET", f"{_HERE}/git/ref/{{ref:path}}", get_ref, ("contents",)),
    Rule("GET", f"{_HERE}/commits/{{ref:path}}/status", get_combined_status, ("statuses",)),
    Rule("GET", f"{_HERE}/commits/{{ref:path}}/statuses", list_statuses, ("statuses",)),
    Rule("GET", f"{_HERE}/statuses/{{ref:path}}", list_statuses, ("statuses",)),
    Rule("GET", f"{_HERE}/commits/{{ref:path}}", get_commit, ("contents",)),
    Rule("POST", f"{_HERE}/statuses/{{sha}}", create_status, ("statuses",)),
    Rule("GET", f"{_HERE}/collaborators/{{username}}/permission", get_permission, ("metadata",)),
]
