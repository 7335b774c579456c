"""The part that visitors and GitHub meet: HAProxy, the pages, deliveries in, routes, certificates."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from binder.log import logger
from binder.service.common import Common
from binder.service.loops import Loops
from binder.service.module_catalogue import catalogue_in
from binder.service.sources import PublicRefs
from binder.service.web import serving, unix_socket
from build.commits.git import Git
from githubapp.job_tokens import JobTokens
from githubapp.setup import SetUp
from proxy.action_api import ActionApi
from proxy.certificates import Renewals
from proxy.context import ProxyContext
from proxy.haproxy import run_haproxy, service_socket
from proxy.open_sessions import OpenSessions
from proxy.operating import Operating
from proxy.operator_api import OperatorApi
from proxy.origins import risk_of_one_origin
from proxy.pages import routes
from proxy.routes import RouteKeeper, stored_routes

log = logger(__name__)


@asynccontextmanager
async def running_proxy(common: Common, git: Git) -> AsyncIterator[Loops]:
    """Answer visitors and GitHub while the block runs; give the loops that this takes.

    Where the block is left in peace, those who are there may stay as long as the settings say.
    Raises: OperatorFault, where HAProxy cannot be started.
    """
    settings, paths, store, github = common.settings, common.paths, common.store, common.github
    if risk := risk_of_one_origin(settings):
        log.warning("origin_shared", explanation=risk)
    async with run_haproxy(settings, paths, lambda: stored_routes(store)) as haproxy:
        keeper = RouteKeeper(store, haproxy.runtime)
        set_up = SetUp(settings, paths, github.begin_with)
        context = ProxyContext(
            store,
            settings,
            paths,
            haproxy.runtime,
            keeper,
            PublicRefs(git, settings),
            set_up,
            github.visitors,
            figures=common.figures,
        )
        operating = Operating(store, settings, context.resolver, keeper.ensure_route)
        api = OperatorApi(store, settings, operating, common.views, lambda: catalogue_in(settings))
        action = ActionApi(context, JobTokens(settings))
        app = Starlette(routes=[github.route(), *api.routes(), *action.routes(), *routes(context)])
        loops = Loops(store.changed)
        async with serving(app, unix_socket(service_socket(paths))):
            loops.run("routes", keeper.step, always_rests=True)
            loops.run("access", OpenSessions(context).step)
            if settings.certificates:
                renewals = Renewals(settings.certificates, haproxy.certificates, haproxy.serve_certificate)
                loops.run("certificates", renewals.step)
            try:
                yield loops
                await context.draining.drain(haproxy.runtime, seconds=settings.drain_seconds)
            finally:
                await loops.stop()
