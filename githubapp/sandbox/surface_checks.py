"""The part of the control surface that is about check runs: what people ask of them, and waiting for them."""

from collections.abc import Sequence

from githubapp.sandbox import checks
from githubapp.sandbox.access import Refusal
from githubapp.sandbox.surface import Surface, limited
from githubapp.sandbox.values import CheckRun, CheckStatus


class CheckSurface(Surface):
    """Check runs, as people meet them."""

    async def check_runs(self, full_name: str, *, sha: str) -> list[CheckRun]:
        """The newest check run of each name and App, newest first."""
        return self.world.state.latest_check_runs(self.world.repository(full_name), sha)

    async def wait_for_check(
        self,
        full_name: str,
        *,
        sha: str,
        name: str,
        statuses: Sequence[CheckStatus] = ("completed",),
        timeout_seconds: float = 30.0,
    ) -> CheckRun:
        """The newest check run of `sha` with that name, as soon as it is in one of `statuses`.

        Raises: TimeoutError.
        """
        repository = self.world.repository(full_name)

        def find() -> CheckRun | None:
            latest = self.world.state.latest_check_runs(repository, sha)
            return next((run for run in latest if run.name == name and run.status in statuses), None)

        return await self.world.state.until(find, limited(timeout_seconds))

    async def press_button(self, full_name: str, check_run_id: int, identifier: str, login: str) -> None:
        """Press one of the buttons of a completed check run."""
        checks.press_button(self.world, self._check_run(full_name, check_run_id), identifier, self._person(login))

    async def rerequest(self, full_name: str, check_run_id: int, login: str | None = None) -> None:
        """Ask for one check run once more, as somebody who may write: the owner if nobody is named."""
        repository = self.world.repository(full_name)
        checks.rerequest(self.world, self._check_run(full_name, check_run_id), self._sender(login, repository))

    async def rerequest_suite(self, full_name: str, sha: str, login: str | None = None) -> None:
        """Ask for all checks of a commit once more, of each App that made some."""
        repository = self.world.repository(full_name)
        for suite in self.world.state.check_suites_of(repository, sha):
            await checks.rerequest_suite(self.world, suite, self._sender(login, repository))

    def _check_run(self, full_name: str, check_run_id: int) -> CheckRun:
        run = self.world.state.check_runs.get(check_run_id)
        if run is None or run.repository_id != self.world.repository(full_name).id:
            raise Refusal(404, f"There is no check run {check_run_id} in {full_name}")
        return run
