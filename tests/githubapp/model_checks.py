"""What must be so in the stories of `test_model`, whatever happened: here, and in what GitHub shows."""

from collections.abc import Collection, Sequence
from itertools import pairwise

from binder.lifecycle import BuildState, DeliveryState, SessionState
from binder.store.queries import ACTIVE_BUILDS, LIVE_SESSIONS
from binder.store.tables import Build, Delivery, Preview, Report, Session
from githubapp.comments import MARKER
from githubapp.sandbox.values import CheckRun, Status
from tests.githubapp.model_people import People
from tests.githubapp.workshop import Workshop

_FINAL = {"success", "failure", "error"}
# How a build ended → its status and its check.
_SHOWN = {
    BuildState.SUCCEEDED: ("success", "success"),
    BuildState.FAILED: ("failure", "failure"),
    BuildState.SUPERSEDED: ("error", "cancelled"),
    BuildState.CANCELLED: ("error", "cancelled"),
}
_DEPLOYED = {BuildState.SUCCEEDED: "success", BuildState.FAILED: "failure"}
# One that goes on is told in two steps, see `reports.standing_of_build`.
_WRITES_OF_A_BUILD = 3


async def check_trust(workshop: Workshop, people: People) -> None:
    """See that no commit was built that only a fork had, unless it was allowed by name; no such one is trusted."""
    for build in await workshop.rows(Build):
        if build.sha not in people.own:
            assert build.sha in people.allowed, f"{build.sha} is a fork's, and nobody allowed it"
            assert build.untrusted, f"{build.sha} is a fork's, and was built as if it was the repository's"


async def check_hidden(workshop: Workshop, people: People) -> None:
    """See that nothing goes on of a repository that the App may not see, or not act on."""
    assert await _active(workshop) == []
    assert await workshop.rows_live() == []
    left = [row.state for row in await workshop.rows(Session) if row.state in LIVE_SESSIONS]
    assert set(left) <= (set() if people.hidden & {"private", "removed"} else {SessionState.OPEN}), left
    assert [row.id for row in await workshop.rows(Report) if row.owed] == []


async def check_underway(workshop: Workshop, people: People) -> None:
    """See, before builds are finished, that only those go on that a head, or a visitor, needs: one for each commit."""
    active = await _active(workshop)
    heads = await _heads(people)
    for build in active:
        assert build.sha in heads or build.preview_id is None, f"{build.sha} is no head, and its build goes on"
    assert len({build.sha for build in active}) == len(active)


async def check_end(workshop: Workshop, people: People, *, compares: bool) -> None:
    """See that GitHub shows what is true, of each commit, and of each pull request."""
    assert await _active(workshop) == []
    assert [row.guid for row in await workshop.rows(Delivery) if row.state is DeliveryState.STORED] == []
    assert [(row.kind, row.subject) for row in await workshop.rows(Report) if row.owed] == []
    heads = await _heads(people)
    if compares:  # of the branches, only those are compared that are known, and the default one
        known = {row.ref for row in await workshop.rows(Preview) if row.kind == "branch"} | {"main"}
        unknown = {sha for ref, sha in (await people.branches()).items() if ref not in known}
        pulls = {pull.head_sha for pull in people.open_pulls("work", "theirs")}
        heads = {sha: wants for sha, wants in heads.items() if sha not in unknown - pulls}
    for sha in people.shas:
        await _check_commit(workshop, people, sha, heads)
    await _check_previews(workshop, people, heads)
    await _check_comments(workshop, people)
    await _check_sessions(workshop, heads)


async def _heads(people: People) -> dict[str, bool]:
    """Return the heads that there are, and whether each has to be built: a fork's has where it surely was allowed."""
    heads = {pull.head_sha: pull.head_ref != "theirs" for pull in people.open_pulls("work", "theirs")}
    heads |= dict.fromkeys(people.granted.values(), True)
    return heads | dict.fromkeys((await people.branches()).values(), True)


async def _active(workshop: Workshop) -> Sequence[Build]:
    return [row for row in await workshop.rows(Build) if row.state in ACTIVE_BUILDS]


async def _check_commit(workshop: Workshop, people: People, sha: str, heads: dict[str, bool]) -> None:
    builds = await workshop.builds(sha)
    shown = await workshop.statuses(sha)
    runs = sorted(await workshop.sandbox.check_runs("ada/demo", sha=sha), key=lambda run: run.id)
    deployed = await workshop.deployed(sha)
    of_preview = builds if any(build.preview_id for build in builds) else []
    _check_writes(shown, runs, len(of_preview), sha)
    for build in builds:
        _check_reason(people, build, sha)
    if of_preview and not _is_waiting(shown):
        build = of_preview[-1]
        assert (shown[-1].state, runs[-1].conclusion) == _SHOWN[build.state], (sha, shown[-1])
        assert shown[-1].target_url, sha
        if build.state in {BuildState.SUPERSEDED, BuildState.CANCELLED}:
            assert shown[-1].description == (build.fault or {})["message"]
    elif shown:
        _check_unbuilt(people, shown[-1], runs, sha, is_head=sha in heads)
    if sha in heads:
        assert shown, f"{sha} is a head and shows nothing"
        if heads[sha]:
            assert of_preview, f"{sha} is to be built, and never was"
    wanted = _DEPLOYED.get(of_preview[-1].state) if of_preview and sha in heads else None
    assert deployed[-1:] in ([wanted or "inactive"], [] if wanted is None else [wanted]), (sha, deployed)


def _check_writes(shown: Sequence[Status], runs: Sequence[CheckRun], builds: int, sha: str) -> None:
    """See that nothing is told twice, nor more often than there was news."""
    told = [(one.state, one.description, one.target_url) for one in shown]
    assert all(one != following for one, following in pairwise(told)), (sha, told)
    of_builds = [one for one in shown if "/builds/" in (one.target_url or "") or one.state == "success"]
    assert len(of_builds) <= _WRITES_OF_A_BUILD * builds, (sha, told)
    assert {run.status for run in runs} <= {"completed"}, sha
    assert len({run.external_id for run in runs}) == len(runs), sha


def _is_waiting(shown: Sequence[Status]) -> bool:
    return bool(shown) and shown[-1].state == "pending" and "/ok-to-test" in (shown[-1].description or "")


def _check_unbuilt(people: People, last: Status, runs: Sequence[CheckRun], sha: str, *, is_head: bool) -> None:
    """See that a commit without a build waits for approval, or that it is told why it does not any more."""
    conclusion = runs[-1].conclusion if runs else None
    if _is_waiting([last]):
        assert is_head, f"{sha} is no head, and waits for approval"
        assert sha in people.theirs, sha
        assert conclusion == "action_required", (sha, conclusion)
        return
    assert last.state == "error", (sha, last)
    assert conclusion in {"cancelled", None}, (sha, conclusion)
    assert _fits(people, sha, last.description or ""), (sha, last.description, people.heads)


def _check_reason(people: People, build: Build, sha: str) -> None:
    """See that a build that was stopped says so, and truly."""
    if build.state in {BuildState.SUPERSEDED, BuildState.CANCELLED}:
        message = (build.fault or {})["message"]
        begins = "Superseded by" if build.state is BuildState.SUPERSEDED else "Cancelled"
        assert message.startswith(begins), (sha, message)
        assert _fits(people, sha, message), (sha, message, people.heads)


def _fits(people: People, sha: str, message: str) -> bool:
    """Whether it is true that a commit was left behind so."""
    after = {ref: heads[heads.index(sha) + 1 :] for ref, heads in people.heads.items() if sha in heads}
    if message.startswith("Superseded by "):
        newer = message.removeprefix("Superseded by ")
        return any(one.startswith(newer) for heads in after.values() for one in heads if one)
    if message == "Cancelled: the branch was deleted":
        return any(None in heads for ref, heads in after.items() if not ref.isdigit())
    if message == "Cancelled: the pull request was closed":
        return any(None in heads for ref, heads in after.items() if ref.isdigit())
    return people.was_hidden if message.startswith("Cancelled: ") else message == "Cancelled by ada"


async def _check_previews(workshop: Workshop, people: People, heads: Collection[str]) -> None:
    """See that what is kept live is what there is."""
    live = {row.ref: row.head_sha for row in await workshop.rows_live()}
    wanted = {ref: sha for ref, sha in (await people.branches()).items() if sha in heads}
    wanted |= {str(pull.number): pull.head_sha for pull in people.open_pulls("work", "theirs")}
    assert {ref: sha for ref, sha in live.items() if ref in wanted} == live
    assert {ref for ref in wanted if ref not in live} <= {"work"}, (live, wanted)


async def _check_comments(workshop: Workshop, people: People) -> None:
    """See that each pull request has one comment, which is about how it is now."""
    for pull in people.pulls():
        ours = [one.body for one in workshop.comments(pull.number) if one.body.startswith(MARKER)]
        if pull.state == "closed":
            assert len(ours) <= 1, pull.number
            assert all("was removed" in body for body in ours), ours
            continue
        assert len(ours) == 1, f"pull request {pull.number} has {len(ours)} comments"
        assert pull.head_sha[:7] in ours[0], (pull.head_sha, ours)
        builds = await workshop.builds(pull.head_sha)
        is_ready = bool(builds) and builds[-1].state is BuildState.SUCCEEDED
        assert ("The preview is ready" in ours[0]) is is_ready, ours


async def _check_sessions(workshop: Workshop, heads: Collection[str]) -> None:
    """See that nothing waits for visitors at the last commit of a preview that has ended."""
    ended = {row.head_sha for row in await workshop.rows(Preview) if not row.live} - set(heads)
    shas = {row.id: row.sha for row in await workshop.rows(Build)}
    for row in await workshop.rows(Session):
        if shas[row.build_id] in ended:
            assert row.state not in LIVE_SESSIONS or row.state is SessionState.OPEN, (shas[row.build_id], row.state)
