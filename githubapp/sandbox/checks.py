"""What happens to check runs: written by Apps, asked for once more or acted on by people.

Owns the suites, and the events that follow. What a call may ask for is `rest_checks`. GitHub begins a suite at each
push; here one begins with its first check run.
"""

from githubapp.sandbox import events
from githubapp.sandbox.access import Refusal
from githubapp.sandbox.values import App, CheckRun, CheckSuite, Repository
from githubapp.sandbox.world import World


async def suite_of(world: World, repository: Repository, app: App, sha: str) -> CheckSuite:
    """The suite of an App for a commit, begun where there is none yet."""
    refs = await world.git.refs(repository.id, "refs/heads")
    branch = next((ref.removeprefix("refs/heads/") for ref, tip in refs.items() if tip == sha), None)
    known = next((one for one in world.state.check_suites_of(repository, sha) if one.app_id == app.id), None)
    if known:
        return known
    suite = CheckSuite(world.state.next_large_id(), repository.id, app.id, sha, branch, world.state.now())
    world.state.check_suites[suite.id] = suite
    return suite


def store(world: World, run: CheckRun, sender: str) -> CheckRun:
    """Put a check run in its place, and tell of it when it is new and when it comes to its end."""
    before = world.state.check_runs.get(run.id)
    world.state.check_runs[run.id] = run
    if before is None:
        events.check_run(world, run, "created", sender)
    if run.status == "completed" and (before is None or before.status != "completed"):
        events.check_run(world, run, "completed", sender)
    world.state.changed()
    return run


def rerequest(world: World, run: CheckRun, sender: str) -> None:
    """Ask for it once more: the App is told, and nothing changes until it does something.

    Raises: Refusal 403, for somebody who may not write here.
    """
    _refuse_readers(world, run.repository_id, sender)
    events.check_run_asked(world, run, "rerequested", sender)


async def rerequest_suite(world: World, suite: CheckSuite, sender: str) -> None:
    """Ask for all of an App's checks of a commit once more.

    Raises: Refusal 403, for somebody who may not write here.
    """
    _refuse_readers(world, suite.repository_id, sender)
    head = await world.git.commit(suite.repository_id, suite.sha)
    events.check_suite_rerequested(world, suite, head, sender)


def press_button(world: World, run: CheckRun, identifier: str, sender: str) -> None:
    """Press one of its buttons, which are there once it is completed.

    Whoever sees it may press: an App that trusts the sender of a delivery is to be found out here.

    Raises: Refusal 404 or 422.
    """
    repository = world.state.repositories[run.repository_id]
    if world.state.role(sender, repository) is None:
        raise Refusal(404, "Not Found")
    if run.status != "completed":
        raise Refusal(422, f"Check run {run.id} is {run.status}: it shows its buttons when it is completed")
    if identifier not in {action.identifier for action in run.actions}:
        raise Refusal(422, f"Check run {run.id} has no button {identifier!r}")
    events.check_run_asked(world, run, "requested_action", sender, requested_action={"identifier": identifier})


def _refuse_readers(world: World, repository_id: int, login: str) -> None:
    if world.state.role(login, world.state.repositories[repository_id]) not in {"write", "maintain", "admin"}:
        raise Refusal(403, "Must have push access")
