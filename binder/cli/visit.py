"""A visitor without a browser: opens a link as one would, and runs a cell in the notebook server that it leads to."""

import asyncio
from dataclasses import dataclass
from time import monotonic
from urllib.parse import urlsplit

import httpx

from binder.errors import OperatorFault
from deploy.probe import run_cell
from proxy.origins import COOKIE, HOST_COOKIE

_POLL_SECONDS = 0.1
_COOKIES = {COOKIE, HOST_COOKIE}


@dataclass(frozen=True)
class Visit:
    """An open session: its base address with a slash at the end, its token, and how long the link took to open (s)."""

    base_url: str
    token: str
    seconds: float


async def open_link(link: str, *, timeout_seconds: float) -> Visit:
    """Follow a link to the first page of a session, past the launch page if there is one.

    Raises: OperatorFault, with what was shown instead.
    """
    began = monotonic()
    async with httpx.AsyncClient(follow_redirects=True, timeout=30) as client:
        while True:
            try:
                answer = await client.get(link)
            except httpx.TransportError as error:
                raise OperatorFault(f"{link} leads to where nothing can be reached from here: {error}.") from error
            token = next((cookie.value for cookie in client.cookies.jar if cookie.name in _COOKIES), None)
            if answer.status_code == 200 and token and answer.url.path.startswith("/s/"):
                parts = urlsplit(str(answer.url))
                base = "/".join(parts.path.split("/")[:3])
                return Visit(f"{parts.scheme}://{parts.netloc}{base}/", token, monotonic() - began)
            if answer.status_code >= 400 or monotonic() - began > timeout_seconds:
                raise OperatorFault(f"{link} did not open a notebook: it answered {answer.status_code}.")
            await asyncio.sleep(_POLL_SECONDS)


async def compute(visit: Visit, code: str) -> str:
    """Run code in a kernel of the session, through the proxy, and return what it printed."""
    return await run_cell(visit.base_url, visit.token, code)
