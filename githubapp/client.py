"""What we tell GitHub, each a line or two of PyGithub; what we ask it is `lookups`.

Chooses nothing: what to say is left to `reporter`.
"""

from itertools import islice
from typing import Any

from github.GithubObject import NotSet
from github.NamedUser import NamedUser
from github.Organization import Organization
from github.Repository import Repository as RemoteRepository

from binder.settings import Settings
from binder.store.tables import Repository
from githubapp.app_calls import AppCalls
from githubapp.lookups import Lookups
from githubapp.sign_in import SignIn
from githubapp.values import Place, Status

_COMMENTS_LOOKED_AT = 1000


class GitHubClient(Lookups):
    """GitHub, as the App and as its installations. Every method may raise what `Connection.call` raises."""

    def __init__(self, sign_in: SignIn) -> None:
        super().__init__(sign_in)
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
