"""The application behind HAProxy that answers whatever matches no route: put together here.

Errors become answers by one table (`proxy.answers`): whose fault it is, and what to do.
"""

from typing import Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount

from binder.errors import BinderError, OperatorFault, VisitorFault
from binder.log import logger
from proxy.about_service import AboutService
from proxy.access import Access
from proxy.answers import SafeHeaders, fault_page, status_of
from proxy.build_api import BuildApi
from proxy.build_pages import BuildPages
from proxy.context import ProxyContext
from proxy.faults import NotVisibleError
from proxy.front_pages import FrontPages
from proxy.health import Check, Health, check_store
from proxy.launch_events import LaunchEvents
from proxy.launch_pages import LaunchPages
from proxy.launches import Launches
from proxy.live_badges import LiveBadges
from proxy.log_answers import LogAnswers
from proxy.metrics import Metrics
from proxy.notebook_pages import NotebookPages
from proxy.operator_pages import OperatorPages
from proxy.repository_pages import RepositoryPages
from proxy.same_origin import OwnPagesOnly
from proxy.session_pages import SessionPages
from proxy.setup_pages import SetUpPages
from proxy.sign_in_pages import SignInPages, sign_in_address
from proxy.viewers import ANYBODY
from proxy.why_pages import WhyPages

log = logger(__name__)

_METHOD_NOT_ALLOWED = 405


class _Pages(Protocol):
    """Some of the pages."""

    def routes(self) -> list[BaseRoute]:
        """Return their routes."""


def routes(context: ProxyContext) -> list[BaseRoute]:
    """Return everything that a visitor can meet, as a last route: it answers every address."""
    launches = Launches(context)
    pages: list[_Pages] = [
        FrontPages(context),
        Health(_checks_of(context)),
        AboutService(context),
        BuildApi(context, launches),
        LaunchPages(context, launches),
        LaunchEvents(context),
        BuildPages(context),
        LiveBadges(context),
        LogAnswers(context),
        Metrics(context),
        NotebookPages(context),
        OperatorPages(context),
        RepositoryPages(context),
        SessionPages(context),
        SetUpPages(context),
        SignInPages(context),
        WhyPages(context),
    ]
    offer = _Offer(context)
    application = Starlette(
        routes=[route for page in pages for route in page.routes()],
        middleware=[Middleware(SafeHeaders), Middleware(OwnPagesOnly, url=context.settings.url)],
        exception_handlers={
            NotVisibleError: offer.answer,
            BinderError: _answer_fault,
            HTTPException: _answer_http,
            Exception: _answer_unexpected,
        },
    )
    return [Mount("/", application)]


def _checks_of(context: ProxyContext) -> dict[str, Check]:
    return {
        "store": lambda: check_store(context.store),
        "haproxy": context.haproxy.running_pid,
        "draining": context.draining.check,
    }


class _Offer:
    """Offers to sign in where something may be there for others, the same whether or not there is."""

    def __init__(self, context: ProxyContext) -> None:
        self._sign_in = context.sign_in
        self._access = Access(context)

    async def answer(self, request: Request, error: Exception) -> Response:
        """Answer with the fault, and with the offer to who is not signed in."""
        assert isinstance(error, NotVisibleError)  # noqa: S101 - Starlette calls us for no other
        helps = self._sign_in.is_open and await self._access.viewer(request) == ANYBODY
        return fault_page(error, sign_in_address(request) if helps else None)


async def _answer_fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, BinderError)  # noqa: S101 - Starlette calls us for no other
    if status_of(error) >= 500:
        log.warning("page_failed", path=request.url.path, party=error.party, reason=error.message, exc_info=error)
    return fault_page(error)


async def _answer_http(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == _METHOD_NOT_ALLOWED:
        return Response(status_code=_METHOD_NOT_ALLOWED, headers=error.headers)
    return fault_page(VisitorFault("There is nothing at this address."))


async def _answer_unexpected(_: Request, __: Exception) -> Response:
    return fault_page(OperatorFault("Something went wrong here that should not have. It was logged."))
