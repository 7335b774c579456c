"""What branches, refs, commits and statuses look like from outside.

Owns their JSON objects in GitHub's shapes; what git has to say is handed in, because nothing here waits.
"""

from collections.abc import Sequence
from urllib.parse import quote

from githubapp.sandbox.payloads import iso, node_id, repository, repository_url, user
from githubapp.sandbox.state import State
from githubapp.sandbox.values import FileChange, GitCommit, GitPerson, Json, Repository, Status


def _git_user(person: GitPerson) -> Json:
    return {"name": person.name, "email": person.email, "date": person.date}


def commit(state: State, repo: Repository, value: GitCommit, files: Sequence[FileChange] | None = None) -> Json:
    """A `commit`; who made it is a GitHub account only where one is known by the address."""
    url = repository_url(state, repo)
    html = f"{state.url}/{repo.full_name}/commit"
    body: Json = {
        "sha": value.sha,
        "node_id": node_id("Commit", value.sha),
        "url": f"{url}/commits/{value.sha}",
        "html_url": f"{html}/{value.sha}",
        "comments_url": f"{url}/commits/{value.sha}/comments",
        "commit": {
            "author": _git_user(value.author),
            "committer": _git_user(value.committer),
            "message": value.message,
            "tree": {"sha": value.tree, "url": f"{url}/git/trees/{value.tree}"},
            "url": f"{url}/git/commits/{value.sha}",
            "comment_count": 0,
            "verification": _unsigned(),
        },
        "author": _account_of(state, value.author),
        "committer": _account_of(state, value.committer),
        "parents": [_parent(url, html, sha) for sha in value.parents],
    }
    if files is None:
        return body
    added, deleted = sum(file.additions for file in files), sum(file.deletions for file in files)
    stats = {"additions": added, "deletions": deleted, "total": added + deleted}
    return {**body, "stats": stats, "files": [file_change(state, repo, value.sha, file) for file in files]}


def _parent(url: str, html: str, sha: str) -> Json:
    return {"sha": sha, "url": f"{url}/commits/{sha}", "html_url": f"{html}/{sha}"}


def _unsigned() -> Json:
    return {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}


def _account_of(state: State, person: GitPerson) -> Json | None:
    for account in state.accounts.values():
        if person.email.lower() == account.email.lower():
            return user(state, account.login)
    return None


def file_change(state: State, repo: Repository, sha: str, change: FileChange) -> Json:
    """A `diff-entry`, without its patch: nobody here reads one, and GitHub leaves out large ones too."""
    url = repository_url(state, repo)
    body: Json = {
        "sha": change.blob,
        "filename": change.path,
        "status": change.status,
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": f"{state.url}/{repo.full_name}/blob/{sha}/{quote(change.path)}",
        "raw_url": f"{state.url}/{repo.full_name}/raw/{sha}/{quote(change.path)}",
        "contents_url": f"{url}/contents/{quote(change.path)}?ref={sha}",
    }
    return body if change.previous_path is None else {**body, "previous_filename": change.previous_path}


def comparison(
    state: State,
    repo: Repository,
    *,
    base: GitCommit,
    start: GitCommit,
    head: str,
    ahead: int,
    behind: int,
    commits: Sequence[GitCommit],
    files: Sequence[FileChange],
) -> Json:
    """A `commit-comparison`: `ahead` commits lead from `start`, where both began to differ, to `head`."""
    html = f"{state.url}/{repo.full_name}/compare/{base.sha}...{head}"
    both = {(True, True): "diverged", (True, False): "ahead", (False, True): "behind", (False, False): "identical"}
    return {
        "url": f"{repository_url(state, repo)}/compare/{base.sha}...{head}",
        "html_url": html,
        "permalink_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "base_commit": commit(state, repo, base),
        "merge_base_commit": commit(state, repo, start),
        "status": both[ahead > 0, behind > 0],
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": ahead,
        "commits": [commit(state, repo, one) for one in commits],
        "files": [file_change(state, repo, head, file) for file in files],
    }


def branch(state: State, repo: Repository, name: str, sha: str) -> Json:
    """A `short-branch`."""
    return {
        "name": name,
        "commit": {"sha": sha, "url": f"{repository_url(state, repo)}/commits/{sha}"},
        "protected": False,
        "protection": {"enabled": False, "required_status_checks": {"contexts": [], "checks": []}},
        "protection_url": f"{repository_url(state, repo)}/branches/{quote(name)}/protection",
    }


def branch_with_commit(state: State, repo: Repository, name: str, tip: GitCommit) -> Json:
    """A `branch-with-protection`."""
    url = f"{repository_url(state, repo)}/branches/{quote(name)}"
    links = {"self": url, "html": f"{state.url}/{repo.full_name}/tree/{quote(name)}"}
    return {**branch(state, repo, name, tip.sha), "commit": commit(state, repo, tip), "_links": links}


def git_ref(state: State, repo: Repository, ref: str, sha: str, kind: str) -> Json:
    """A `git-ref`; `kind` is `commit` or `tag`."""
    url = f"{repository_url(state, repo)}/git"
    return {
        "ref": ref,
        "node_id": node_id("Ref", f"{repo.id}:{ref}"),
        "url": f"{url}/{quote(ref)}",
        "object": {"sha": sha, "type": kind, "url": f"{url}/{kind}s/{sha}"},
    }


def simple_status(state: State, repo: Repository, value: Status) -> Json:
    """A `simple-commit-status`, as it stands in the combined one."""
    return {
        "url": f"{repository_url(state, repo)}/statuses/{value.sha}",
        "avatar_url": user(state, value.creator)["avatar_url"],
        "id": value.id,
        "node_id": node_id("StatusContext", value.id),
        "state": value.state,
        "description": value.description,
        "target_url": value.target_url,
        "context": value.context,
        "created_at": iso(value.created_at),
        "updated_at": iso(value.created_at),
    }


def status(state: State, repo: Repository, value: Status) -> Json:
    """A `status`."""
    return {**simple_status(state, repo, value), "creator": user(state, value.creator)}


def combined_state(statuses: Sequence[Status]) -> str:
    """One word for all contexts: a failure beats what is pending, and no status at all is pending.

    Source: https://docs.github.com/en/rest/commits/statuses#get-the-combined-status-for-a-specific-reference
    """
    states = {one.state for one in statuses}
    if states & {"failure", "error"}:
        return "failure"
    return "success" if states == {"success"} else "pending"


def combined_status(state: State, repo: Repository, sha: str, latest: Sequence[Status], page: Sequence[Status]) -> Json:
    """A `combined-commit-status` over all the `latest` statuses, listing those of one page."""
    url = f"{repository_url(state, repo)}/commits/{sha}"
    return {
        "state": combined_state(latest),
        "statuses": [simple_status(state, repo, one) for one in page],
        "sha": sha,
        "total_count": len(latest),
        "repository": repository(state, repo),
        "commit_url": url,
        "url": f"{url}/status",
    }
