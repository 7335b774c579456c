"""What commits, statuses, pull requests and comments look like from outside.

Owns their JSON objects in GitHub's shapes; what git has to say is handed in, because nothing here waits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from githubapp.sandbox.payloads import app, iso, iso_or_none, node_id, repository, repository_url, user
from githubapp.sandbox.state import State
from githubapp.sandbox.values import (
    Comment,
    FileChange,
    GitCommit,
    GitPerson,
    Json,
    PullRequest,
    Repository,
    Status,
)

_REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")
_ISSUE_SAME_FOR_ALL: Json = {
    "locked": False,
    "active_lock_reason": None,
    "milestone": None,
    "assignee": None,
    "assignees": [],
    "performed_via_github_app": None,
    "state_reason": None,
}
_PULL_SAME_FOR_ALL: Json = {
    "locked": False,
    "active_lock_reason": None,
    "milestone": None,
    "assignee": None,
    "assignees": [],
    "auto_merge": None,
    "merge_commit_sha": None,
    "merged_at": None,
    "requested_reviewers": [],
    "requested_teams": [],
}


@dataclass(frozen=True)
class Diff:
    """How much a pull request changes."""

    commits: int
    files: Sequence[FileChange]


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


def _author_association(state: State, repo: Repository, login: str) -> str:
    if login.lower() == repo.owner.lower():
        return "OWNER"
    return "COLLABORATOR" if login.lower() in repo.collaborators else "NONE"


def _label(state: State, repo: Repository, name: str) -> Json:
    number = sum(name.encode()) + repo.id * 1000
    url = f"{repository_url(state, repo)}/labels/{quote(name)}"
    shape = {"color": "ededed", "default": False, "description": None}
    return {"id": number, "node_id": node_id("Label", number), "url": url, "name": name, **shape}


def _side(state: State, repo: Repository | None, owner: str, ref: str, sha: str) -> Json:
    """A pull request's head or base; the repository of a head may be gone."""
    there = repository(state, repo) if repo else None
    return {"label": f"{owner}:{ref}", "ref": ref, "sha": sha, "user": user(state, owner), "repo": there}


def _pull_links(state: State, repo: Repository, pull: PullRequest) -> Json:
    url = f"{repository_url(state, repo)}/pulls/{pull.number}"
    issue = f"{repository_url(state, repo)}/issues/{pull.number}"
    return {
        "self": {"href": url},
        "html": {"href": f"{state.url}/{repo.full_name}/pull/{pull.number}"},
        "issue": {"href": issue},
        "comments": {"href": f"{issue}/comments"},
        "review_comments": {"href": f"{url}/comments"},
        "review_comment": {"href": f"{repository_url(state, repo)}/pulls/comments{{/number}}"},
        "commits": {"href": f"{url}/commits"},
        "statuses": {"href": f"{repository_url(state, repo)}/statuses/{pull.head_sha}"},
    }


def pull_request(state: State, pull: PullRequest) -> Json:
    """A `pull-request-simple`, the form of lists."""
    repo = state.repositories[pull.repository_id]
    links = _pull_links(state, repo, pull)
    url = f"{repository_url(state, repo)}/pulls/{pull.number}"
    html = f"{state.url}/{repo.full_name}/pull/{pull.number}"
    return {
        "url": url,
        "id": pull.id,
        "node_id": node_id("PullRequest", pull.id),
        "number": pull.number,
        "html_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "issue_url": f"{repository_url(state, repo)}/issues/{pull.number}",
        "commits_url": f"{url}/commits",
        "review_comments_url": f"{url}/comments",
        "review_comment_url": f"{repository_url(state, repo)}/pulls/comments{{/number}}",
        "comments_url": f"{repository_url(state, repo)}/issues/{pull.number}/comments",
        "statuses_url": f"{repository_url(state, repo)}/statuses/{pull.head_sha}",
        "state": pull.state,
        "title": pull.title,
        "user": user(state, pull.author),
        "body": pull.body,
        "draft": pull.draft,
        "labels": [_label(state, repo, name) for name in pull.labels],
        **_PULL_SAME_FOR_ALL,
        "created_at": iso(pull.created_at),
        "updated_at": iso(pull.updated_at),
        "closed_at": iso_or_none(pull.closed_at),
        "head": _side(state, state.repositories.get(pull.head_id or 0), pull.head_owner, pull.head_ref, pull.head_sha),
        "base": _side(state, repo, repo.owner, pull.base_ref, pull.base_sha),
        "author_association": _author_association(state, repo, pull.author),
        "_links": links,
    }


def full_pull_request(state: State, pull: PullRequest, diff: Diff) -> Json:
    """A `pull-request`, the answer to asking for just one, and what deliveries carry."""
    repo = state.repositories[pull.repository_id]
    return {
        **pull_request(state, pull),
        "merged": False,
        "mergeable": None,
        "rebaseable": None,
        "mergeable_state": "unknown",
        "merged_by": None,
        "comments": len(state.comments_of(repo, pull.number)),
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": diff.commits,
        "additions": sum(file.additions for file in diff.files),
        "deletions": sum(file.deletions for file in diff.files),
        "changed_files": len(diff.files),
    }


def issue_of(state: State, pull: PullRequest) -> Json:
    """A pull request seen as the issue that it also is."""
    repo = state.repositories[pull.repository_id]
    url = f"{repository_url(state, repo)}/issues/{pull.number}"
    html = f"{state.url}/{repo.full_name}/pull/{pull.number}"
    pull_url = f"{repository_url(state, repo)}/pulls/{pull.number}"
    links = {"url": pull_url, "html_url": html, "diff_url": f"{html}.diff", "patch_url": f"{html}.patch"}
    return {
        "url": url,
        "repository_url": repository_url(state, repo),
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "html_url": html,
        "id": pull.id,
        "node_id": node_id("PullRequest", pull.id),
        "number": pull.number,
        "title": pull.title,
        "user": user(state, pull.author),
        "labels": [_label(state, repo, name) for name in pull.labels],
        "state": pull.state,
        **_ISSUE_SAME_FOR_ALL,
        "comments": len(state.comments_of(repo, pull.number)),
        "created_at": iso(pull.created_at),
        "updated_at": iso(pull.updated_at),
        "closed_at": iso_or_none(pull.closed_at),
        "author_association": _author_association(state, repo, pull.author),
        "draft": pull.draft,
        "pull_request": {**links, "merged_at": None},
        "body": pull.body,
        "reactions": _reactions(url),
        "timeline_url": f"{url}/timeline",
    }


def _reactions(url: str) -> Json:
    return {"url": f"{url}/reactions", "total_count": 0, **dict.fromkeys(_REACTIONS, 0)}


def comment(state: State, value: Comment) -> Json:
    """An `issue-comment`."""
    repo = state.repositories[value.repository_id]
    url = f"{repository_url(state, repo)}/issues/comments/{value.id}"
    writer = state.apps.get(value.app_id or 0)
    return {
        "url": url,
        "html_url": f"{state.url}/{repo.full_name}/pull/{value.number}#issuecomment-{value.id}",
        "issue_url": f"{repository_url(state, repo)}/issues/{value.number}",
        "id": value.id,
        "node_id": node_id("IssueComment", value.id),
        "user": user(state, value.author),
        "created_at": iso(value.created_at),
        "updated_at": iso(value.updated_at),
        "author_association": _author_association(state, repo, value.author),
        "body": value.body,
        "reactions": _reactions(url),
        "performed_via_github_app": app(state, writer) if writer else None,
    }
