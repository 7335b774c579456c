"""What pull requests and the comments on them look like from outside.

Owns their JSON objects in GitHub's shapes; what git has to say is handed in, because nothing here waits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from githubapp.sandbox.app_payloads import app
from githubapp.sandbox.payloads import iso, iso_or_none, node_id, repository, repository_url, user
from githubapp.sandbox.state import State
from githubapp.sandbox.values import Comment, FileChange, Json, PullRequest, Repository

_REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")
_LABEL_COLOUR = "ededed"
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


def _author_association(state: State, repo: Repository, login: str) -> str:
    if login.lower() == repo.owner.lower():
        return "OWNER"
    return "COLLABORATOR" if login.lower() in repo.collaborators else "NONE"


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


def label(state: State, repo: Repository, name: str) -> Json:
    """A `label` of a repository."""
    number = state.labels[repo.id, name]
    return {
        "id": number,
        "node_id": node_id("Label", number),
        "url": f"{repository_url(state, repo)}/labels/{quote(name, safe='')}",
        "name": name,
        "color": _LABEL_COLOUR,
        "default": False,
        "description": None,
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
        "labels": [label(state, repo, name) for name in pull.labels],
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
        "state": pull.state,
        "labels": [label(state, repo, name) for name in pull.labels],
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
