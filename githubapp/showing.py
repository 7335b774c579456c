"""Shows one report at GitHub, whatever became of the attempt before: none is shown twice.

Owns how each kind of report is looked for before it is created. When an attempt is made is left to `sending`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from githubapp.checks import NAME
from githubapp.comments import MARKER
from githubapp.deployments import ENVIRONMENT
from githubapp.values import Check, Deployment, Place, ShownCheck, Status


class Statuses(Protocol):
    """Where statuses are shown."""

    async def latest_status(self, place: Place, sha: str, context: str) -> Status | None:
        """Return the status that a commit shows in a context, or None."""

    async def post_status(self, place: Place, sha: str, status: Status) -> None:
        """Show a status at a commit."""


class Checks(Protocol):
    """Where check runs are shown."""

    async def find_check(self, place: Place, sha: str, name: str, external_id: str | None) -> ShownCheck | None:
        """Return the newest check run of ours with that name, and that `external_id` if one is given, or None."""

    async def check(self, place: Place, number: int) -> ShownCheck:
        """Return a check run."""

    async def create_check(self, place: Place, sha: str, name: str, check: Check) -> int:
        """Make a check run and return its number."""

    async def edit_check(self, place: Place, number: int, check: Check) -> None:
        """Change a check run of ours. Annotations are added to those that it has."""


class Deployments(Protocol):
    """Where deployments are shown."""

    async def find_deployment(self, place: Place, sha: str, environment: str) -> int | None:
        """Return the number of our deployment of a commit, or None."""

    async def create_deployment(self, place: Place, sha: str, environment: str) -> int:
        """Make a deployment of a commit and return its number."""

    async def latest_deployment(self, place: Place, number: int) -> Deployment | None:
        """Return what a deployment says, or None where it says nothing yet."""

    async def post_deployment(self, place: Place, number: int, deployment: Deployment) -> None:
        """Have a deployment say something else."""


class Comments(Protocol):
    """Where comments are shown."""

    async def find_comment(self, place: Place, number: int, marker: str) -> int | None:
        """Return the number of our own comment that begins with `marker`, or None."""

    async def create_comment(self, place: Place, number: int, body: str) -> int:
        """Comment on a pull request and return the comment's number."""

    async def edit_comment(self, place: Place, number: int, comment_id: int, body: str) -> None:
        """Put another text into a comment of ours."""


class GitHub(Statuses, Checks, Deployments, Comments, Protocol):
    """What is told to GitHub here."""


@dataclass(frozen=True)
class Owed:
    """A report as it is sent: `sent` is what GitHub was told last, None where nothing.

    `is_repeated` where an attempt before may have had its effect.
    """

    report_id: int
    kind: str
    subject: str
    wanted: Mapping[str, Any]
    sent: Mapping[str, Any] | None
    place: Place
    remote_id: int | None
    is_repeated: bool


async def show(github: GitHub, owed: Owed) -> int | None:
    """Show a report and return the number that GitHub gave it, None where it has none.

    Raises: what GitHub's answers are turned into (`githubapp.faults`).
    """
    match owed.kind:
        case "status":
            await _show_status(github, owed)
            return None
        case "check":
            return await _show_check(github, owed)
        case "deployment":
            return await _show_deployment(github, owed)
        case _:
            return await _show_comment(github, owed)


async def _show_status(github: Statuses, owed: Owed) -> None:
    status = Status.from_wanted(owed.wanted)
    shown = None
    if owed.is_repeated:
        shown = await github.latest_status(owed.place, owed.subject, status.context)
    if shown != status:
        await github.post_status(owed.place, owed.subject, status)


async def _show_check(github: Checks, owed: Owed) -> int | None:
    """Show a check run; another attempt to build is another run, as GitHub would only add to an old one's notes."""
    check = Check.from_wanted(owed.wanted)
    is_same = owed.sent is not None and check.external_id in {None, owed.sent["external_id"]}
    number = owed.remote_id if is_same else None
    shown = None
    if number is None:
        shown = await github.find_check(owed.place, owed.subject, NAME, check.external_id)
    elif owed.is_repeated:
        shown = await github.check(owed.place, number)
    number = shown.number if shown else number
    if shown and shown.shows(check):
        return number
    if number is not None:
        await github.edit_check(owed.place, number, check)
    elif check.external_id is not None:
        number = await github.create_check(owed.place, owed.subject, NAME, check)
    return number


async def _show_deployment(github: Deployments, owed: Owed) -> int | None:
    """Show a deployment; none is made only to say that it has ended."""
    deployment, number, shown = Deployment.from_wanted(owed.wanted), owed.remote_id, None
    if number is None:
        number = await github.find_deployment(owed.place, owed.subject, ENVIRONMENT)
    if number is None:
        if deployment.state == "inactive":
            return None
        number = await github.create_deployment(owed.place, owed.subject, ENVIRONMENT)
    elif owed.is_repeated:
        shown = await github.latest_deployment(owed.place, number)
    if shown != deployment:
        await github.post_deployment(owed.place, number, deployment)
    return number


async def _show_comment(github: Comments, owed: Owed) -> int | None:
    """Show a comment and return its number, None where there is none to edit and none is to be written.

    One that a person deleted is not written again: GitHub then refuses the edit.
    """
    number, body, comment_id = int(owed.subject), owed.wanted["body"], owed.remote_id
    if comment_id is None:
        comment_id = await github.find_comment(owed.place, number, MARKER)
    if comment_id is not None:
        await github.edit_comment(owed.place, number, comment_id, body)
    elif owed.wanted["create"]:
        comment_id = await github.create_comment(owed.place, number, body)
    return comment_id
