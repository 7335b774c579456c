"""One connection to GitHub's REST API: PyGithub in a thread, with limits, and with errors of ours.

Owns how PyGithub is set up and used from coroutines; which calls are made is left to `client`.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from github import Auth, Github

from binder.store.tables import utc_now
from githubapp.faults import WRONG_ANSWERS, GitHubUnavailableError, fault_of

Answer = TypeVar("Answer")

_REQUEST_SECONDS = 10
_CALL_SECONDS = 30.0
_PAGE = 100


class Connection:
    """GitHub, as one of its users (None: as nobody), in one of `threads` at a time.

    PyGithub 2.10 keeps the request that it is about to send in the connection itself, and GitHub asks for requests one
    after the other.

    Source: https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#avoid-concurrent-requests
    """

    def __init__(self, api_url: str, auth: Auth.Auth | None, threads: Executor) -> None:
        # Its own retries would repeat a POST that had its effect, and its own throttle sleeps without a lock.
        self._github = Github(
            auth=auth,
            base_url=api_url,
            timeout=_REQUEST_SECONDS,
            per_page=_PAGE,
            user_agent="binder",
            retry=None,
            seconds_between_requests=None,
            seconds_between_writes=None,
            lazy=True,
        )
        self._threads = threads
        self._turn = asyncio.Lock()

    async def call(self, ask: Callable[[Github], Answer]) -> Answer:
        """Return what `ask`, which runs in a thread, gets from GitHub.

        Raises: GitHubUnavailableError, GitHubSignInError, GitHubRefusalError.
        """
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                await self._turn.acquire()
                work = asyncio.get_running_loop().run_in_executor(self._threads, ask, self._github)
                work.add_done_callback(self._end_turn)
                return await asyncio.shield(work)
        except TimeoutError as error:
            raise GitHubUnavailableError("GitHub did not answer in time.") from error
        except WRONG_ANSWERS as error:
            raise fault_of(error, utc_now()) from error

    @property
    def allowance(self) -> float:
        """The share of this hour's requests that is left, as far as answers told: nothing is asked."""
        left, limit = self._github.requester.rate_limiting
        return left / limit if limit > 0 else 1.0

    def _end_turn(self, work: asyncio.Future[Any]) -> None:
        """Let the next one in once the thread is free, which may be after nobody waits for its answer any more."""
        self._turn.release()
        if not work.cancelled():
            work.exception()

    def close(self) -> None:
        """Let go of the sockets."""
        self._github.close()
