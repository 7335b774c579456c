"""What people do at GitHub in the stories of `test_model`, and what must be so there because of it.

Remembers what nobody can see in the end: which heads each ref had, which commits came from a fork, which were allowed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from githubapp.sandbox.values import CheckRun, PullRequest
from tests.githubapp.workshop import Workshop


@dataclass
class People:
    """Ada, who owns `ada/demo`, and Bob, who may only read it, and his fork.

    `heads` are those that each ref had, oldest first, None where it had ended. `own` are the commits that were pushed
    to `ada/demo` itself, `theirs` those that Bob pushed to his fork. `allowed` are the commits that somebody with write
    access allowed by name, at whatever time; `granted` those heads of open pull requests of which that must have been
    heard. `hidden` says why the App may not see the repository now, or not act on it.
    """

    workshop: Workshop
    heads: dict[str, list[str | None]] = field(default_factory=dict)
    own: list[str] = field(default_factory=list)
    theirs: list[str] = field(default_factory=list)
    allowed: set[str] = field(default_factory=set)
    granted: dict[int, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    was_hidden: bool = False
    numbers: int = 0

    @property
    def shas(self) -> Sequence[str]:
        """All commits that were ever pushed."""
        return list(dict.fromkeys((*self.own, *self.theirs)))

    async def do(self, deed: str) -> None:
        """Do something, have it told to the App, and remember which heads there are then."""
        await getattr(self, deed)()
        await self.workshop.sandbox.settled()
        await self._remember()

    # Ada's own branches.

    async def push_main(self) -> None:
        await self._push("main")

    async def push_work(self) -> None:
        await self._push("work")

    async def force_work(self) -> None:
        await self.workshop.checkout.git("checkout", "--quiet", "main")
        await self._push("work", anew=True)

    async def back_work(self) -> None:
        """Push the branch back to a commit that it was at before."""
        if earlier := [sha for sha in self.heads.get("work", ())[:-1] if sha]:
            await self._put("work", earlier[-1])

    async def adopt_theirs(self) -> None:
        """Put Bob's commit on a branch of Ada's: now it is hers, too."""
        if self.theirs:
            await self._put("work", self.theirs[-1])

    async def delete_work(self) -> None:
        if "work" in await self.branches():
            await self.workshop.push_ref(":refs/heads/work")

    async def _push(self, branch: str, *, anew: bool = False) -> None:
        await self._commit(branch, anew=anew)
        await self._put(branch, "HEAD")

    async def _put(self, branch: str, commit: str) -> None:
        await self.workshop.checkout.git("checkout", "--quiet", "-B", branch, commit)
        await self.workshop.push_ref(f"+HEAD:refs/heads/{branch}")
        self.own.append(await self.workshop.checkout.git("rev-parse", "HEAD"))

    async def _commit(self, branch: str, *, anew: bool = False) -> str:
        """Commit on a branch: on its own last commit, unless it begins anew."""
        self.numbers += 1
        git = self.workshop.checkout.git
        start = (branch,) if not anew and await git("branch", "--list", branch) else ()
        await git("checkout", "--quiet", "-B", branch, *start)
        return await self.workshop.checkout.commit(f"Change {self.numbers}", note=f"{self.numbers}")

    # Pull requests.

    async def propose_work(self) -> None:
        if "work" in await self.branches() and not self.open_pulls("work"):
            await self.workshop.open_pull_request("work")

    async def close_pulls(self) -> None:
        for pull in self.open_pulls("work", "theirs"):
            await self.workshop.sandbox.close_pull_request("ada/demo", pull.number)

    async def reopen_pulls(self) -> None:
        branches = {*await self.branches(), "theirs"}
        for pull in self.pulls():
            if pull.head_ref in branches and not self.open_pulls(pull.head_ref):
                await self.workshop.sandbox.reopen_pull_request("ada/demo", pull.number)

    async def ask_build(self) -> None:
        await self._say_at("work", "/binder build")

    async def ask_cancel(self) -> None:
        await self._say_at("work", "/binder cancel")

    async def press_rerun(self) -> None:
        for pull in self.open_pulls("work"):
            await self._press(pull, "rerun", "ada")

    # Bob's fork, and who allows what.

    async def push_theirs(self) -> None:
        if not self.hidden:
            if self.workshop.sandbox.world.state.repository("bob", "demo") is None:
                await self.workshop.sandbox.fork("ada/demo", owner="bob")
            self.theirs.append(await self._commit("theirs"))
            await self._send_theirs()

    async def back_theirs(self) -> None:
        """Have Bob push back to a commit that his branch was at before."""
        if not self.hidden and (earlier := [sha for sha in self.theirs if sha != self.theirs[-1]]):
            await self.workshop.checkout.git("checkout", "--quiet", "-B", "theirs", earlier[-1])
            self.theirs.append(earlier[-1])
            await self._send_theirs()

    async def _send_theirs(self) -> None:
        url = self.workshop.sandbox.clone_url("bob/demo", login="bob")
        await self.workshop.checkout.push(url, "+HEAD:refs/heads/theirs")
        await self.workshop.sandbox.settled()
        if not self.open_pulls("theirs"):
            await self.workshop.open_pull_request("bob:theirs", author="bob")

    async def allow_head(self) -> None:
        for pull in self.open_pulls("theirs"):
            self._allow(pull)
            await self._say(pull, f"/ok-to-test {pull.head_sha[:9]}")

    async def press_approve(self) -> None:
        for pull in self.open_pulls("theirs"):
            if await self._press(pull, "approve", "ada"):
                self._allow(pull)

    def _allow(self, pull: PullRequest) -> None:
        self.allowed.add(pull.head_sha)
        if not self.hidden:
            self.granted[pull.number] = pull.head_sha

    async def allow_older(self) -> None:
        """Have Ada allow a commit of Bob's that his branch was at before, and is not any more."""
        for pull in self.open_pulls("theirs"):
            if earlier := [sha for sha in self.theirs if sha != pull.head_sha]:
                self.allowed.add(earlier[-1])
                await self._say(pull, f"/ok-to-test {earlier[-1]}")

    async def allow_nothing(self) -> None:
        for pull in self.open_pulls("theirs"):
            await self._say(pull, "/ok-to-test 0123456789")
            await self._say(pull, "/binder build")

    async def allow_own(self) -> None:
        """Have Bob allow his own commit, in both ways."""
        for pull in self.open_pulls("theirs"):
            await self._say(pull, f"/ok-to-test {pull.head_sha}", author="bob")
            await self._press(pull, "approve", "bob")

    # What the owner does with the App, and with the repository.

    async def hide(self) -> None:
        if "private" not in self.hidden:
            self._lose_sight("private")
            await self.workshop.sandbox.set_private("ada/demo", private=True)

    async def suspend(self) -> None:
        if "suspended" not in self.hidden:
            self._lose_sight("suspended")
            await self.workshop.sandbox.set_suspended(self.workshop.app.app_id, account="ada", suspended=True)

    async def uninstall(self) -> None:
        if not self.hidden:
            self._lose_sight("removed")
            await self.workshop.sandbox.uninstall(self.workshop.app.app_id, account="ada", repositories=["ada/demo"])

    async def show_all(self) -> None:
        """Have the App see everything again."""
        sandbox, app_id = self.workshop.sandbox, self.workshop.app.app_id
        hidden, self.hidden = self.hidden, set()
        if "suspended" in hidden:
            await sandbox.set_suspended(app_id, account="ada", suspended=False)
        if "private" in hidden:
            await sandbox.set_private("ada/demo", private=False)
        if "removed" in hidden:
            await sandbox.install(app_id, account="ada", repositories=["ada/demo"])

    def _lose_sight(self, how: str) -> None:
        self.hidden.add(how)
        self.was_hidden = True
        self.granted.clear()

    async def _say_at(self, ref: str, body: str) -> None:
        for pull in self.open_pulls(ref):
            await self._say(pull, body)

    async def _say(self, pull: PullRequest, body: str, author: str = "ada") -> None:
        await self.workshop.sandbox.comment("ada/demo", pull.number, author=author, body=body)
        await self.workshop.sandbox.settled()

    async def _press(self, pull: PullRequest, button: str, login: str) -> bool:
        """Press a button of a pull request's head, and return whether it has one."""
        runs = await self.workshop.sandbox.check_runs("ada/demo", sha=pull.head_sha)
        newest = max(runs, key=lambda run: run.id, default=None)
        if newest is None or not _has(newest, button):
            return False
        await self.workshop.sandbox.press_button("ada/demo", newest.id, button, login)
        await self.workshop.sandbox.settled()
        return True

    # What there is.

    async def branches(self) -> Mapping[str, str]:
        """Return the branches of `ada/demo` and their heads."""
        world = self.workshop.sandbox.world
        refs = await world.git.refs(world.repository("ada/demo").id, "refs/heads/")
        return {ref.removeprefix("refs/heads/"): sha for ref, sha in refs.items()}

    def pulls(self) -> Sequence[PullRequest]:
        """Return all pull requests."""
        world = self.workshop.sandbox.world
        number = world.repository("ada/demo").id
        return [pull for (repository, _), pull in sorted(world.state.pulls.items()) if repository == number]

    def open_pulls(self, *refs: str) -> Sequence[PullRequest]:
        """Return the open pull requests of these branches."""
        return [pull for pull in self.pulls() if pull.state == "open" and pull.head_ref in refs]

    async def _remember(self) -> None:
        now: dict[str, str | None] = dict(await self.branches())
        now |= {str(pull.number): pull.head_sha if pull.state == "open" else None for pull in self.pulls()}
        for ref in {*self.heads, *now}:
            known = self.heads.setdefault(ref, [])
            if not known or known[-1] != now.get(ref):
                known.append(now.get(ref))
        for number, sha in list(self.granted.items()):
            if now[str(number)] != sha:
                del self.granted[number]


def _has(run: CheckRun, button: str) -> bool:
    return run.status == "completed" and button in {action.identifier for action in run.actions}
