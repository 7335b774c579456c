"""How a call is made: as the App, as one of its installations, or about one repository.

Which calls there are is left to `lookups` and `client`; tokens are `sign_in`'s, time limits and errors `connection`'s.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from github import Github
from github.Repository import Repository as RemoteRepository

from githubapp.faults import GitHubRefusalError, GitHubSignInError
from githubapp.sign_in import SignIn
from githubapp.values import Place

Answer = TypeVar("Answer")

GONE = frozenset({404, 410, 451})


class Calls:
    """GitHub, as the App and as its installations. Every method may raise what `Connection.call` raises."""

    def __init__(self, sign_in: SignIn) -> None:
        self._sign_in = sign_in

    def close(self) -> None:
        """Let go of all connections."""
        self._sign_in.close()

    async def _as_app(self, verb: str, path: str) -> Mapping[str, Any]:
        answer: tuple[Any, Mapping[str, Any]] = await self._sign_in.app.call(
            lambda github: github.requester.requestJsonAndCheck(verb, path)
        )
        return answer[1]

    async def _at(self, place: Place, ask: Callable[[RemoteRepository], Answer]) -> Answer:
        """Ask about a repository by its number: its name may lead elsewhere, and PyGithub takes a 307 for a success."""
        number = place.repository_id
        return await self._as_installation(place.installation_id, lambda github: ask(github.get_repo(number)))

    async def _as_installation(self, installation_id: int, ask: Callable[[Github], Answer]) -> Answer:
        connection = await self._sign_in.installation(installation_id)
        try:
            return await connection.call(ask)
        except GitHubSignInError:
            # The token ended before its time, as all do when an owner suspends the App and lets it back.
            self._sign_in.forget(installation_id, connection)
        return await (await self._sign_in.installation(installation_id)).call(ask)


async def unless_gone(asked: Awaitable[Answer], gone: frozenset[int] = GONE) -> Answer | None:
    """Return the answer, or None where GitHub says that there is no such thing."""
    try:
        return await asked
    except GitHubRefusalError as error:
        if error.status in gone:
            return None
        raise
