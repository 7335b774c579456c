"""The REST calls about check runs, which only an App can write.

Source: https://docs.github.com/en/rest/checks
"""

from dataclasses import replace

from starlette.responses import JSONResponse, Response

from githubapp.sandbox import check_payloads, checks
from githubapp.sandbox.access import Refusal, not_found
from githubapp.sandbox.check_bodies import fields
from githubapp.sandbox.names import is_sha
from githubapp.sandbox.rest import Call, Rule
from githubapp.sandbox.rest_lists import page
from githubapp.sandbox.rest_repositories import commit_sha
from githubapp.sandbox.values import App, CheckRun


def _writer(call: Call) -> App:
    """Raises: Refusal 403, for a person."""
    if call.writing_app is None:
        raise Refusal(403, "You must authenticate via a GitHub App.")
    return call.writing_app


def _run(call: Call) -> CheckRun:
    found = call.state.check_runs.get(call.number("check_run_id"))
    if found is None or found.repository_id != call.repository.id:
        raise not_found()
    return found


async def create_run(call: Call) -> Response:
    writer, sha = _writer(call), call.body.get("head_sha")
    given = fields(call.body, call.state.now(), is_new=True)
    if not isinstance(sha, str) or not is_sha(sha) or await call.world.git.commit_sha(call.repository.id, sha) != sha:
        raise Refusal(422, f"No commit found for SHA: {sha}")
    suite = await checks.suite_of(call.world, call.repository, writer, sha)
    numbers = {"id": call.state.next_large_id(), "repository_id": call.repository.id, "suite_id": suite.id}
    begun = {"app_id": writer.id, "sha": sha, "started_at": call.state.now()}
    run = checks.store(call.world, CheckRun(**{**numbers, **begun, **given}), call.login)
    shape = check_payloads.check_run(call.state, run)
    return JSONResponse(shape, 201, {"location": str(shape["url"])})


async def update_run(call: Call) -> Response:
    """Annotations are added to those that there are."""
    run, writer = _run(call), _writer(call)
    if run.app_id != writer.id:
        said = f"Invalid app_id `{writer.id}` - check run can only be modified by the GitHub App that created it."
        raise Refusal(403, said)
    given = fields(call.body, call.state.now(), is_new=False)
    annotations = (*run.annotations, *given.get("annotations", ()))
    changed = checks.store(call.world, replace(run, **{**given, "annotations": annotations}), call.login)
    return JSONResponse(check_payloads.check_run(call.state, changed))


async def get_run(call: Call) -> Response:
    return JSONResponse(check_payloads.check_run(call.state, _run(call)))


async def list_annotations(call: Call) -> Response:
    run = _run(call)
    shown, headers = page(call, run.annotations)
    return JSONResponse([check_payloads.annotation(call.state, run, one) for one in shown], headers=headers)


async def list_runs(call: Call) -> Response:
    """The newest of each name and App, unless all are asked for."""
    sha, query = await commit_sha(call), call.request.query_params
    everything = query.get("filter") == "all"
    runs = (call.state.check_runs_of if everything else call.state.latest_check_runs)(call.repository, sha)
    name, status, app = query.get("check_name"), query.get("status"), query.get("app_id")
    found = [
        run
        for run in runs
        if name in {None, run.name} and status in {None, run.status} and app in {None, str(run.app_id)}
    ]
    shown, headers = page(call, found)
    shapes = [check_payloads.check_run(call.state, run) for run in shown]
    return JSONResponse({"total_count": len(found), "check_runs": shapes}, headers=headers)


_HERE = "/repos/{owner}/{repo}"
_RUN = f"{_HERE}/check-runs/{{check_run_id:int}}"

RULES = [
    Rule("POST", f"{_HERE}/check-runs", create_run, ("checks",)),
    Rule("PATCH", _RUN, update_run, ("checks",)),
    Rule("GET", _RUN, get_run, ("checks",)),
    Rule("GET", f"{_RUN}/annotations", list_annotations, ("checks",)),
    Rule("GET", f"{_HERE}/commits/{{ref:path}}/check-runs", list_runs, ("checks",)),
]
