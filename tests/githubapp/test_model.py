"""Whatever happens in whatever order, and whatever goes wrong on the way: in the end GitHub shows what is true.

Each example is a story: people push, open and close pull requests and allow what comes from a fork, deliveries are
lost, doubled and swapped, GitHub's answers fail before and after their effect, builds go on, and the service dies in
the middle. Then the faults end, what was lost is delivered again, and all loops run until nothing is left to do.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from binder.errors import RepositoryFault
from binder.lifecycle import BuildState
from binder.store.queries import ACTIVE_BUILDS, advance_build, fail_build
from binder.store.tables import Build, Delivery, Report, utc_now
from githubapp.comments import MARKER
from githubapp.previews import DeliveryWorker
from githubapp.reporter import Reporter
from githubapp.sandbox.server import running_sandbox
from githubapp.sandbox.values import PullRequest
from tests.githubapp.gate import Gate, Held
from tests.githubapp.github_description import Recorder
from tests.githubapp.workshop import Workshop, running_workshop

_NEXT = {
    BuildState.QUEUED: BuildState.FETCHING,
    BuildState.FETCHING: BuildState.BUILDING,
    BuildState.BUILDING: BuildState.PUSHING,
    BuildState.PUSHING: BuildState.CHECKING,
    BuildState.CHECKING: BuildState.SUCCEEDED,
}
_API = "/api/v3/"
_SHOWN = "/(statuses|comments|check-runs|deployments)"
_ROUNDS = 8
_WRITES_OF_A_BUILD = 3
# Said of a fork's commit besides: that it waits, and, where it is left behind, that it did.
_WRITES_OF_WAITING = 2


@dataclass
class Story:
    """One example: what was pushed, and the processes that are at work now."""

    workshop: Workshop
    shas: list[str] = field(default_factory=list)
    approved: set[str] = field(default_factory=set)
    numbers: int = 0

    # What people do.

    async def push_main(self) -> None:
        await self._push("main")

    async def push_work(self) -> None:
        await self._push("work")

    async def force_work(self) -> None:
        await self.workshop.checkout.git("checkout", "--quiet", "main")
        await self._push("work", force=True)

    async def _push(self, branch: str, *, force: bool = False) -> None:
        await self._commit(branch, anew=force)
        await self.workshop.push_ref(f"+HEAD:refs/heads/{branch}")

    async def _commit(self, branch: str, *, anew: bool = False) -> None:
        """Commit on a branch: on its own last commit, unless it begins anew."""
        self.numbers += 1
        start = (branch,) if not anew and await self._has(branch) else ()
        await self.workshop.checkout.git("checkout", "--quiet", "-B", branch, *start)
        self.shas.append(await self.workshop.checkout.commit(f"Change {self.numbers}", note=f"{self.numbers}"))

    async def _has(self, branch: str) -> bool:
        found = await self.workshop.checkout.git("branch", "--list", branch)
        return bool(found.strip())

    async def delete_work(self) -> None:
        if "work" in await self._branches():
            await self.workshop.push_ref(":refs/heads/work")

    async def propose_work(self) -> None:
        if "work" in await self._branches() and not self._open("work"):
            await self.workshop.open_pull_request("work")

    async def push_to_fork(self) -> None:
        world = self.workshop.sandbox.world
        if world.state.repository("bob", "demo") is None:
            await self.workshop.sandbox.fork("ada/demo", owner="bob")
        await self._commit("theirs")
        url = self.workshop.sandbox.clone_url("bob/demo", login="bob")
        await self.workshop.checkout.push(url, "+HEAD:refs/heads/theirs")
        await self.workshop.sandbox.settled()
        if not self._open("theirs"):
            await self.workshop.open_pull_request("bob:theirs", author="bob")

    async def allow_head(self) -> None:
        for pull in self._open("theirs"):
            await self._comment(pull.number, f"/ok-to-test {pull.head_sha[:9]}")
            self.approved.add(pull.head_sha)

    async def allow_another(self) -> None:
        for pull in self._open("theirs"):
            await self._comment(pull.number, "/ok-to-test 0123456789")

    async def close_pulls(self) -> None:
        for pull in self._open("work") + self._open("theirs"):
            await self.workshop.sandbox.close_pull_request("ada/demo", pull.number)

    async def reopen_pulls(self) -> None:
        branches = await self._branches()
        for pull in self._pulls():
            is_open = pull.state == "open" or self._open(pull.head_ref)
            if not is_open and pull.head_ref in {*branches, "theirs"}:
                await self.workshop.sandbox.reopen_pull_request("ada/demo", pull.number)

    async def _comment(self, number: int, body: str) -> None:
        await self.workshop.sandbox.comment("ada/demo", number, author="ada", body=body)
        await self.workshop.sandbox.settled()

    # What the service does.

    async def act_once(self) -> None:
        await self.workshop.worker.step()

    async def act(self) -> None:
        await self.workshop.act()

    async def report_once(self) -> None:
        await self.workshop.reporter.step()

    async def report(self) -> None:
        await self.workshop.report()

    async def build_on(self) -> None:
        await self._build_on(lambda row: advance_build(row, _NEXT[row.state], utc_now()))

    async def build_badly(self) -> None:
        fault = RepositoryFault("There is no such package.", file="requirements.txt", line=1)
        await self._build_on(lambda row: fail_build(row, fault, utc_now()))

    async def _build_on(self, move: Callable[[Build], None]) -> bool:
        active = [row for row in await self.workshop.rows(Build) if row.state in ACTIVE_BUILDS]
        if active:
            async with self.workshop.store.write() as session:
                move(await session.get_one(Build, active[0].id))
        return bool(active)

    async def crash_acting(self) -> None:
        await self._crash(self.workshop.worker.step(), self.workshop.gate.hold("GET", _API))

    async def crash_reporting(self) -> None:
        await self._crash(self.workshop.reporter.step(), self.workshop.gate.hold("POST", _SHOWN))

    async def _crash(self, step: Coroutine[Any, Any, bool], held: Held) -> None:
        """A loop dies while GitHub answers, the effect there and what it holds still held, and others begin."""
        dying, reached = asyncio.create_task(step), asyncio.create_task(held.reached.wait())
        await asyncio.wait({dying, reached}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        for task in (dying, reached):
            task.cancel()
        await asyncio.gather(dying, reached, return_exceptions=True)
        self.workshop.gate.held.clear()
        held.released.set()
        workshop = self.workshop
        workshop.worker = DeliveryWorker(workshop.store, workshop.client, workshop.settings)
        workshop.reporter = Reporter(workshop.store, workshop.client, workshop.settings)

    # The end.

    async def settle(self) -> None:
        """Have the faults end, what was lost be delivered again, and everything run until nothing is left to do."""
        sandbox = self.workshop.sandbox
        await sandbox.clear_faults()
        await sandbox.settled()
        for delivery in await sandbox.deliveries():
            if not 200 <= delivery.status_code < 300:
                await sandbox.redeliver(delivery.id)
        await sandbox.settled()
        for _ in range(_ROUNDS):
            await self._free_all()
            await self.workshop.act()
            await self.workshop.compare()
            while await self._build_on(lambda row: advance_build(row, _NEXT[row.state], utc_now())):
                await self.workshop.report()
            await self.workshop.report()

    async def _free_all(self) -> None:
        """Let the time pass that leases and pauses last."""
        await self.workshop.skip_pauses()
        async with self.workshop.store.write() as session:
            await session.execute(update(Report).values(lease_owner=None, lease_until=None, not_before=None))

    async def check(self) -> None:
        """See that GitHub shows what is true."""
        branches, pulls = await self._branches(), self._pulls()
        heads = {*branches.values(), *(pull.head_sha for pull in pulls if pull.state == "open")}
        from_fork = {pull.head_sha for pull in pulls if pull.head_ref == "theirs"}
        waiting = {sha for sha in heads & from_fork - self.approved if sha not in branches.values()}
        assert [row for row in await self.workshop.rows(Build) if row.state in ACTIVE_BUILDS] == []
        assert [row.guid for row in await self.workshop.rows(Delivery) if row.state == "stored"] == []
        for sha in self.shas:
            shown = [one.state for one in await self.workshop.statuses(sha)]
            if sha in heads - waiting:
                assert shown, f"{sha} is a head and shows nothing"
            if shown and sha not in waiting:
                assert shown[-1] in {"success", "failure", "error"}, (sha, shown)
            builds = len(await self.workshop.builds(sha))
            assert len(shown) <= _WRITES_OF_A_BUILD * builds + _WRITES_OF_WAITING * (sha in from_fork), (sha, shown)
            runs = await self.workshop.sandbox.check_runs("ada/demo", sha=sha)
            assert {run.status for run in runs} <= {"completed"}, (sha, runs)
            assert len({run.external_id for run in runs}) == len(runs)
            assert len(await self.workshop.sandbox.deployments("ada/demo", sha=sha)) <= 1
        for pull in pulls:
            ours = [one for one in self.workshop.comments(pull.number) if one.body.startswith(MARKER)]
            assert len(ours) <= 1, f"pull request {pull.number} has {len(ours)} comments"

    async def _branches(self) -> dict[str, str]:
        world = self.workshop.sandbox.world
        refs = await world.git.refs(world.repository("ada/demo").id, "refs/heads/")
        return {ref.removeprefix("refs/heads/"): sha for ref, sha in refs.items()}

    def _pulls(self) -> list[PullRequest]:
        world = self.workshop.sandbox.world
        number = world.repository("ada/demo").id
        return [pull for (repository, _), pull in sorted(world.state.pulls.items()) if repository == number]

    def _open(self, ref: str) -> list[PullRequest]:
        return [pull for pull in self._pulls() if pull.state == "open" and pull.head_ref == ref]


_FAULTS = (
    *({"kind": kind} for kind in ("lost", "failed", "twice", "swapped", "without_installation")),
    {"kind": "late", "seconds": 0.05},
    {"kind": "status", "status": 500, "path": _API},
    {"kind": "fail_after_effect", "method": "POST", "path": _SHOWN},
    {"kind": "secondary_rate_limited", "status": 403, "retry_after_seconds": 1, "path": _API},
    {"kind": "secondary_rate_limited", "status": 429, "path": _API},
)
_PEOPLE = (
    *("push_main", "push_work", "force_work", "delete_work", "propose_work", "push_to_fork", "allow_head"),
    *("allow_another", "close_pulls", "reopen_pulls"),
)
_SERVICE = (
    "act_once",
    "act",
    "report_once",
    "report",
    "build_on",
    "build_on",
    "build_badly",
    "crash_acting",
    "crash_reporting",
)
_ACTIONS = st.sampled_from([*_PEOPLE, *_SERVICE, *range(len(_FAULTS))])


async def _tell(actions: list[str | int], home: Path) -> None:
    (home / "sandbox").mkdir()
    recorder, gate = Recorder(), Gate()
    async with (
        running_sandbox(home / "sandbox", wrap=lambda app: gate.wrap(recorder.wrap(app))) as sandbox,
        running_workshop(sandbox, gate, home) as workshop,
    ):
        story = Story(workshop)
        await story.push_main()
        for action in actions:
            if isinstance(action, int):
                await sandbox.add_fault(**_FAULTS[action])  # type: ignore[arg-type]
            else:
                step: Callable[[], Awaitable[None]] = getattr(story, action)
                await step()
        await story.settle()
        await story.check()
    recorder.validate()


# A story takes seconds: one that fails is told as it is, and not tried again in shorter forms.
@settings(max_examples=8, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.lists(_ACTIONS, min_size=8, max_size=24))
def test_in_the_end_github_shows_what_is_true(actions: list[str | int]) -> None:
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="binder-model-")))
        asyncio.run(_tell(actions, home))
