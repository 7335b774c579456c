"""What all parts of the control surface have in common: the world that they work on, and what their arguments name.

The parts themselves are `sandbox` and the `surface_…` modules.
"""

from githubapp.sandbox.access import Refusal
from githubapp.sandbox.values import App, Comment, Installation, PullRequest, Repository
from githubapp.sandbox.world import World

LONGEST_WAIT_SECONDS = 300.0


class Surface:
    """A part of the control surface; every lookup raises `Refusal` 404 for what is not there."""

    world: World

    def _app(self, app_id: int) -> App:
        app = self.world.state.apps.get(app_id)
        if app is None:
            raise Refusal(404, f"There is no App {app_id}")
        return app

    def _installation(self, app_id: int, account: str) -> Installation:
        installed = self.world.state.installation(self._app(app_id).id, account)
        if installed is None:
            raise Refusal(404, f"App {app_id} is not installed on {account}")
        return installed

    def _person(self, login: str) -> str:
        return self.world.account(login).login

    def _sender(self, login: str | None, repository: Repository) -> str:
        return self._person(login or repository.owner)

    def _pull(self, full_name: str, number: int) -> PullRequest:
        return self.world.pull(self.world.repository(full_name), number)

    def _comment(self, comment_id: int) -> Comment:
        comment = self.world.state.comments.get(comment_id)
        if comment is None:
            raise Refusal(404, f"There is no comment {comment_id}")
        return comment


def limited(timeout_seconds: float) -> float:
    """The time that is really waited: nobody waits for ever."""
    return min(max(timeout_seconds, 0.0), LONGEST_WAIT_SECONDS)
