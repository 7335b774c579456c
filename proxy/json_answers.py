"""How programs are asked and answered: JSON both ways, bounded, and faults by the one table (`proxy.answers`)."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from binder.errors import BinderError, RepositoryFault, VisitorFault
from binder.log import logger
from proxy.answers import retry_headers, status_of

log = logger(__name__)

HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""What is on every answer."""
_LONGEST_BODY = 2**16

Handler = Callable[[Request], Awaitable[Response]]


def answering(handler: Handler) -> Handler:
    """Return a handler that tells faults in JSON, by the same table as pages do."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except BinderError as error:
            said = fault(error.party, error.message)
            if isinstance(error, RepositoryFault):
                said |= {"file": error.file, "line": error.line, "step": error.step}
            return JSONResponse(said, status_of(error), HEADERS | retry_headers(error))
        except Exception:
            # Whatever it is, a program is told so in the words that it reads.
            log.exception("program_not_answered", path=request.url.path)
            said = fault("operator", "Something went wrong in the service that should not have. It was logged.")
            return JSONResponse(said, 500, HEADERS)

    return answer


def fault(party: str, message: str) -> dict[str, Any]:
    """Return what is told of a fault."""
    return {"party": party, "message": message}


def answered(value: Mapping[str, Any], status: int = 200) -> Response:
    """Return an answer."""
    return JSONResponse(dict(value), status, HEADERS)


async def asked_in(request: Request, known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a request asks for: an object of these keys, each of its kind.

    Raises: VisitorFault.
    """
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > _LONGEST_BODY:
            raise VisitorFault("That is more than is ever asked for here.")
    try:
        body = json.loads(data or b"{}")
    except (ValueError, RecursionError) as error:
        raise VisitorFault("What is asked for must be JSON.") from error
    if not isinstance(body, dict):
        raise VisitorFault("What is asked for must be an object of JSON.")
    for name, value in body.items():
        if name not in known or (value is not None and not isinstance(value, known[name])):
            raise VisitorFault(f"{name[:60]!r} is not asked for here so: there are {', '.join(known)}.")
    return body
