"""What check suites and check runs look like from outside."""

from urllib.parse import quote

from githubapp.sandbox.app_payloads import app
from githubapp.sandbox.payloads import iso, iso_or_none, node_id, repository_url
from githubapp.sandbox.state import State
from githubapp.sandbox.values import CheckRun, CheckSuite, GitCommit, Json, PullRequest, Repository


def check_run(state: State, run: CheckRun) -> Json:
    """A `check-run`."""
    repo = state.repositories[run.repository_id]
    url = f"{repository_url(state, repo)}/check-runs/{run.id}"
    html = f"{state.url}/{repo.full_name}/runs/{run.id}"
    return {
        "id": run.id,
        "name": run.name,
        "node_id": node_id("CheckRun", run.id),
        "head_sha": run.sha,
        "external_id": run.external_id,
        "url": url,
        "html_url": html,
        "details_url": run.details_url or html,
        "status": run.status,
        "conclusion": run.conclusion,
        "started_at": iso(run.started_at),
        "completed_at": iso_or_none(run.completed_at),
        "output": {
            "title": run.title,
            "summary": run.summary,
            "text": run.text,
            "annotations_count": len(run.annotations),
            "annotations_url": f"{url}/annotations",
        },
        "check_suite": {"id": run.suite_id},
        "app": app(state, state.apps[run.app_id]),
        "pull_requests": _pulls(state, repo, run.sha),
    }


def told_check_run(state: State, run: CheckRun) -> Json:
    """A check run as deliveries carry it, with some of its suite."""
    return {**check_run(state, run), "check_suite": _simple_suite(state, state.check_suites[run.suite_id])}


def _pulls(state: State, repo: Repository, sha: str) -> list[Json]:
    """The pull requests with this head: never one from a fork, which GitHub leaves out here."""
    pulls = (pull for pull in state.pulls_of(repo) if pull.head_id == repo.id and pull.state == "open")
    return [_minimal_pull(state, repo, pull) for pull in pulls if pull.head_sha == sha]


def _minimal_pull(state: State, repo: Repository, pull: PullRequest) -> Json:
    here = {"id": repo.id, "url": repository_url(state, repo), "name": repo.name}
    return {
        "id": pull.id,
        "number": pull.number,
        "url": f"{repository_url(state, repo)}/pulls/{pull.number}",
        "head": {"ref": pull.head_ref, "sha": pull.head_sha, "repo": here},
        "base": {"ref": pull.base_ref, "sha": pull.base_sha, "repo": here},
    }


def _suite_state(state: State, suite: CheckSuite) -> tuple[str, str | None]:
    """A suite is complete when its runs are; a failure among them is its own."""
    repo = state.repositories[suite.repository_id]
    runs = [run for run in state.latest_check_runs(repo, suite.sha) if run.suite_id == suite.id]
    if not all(run.conclusion for run in runs):
        return ("in_progress" if any(run.status != "queued" for run in runs) else "queued"), None
    order = ("action_required", "cancelled", "timed_out", "failure", "neutral", "skipped")
    conclusions = {run.conclusion for run in runs}
    return "completed", next((one for one in order if one in conclusions), "success")


def _simple_suite(state: State, suite: CheckSuite) -> Json:
    repo = state.repositories[suite.repository_id]
    status, conclusion = _suite_state(state, suite)
    return {
        "id": suite.id,
        "node_id": node_id("CheckSuite", suite.id),
        "head_branch": suite.branch,
        "head_sha": suite.sha,
        "status": status,
        "conclusion": conclusion,
        "url": f"{repository_url(state, repo)}/check-suites/{suite.id}",
        "before": None,
        "after": suite.sha,
        "pull_requests": _pulls(state, repo, suite.sha),
        "app": app(state, state.apps[suite.app_id]),
        "created_at": iso(suite.created_at),
        "updated_at": iso(suite.created_at),
    }


def told_check_suite(state: State, suite: CheckSuite, head: GitCommit) -> Json:
    """A check suite as deliveries carry it; asked for again, it has come to no end yet."""
    repo = state.repositories[suite.repository_id]
    runs = [run for run in state.latest_check_runs(repo, suite.sha) if run.suite_id == suite.id]
    author = {"name": head.author.name, "email": head.author.email}
    committer = {"name": head.committer.name, "email": head.committer.email}
    return {
        **_simple_suite(state, suite),
        "status": "queued",
        "conclusion": None,
        "check_runs_url": f"{repository_url(state, repo)}/check-suites/{suite.id}/check-runs",
        "latest_check_runs_count": len(runs),
        "head_commit": {
            "id": head.sha,
            "tree_id": head.tree,
            "message": head.message,
            "timestamp": head.committer.date,
            "author": author,
            "committer": committer,
        },
        "rerequestable": True,
        "runs_rerequestable": True,
    }


def annotation(state: State, run: CheckRun, value: Json) -> Json:
    """A `check-annotation`."""
    repo = state.repositories[run.repository_id]
    nothing = dict.fromkeys(("start_column", "end_column", "title", "raw_details"))
    path = quote(str(value["path"]))
    return {**nothing, **value, "blob_href": f"{state.url}/{repo.full_name}/blob/{run.sha}/{path}"}
