"""What we tell GitHub, each a line or two of PyGithub; what we ask it is `lookups`.

Chooses nothing: what to say is left to `reporter`.
"""

from itertools import islice
from typing import Any

from github.CheckRun import CheckRun
from github.DeploymentStatus import DeploymentStatus
from github.GithubObject import NotSet
from github.NamedUser import NamedUser
from github.Organization import Organization
from github.Repository import Repository as RemoteRepository

from binder.settings import Settings
from binder.store.tables import Repository
from githubapp.app_calls import AppCalls
from githubapp.lookups import Lookups
from githubapp.sign_in import SignIn
from githubapp.values import Check, Deployment, Place, ShownCheck, Status

_COMMENTS_LOOKED_AT = 1000
_CHECKS_LOOKED_AT = 300
_DEPLOYMENTS_LOOKED_AT = 100


class GitHubClient(Lookups):
    """GitHub, as the App and as its installations. Every method may raise what `Connection.call` raises."""

    def __init__(self, sign_in: SignIn) -> None:
        super().__init__(sign_in)
        self.lowest_allowance = lambda: sign_in.lowest_allowance
        self.about_app = AppCalls(sign_in.app)
        self._bot: str | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> "GitHubClient":
        """Return the client of the App that the settings name.

        Raises: OperatorFault.
        """
        return cls(SignIn.from_settings(settings))

    async def latest_status(self, place: Place, sha: str, context: str) -> Status | None:
        """Return the status that a commit shows in a context, or None where it shows none."""

        def ask(repository: RemoteRepository) -> Status | None:
            for one in repository.get_commit(sha).get_combined_status().statuses:
                if one.context == context:
                    return Status(one.state, one.description or "", one.target_url, context)  # type: ignore[arg-type]
            return None

        return await self._at(place, ask)

    async def post_status(self, place: Place, sha: str, status: Status) -> None:
        """Show a status at a commit."""
        target = NotSet if status.target_url is None else status.target_url
        fields: dict[str, Any] = {"target_url": target, "description": status.description, "context": status.context}
        await self._at(place, lambda repository: repository.get_commit(sha).create_status(status.state, **fields))

    async def find_comment(self, place: Place, number: int, marker: str) -> int | None:
        """Return our own comment that begins with `marker`, or None where there is none among the first thousand."""
        bot = await self._bot_login()

        def ask(repository: RemoteRepository) -> int | None:
            for comment in islice(repository.get_issue(number).get_comments(), _COMMENTS_LOOKED_AT):
                if (comment.body or "").startswith(marker) and _login_of(comment.user) == bot:
                    return comment.id
            return None

        return await self._at(place, ask)

    async def create_comment(self, place: Place, number: int, body: str) -> int:
        """Comment on a pull request and return the comment's number. Not to be repeated without a look."""
        return await self._at(place, lambda repository: repository.get_issue(number).create_comment(body).id)

    async def edit_comment(self, place: Place, number: int, comment_id: int, body: str) -> None:
        """Put another text into a comment of ours."""
        await self._at(place, lambda repository: repository.get_issue(number).get_comment(comment_id).edit(body))

    async def find_check(self, place: Place, sha: str, name: str, external_id: str | None) -> ShownCheck | None:
        """Return the newest check run of ours with that name, and that `external_id` if one is given, or None."""
        bot = await self._bot_login()

        def ask(repository: RemoteRepository) -> ShownCheck | None:
            runs = repository.get_commit(sha).get_check_runs(check_name=name, filter="all")
            ours = [run for run in islice(runs, _CHECKS_LOOKED_AT) if f"{run.app.slug}[bot]" == bot]
            found = (run for run in ours if external_id in {None, run.external_id})
            return max(map(_shown_check, found), key=lambda shown: shown.number, default=None)

        return await self._at(place, ask)

    async def check(self, place: Place, number: int) -> ShownCheck:
        """Return a check run."""
        return await self._at(place, lambda repository: _shown_check(repository.get_check_run(number)))

    async def create_check(self, place: Place, sha: str, name: str, check: Check) -> int:
        """Make a check run and return its number. Not to be repeated without a look."""
        fields = _fields_of_check(check)
        return await self._at(place, lambda repository: repository.create_check_run(name, sha, **fields).id)

    async def edit_check(self, place: Place, number: int, check: Check) -> None:
        """Change a check run of ours. Annotations are added to those that it has."""
        fields = _fields_of_check(check)
        await self._at(place, lambda repository: repository.get_check_run(number).edit(**fields))

    async def find_deployment(self, place: Place, sha: str, environment: str) -> int | None:
        """Return the newest deployment of ours of a commit, or None."""
        bot = await self._bot_login()

        def ask(repository: RemoteRepository) -> int | None:
            made = islice(repository.get_deployments(sha=sha, environment=environment), _DEPLOYMENTS_LOOKED_AT)
            return max((one.id for one in made if _login_of(one.creator) == bot), default=None)

        return await self._at(place, ask)

    async def create_deployment(self, place: Place, sha: str, environment: str) -> int:
        """Make a deployment of a commit and return its number. Not to be repeated without a look."""
        fields: dict[str, Any] = {"environment": environment, "auto_merge": False, "required_contexts": []}
        fields |= {"transient_environment": True, "production_environment": False}
        return await self._at(place, lambda repository: repository.create_deployment(sha, **fields).id)

    async def latest_deployment(self, place: Place, number: int) -> Deployment | None:
        """Return what a deployment says, or None where it says nothing yet."""

        def ask(repository: RemoteRepository) -> Deployment | None:
            said = islice(repository.get_deployment(number).get_statuses(), _DEPLOYMENTS_LOOKED_AT)
            return max(((one.id, _deployment(one)) for one in said), default=(0, None))[1]

        return await self._at(place, ask)

    async def post_deployment(self, place: Place, number: int, deployment: Deployment) -> None:
        """Have a deployment say something else; other deployments stay as they are."""
        fields: dict[str, Any] = {"description": deployment.description, "auto_inactive": False}
        fields |= {"environment_url": deployment.environment_url} if deployment.environment_url else {}
        # GitHub shows it as `log_url` too.
        fields |= {"target_url": deployment.log_url} if deployment.log_url else {}
        state = deployment.state
        await self._at(place, lambda repository: repository.get_deployment(number).create_status(state, **fields))

    async def clone_credentials(self, repository: Repository) -> str | None:
        """Return a token that can read the contents of this one repository, or None where the App is not on it."""
        if repository.installation_id is None or repository.external_id is None:
            return None
        asked = {"repository_ids": [repository.external_id], "permissions": {"contents": "read"}}
        return (await self._sign_in.mint(repository.installation_id, asked)).token

    async def _bot_login(self) -> str:
        if self._bot is None:
            self._bot = f"{(await self._as_app('GET', '/app'))['slug']}[bot]"
        return self._bot


def _login_of(user: NamedUser | Organization | None) -> str | None:
    return None if user is None else user.login


def _shown_check(run: CheckRun) -> ShownCheck:
    return ShownCheck(run.id, run.status, run.conclusion, run.output.title, run.output.summary)


def _deployment(said: DeploymentStatus) -> Deployment:
    return Deployment(said.state, said.description, said.environment_url or None, said.log_url or None)  # type: ignore[arg-type]


def _fields_of_check(check: Check) -> dict[str, Any]:
    """Return what GitHub calls the parts of a check run. Where there is nothing to open, its own page is."""
    annotations = {"annotations": [dict(one) for one in check.annotations]} if check.annotations else {}
    fields = {
        "status": check.status,
        "output": {"title": check.title, "summary": check.summary, **annotations},
        "actions": [dict(one) for one in check.actions],
        "conclusion": check.conclusion,
        "details_url": check.details_url,
        "external_id": check.external_id,
    }
    return {name: value for name, value in fields.items() if value is not None}
