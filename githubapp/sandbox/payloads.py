"""What things look like from outside: the JSON objects that GitHub's REST answers and deliveries are made of.

Owns accounts and repositories, with their addresses, so that a client may follow any `url` it is given; the others are
`app_payloads`, `commit_payloads` and `pull_payloads`. Which objects go into which answer is left to the `rest_…`
modules, and into which delivery to `events`.
"""

import base64
from datetime import datetime
from urllib.parse import quote

from githubapp.sandbox.state import State
from githubapp.sandbox.values import (
    Account,
    Json,
    Repository,
)

_USER_LINKS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
_REPOSITORY_LINKS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}
_SAME_FOR_ALL: Json = {
    "mirror_url": None,
    "homepage": None,
    "language": None,
    "license": None,
    "topics": [],
    "size": 1,
    "stargazers_count": 0,
    "watchers_count": 0,
    "watchers": 0,
    "has_issues": True,
    "has_projects": False,
    "has_wiki": False,
    "has_pages": False,
    "has_downloads": True,
    "has_discussions": False,
    "disabled": False,
    "allow_forking": True,
    "is_template": False,
    "web_commit_signoff_required": False,
}


def node_id(kind: str, number: object) -> str:
    """GitHub's second name for everything: opaque, and unique over all kinds."""
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_or_none(moment: datetime | None) -> str | None:
    return iso(moment) if moment else None


def api(state: State, path: str) -> str:
    return f"{state.url}/api/v3{path}"


def repository_url(state: State, repository: Repository) -> str:
    return api(state, f"/repos/{repository.full_name}")


def user(state: State, login: str) -> Json:
    """A `simple-user`; a login without an account is GitHub's ghost of a deleted one."""
    account = state.account(login) or Account(id=10137, login="ghost", kind="User", created_at=state.now())
    url = api(state, f"/users/{quote(account.login)}")
    is_bot = account.kind == "Bot"
    return {
        "login": account.login,
        "id": account.id,
        "node_id": node_id(account.kind, account.id),
        "avatar_url": f"{state.url}/sandbox/avatars/{account.id}.svg",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{state.url}/apps/{account.login.removesuffix('[bot]')}"
        if is_bot
        else f"{state.url}/{account.login}",
        **{key: url + path for key, path in _USER_LINKS.items()},
        "type": account.kind,
        "user_view_type": "public",
        "site_admin": False,
    }


def public_user(state: State, account: Account) -> Json:
    """A `public-user`: what is told to a person about themselves."""
    nothing = dict.fromkeys(("company", "location", "email", "hireable", "bio", "twitter_username"))
    repositories = [one for one in state.repositories.values() if one.owner == account.login]
    return {
        **user(state, account.login),
        **nothing,
        "name": account.login,
        "blog": "",
        "public_repos": sum(not one.private for one in repositories),
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "created_at": iso(account.created_at),
        "updated_at": iso(account.created_at),
    }


def organization(state: State, account: Account) -> Json:
    """An `organization-simple`."""
    url = api(state, f"/orgs/{account.login}")
    return {
        "login": account.login,
        "id": account.id,
        "node_id": node_id(account.kind, account.id),
        "url": url,
        "repos_url": f"{url}/repos",
        "events_url": f"{url}/events",
        "hooks_url": f"{url}/hooks",
        "issues_url": f"{url}/issues",
        "members_url": f"{url}/members{{/member}}",
        "public_members_url": f"{url}/public_members{{/member}}",
        "avatar_url": f"{state.url}/sandbox/avatars/{account.id}.svg",
        "description": None,
    }


def collaborator(state: State, login: str, role_name: str) -> Json:
    """A `collaborator`: a user with what they may do, role by role."""
    return {**user(state, login), "role_name": role_name, "permissions": permission_flags(role_name)}


def permission_flags(role_name: str) -> Json:
    """Each level implies those below it."""
    order = ["pull", "triage", "push", "maintain", "admin"]
    rank = {"none": -1, "read": 0, "triage": 1, "write": 2, "maintain": 3, "admin": 4}[role_name]
    return {name: place <= rank for place, name in enumerate(order)}


def repository(state: State, repo: Repository) -> Json:
    """A `repository`, also where GitHub asks only for a `minimal-repository`."""
    url = repository_url(state, repo)
    html = f"{state.url}/{repo.full_name}"
    open_issues = sum(pull.state == "open" for pull in state.pulls_of(repo))
    forks = sum(other.parent_id == repo.id for other in state.repositories.values())
    return {
        "id": repo.id,
        "node_id": node_id("Repository", repo.id),
        "name": repo.name,
        "full_name": repo.full_name,
        "private": repo.private,
        "owner": user(state, repo.owner),
        "html_url": html,
        "description": repo.description,
        "fork": repo.parent_id is not None,
        "url": url,
        **{key: url + path for key, path in _REPOSITORY_LINKS.items()},
        "git_url": html.replace("http", "git", 1) + ".git",
        "ssh_url": f"git@{state.url.split('//', 1)[1].split(':', 1)[0]}:{repo.full_name}.git",
        "clone_url": f"{html}.git",
        "svn_url": html,
        "visibility": "private" if repo.private else "public",
        "default_branch": repo.default_branch,
        "created_at": iso(repo.created_at),
        "updated_at": iso(repo.updated_at),
        "pushed_at": iso(repo.pushed_at),
        "forks_count": forks,
        "forks": forks,
        "open_issues_count": open_issues,
        "open_issues": open_issues,
        "archived": repo.archived,
        **_SAME_FOR_ALL,
    }


def full_repository(state: State, repo: Repository) -> Json:
    """A `full-repository`: the answer to asking for just one."""
    forks = sum(other.parent_id == repo.id for other in state.repositories.values())
    body = {**repository(state, repo), "network_count": forks, "subscribers_count": 0, "temp_clone_token": None}
    parent = state.repositories.get(repo.parent_id or 0)
    if parent:
        body["parent"] = body["source"] = repository(state, parent)
    return body


def push_repository(state: State, repo: Repository) -> Json:
    """The repository of a push: the one place where GitHub writes times as seconds."""
    return {
        **repository(state, repo),
        "created_at": int(repo.created_at.timestamp()),
        "pushed_at": int(repo.pushed_at.timestamp()),
        "stargazers": 0,
        "master_branch": repo.default_branch,
        "owner": {**user(state, repo.owner), "name": repo.owner, "email": None},
    }


def repository_name(state: State, repo: Repository) -> Json:
    """A repository in the short form of `installation` deliveries."""
    short = ("id", "node_id", "name", "full_name", "private")
    full = repository(state, repo)
    return {key: full[key] for key in short}
