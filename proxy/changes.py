"""The download of what a visitor changed in a session: one at a time for each, streamed as the session gives it."""

from contextlib import AsyncExitStack

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from binder.errors import VisitorFault
from binder.store.tables import Session
from deploy.changed_files import Bounds, find_changed, zip_of
from deploy.jupyter import Client
from deploy.probe import server_of
from proxy.faults import TooManyError

_BOUNDS = Bounds()
_AGAIN_SECONDS = 30


class Changes:
    """Gives what changed in sessions."""

    def __init__(self) -> None:
        self._under_way: set[str] = set()

    async def answer(self, session: Session, target: str) -> Response:
        """Answer with a zip of the files that were saved since the session was ready.

        Raises: TooManyError, where that is under way already; VisitorFault, where there are none; WorldFault and
        RepositoryFault, where the session's server does not say.
        """
        if session.id in self._under_way:
            raise TooManyError("A download of what you changed is under way already.", _AGAIN_SECONDS)
        async with AsyncExitStack() as stack:
            self._under_way.add(session.id)
            stack.callback(self._under_way.discard, session.id)
            client = await stack.enter_async_context(Client(server_of(session.id, target, session.token)))
            found = await find_changed(client, session.ready_at or session.created_at, _BOUNDS)
            if not (found.files or found.left_out):
                raise VisitorFault("Nothing was saved since this session started. Save your notebooks first.")
            pieces = zip_of(client, found, _BOUNDS)
            stack.push_async_callback(pieces.aclose)
            headers = {
                "Cache-Control": "no-store",
                "Content-Disposition": f'attachment; filename="changes-{session.id}.zip"',
            }
            return _Owned(StreamingResponse(pieces, 200, headers, "application/zip"), stack.pop_all())


class _Owned(Response):
    """An answer that closes what it was made of, however it ends."""

    def __init__(self, inner: Response, stack: AsyncExitStack) -> None:
        super().__init__()
        self._inner = inner
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        async with self._stack:
            await self._inner(scope, receive, send)
