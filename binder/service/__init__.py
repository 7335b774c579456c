"""The process that wires everything: the only place where adapters are chosen.

Owns the order in which parts start and stop. What the parts do is theirs; which there are, and what each of them needs,
is said in `parts` and `machine`.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from binder.cgroups import Limits, limits_for, read_cgroup_facts
from binder.errors import OperatorFault
from binder.figures import Figures
from binder.log import logger
from binder.paths import Paths
from binder.process import find_account
from binder.service.builder import Builder, wired_git
from binder.service.common import Common
from binder.service.controller import answering, lead_controller, working_controller
from binder.service.engines import chosen_builder
from binder.service.folders import alone_in, make_folders
from binder.service.github import GitHubSide
from binder.service.loops import Loops
from binder.service.machine import check_machine, needs_of
from binder.service.parts import Part, complaints_about_parts
from binder.service.proxy_part import running_proxy
from binder.service.views import Views
from binder.settings import Settings
from binder.store import Store, open_store
from binder.store.hints import heard_hints
from build.commits.git import Git
from build.host import find_certificates
from githubapp.stored_app import with_stored_app
from templates.replacing import replace_from

log = logger(__name__)


@dataclass(frozen=True)
class Service:
    """A service that runs: what whoever started it may use."""

    store: Store
    paths: Paths
    git: Git
    loops: Loops

    async def until_broken_or(self, stopping: asyncio.Event) -> None:
        """Wait until `stopping` is set, or a loop ends, which none may.

        Raises: what ended the loop.
        """
        ends = [asyncio.create_task(stopping.wait()), asyncio.create_task(self.loops.broken())]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)


@asynccontextmanager
async def running_service(settings: Settings, *, part: Part = "all", ephemeral: bool = False) -> AsyncIterator[Service]:
    """Run a service, or a part of one, while the block runs; with `ephemeral`, its sessions end with it.

    Raises: OperatorFault, where this machine or its settings do not allow it.
    """
    replace_from(settings.templates)
    os.umask(0o022)  # what the build account and HAProxy must read is said where it is written, not by the caller
    if complaints := complaints_about_parts(part, settings):
        raise OperatorFault(" ".join(complaints))
    account = find_account(settings.build_account)
    check_machine(account, settings, needs_of(part, settings.engine, builds_here=not settings.builds_namespace))
    paths = Paths(settings.state_dir, settings.cache_dir)
    async with contextlib.AsyncExitStack() as stack:
        make_folders(paths, account)
        stack.enter_context(alone_in(paths.state))
        store = await stack.enter_async_context(open_store(settings.store_url))
        await stack.enter_async_context(heard_hints(store))
        builder = None
        if part != "proxy":
            builder = await stack.enter_async_context(chosen_builder(settings, paths, account, store))
        figures = Figures()
        github = stack.enter_context(contextlib.closing(GitHubSide(store, settings, figures, tells=part != "proxy")))
        await github.begin_with(with_stored_app(settings, paths.github))
        common = Common(settings, paths, account, store, github, figures, Views(settings, store))
        if builder:
            git = builder.git
        else:
            # In the container of a proxy nothing else runs, and no namespaces can be made; it only asks for refs.
            alone = replace(account, sandbox="none")
            git = wired_git(settings, paths, alone, await find_certificates())
        service = Service(store, paths, git, Loops(store.changed))
        await _start(stack, service, common, part, builder, ephemeral=ephemeral)
        stack.push_async_callback(service.loops.stop)
        yield service


async def _start(
    stack: contextlib.AsyncExitStack,
    service: Service,
    common: Common,
    part: Part,
    builder: Builder | None,
    *,
    ephemeral: bool,
) -> None:
    """Start the parts, first that which others need."""
    if part == "controller":
        await stack.enter_async_context(answering(common))
    else:
        loops = await stack.enter_async_context(running_proxy(common, service.git))
        service.loops.add("proxy", loops.broken())
    if builder is None:
        return
    limits = _limits(common.settings)
    if common.settings.engine == "podman":
        working = working_controller(common, builder, limits, service.loops, ephemeral=ephemeral)
        await stack.enter_async_context(working)
    else:
        service.loops.add("controller", lead_controller(common, builder, limits, ephemeral=ephemeral))


def _limits(settings: Settings) -> Limits:
    limits = limits_for(read_cgroup_facts())
    if limits.explanation and settings.engine == "podman":
        log.warning("limits_missing", explanation=limits.explanation)
    return limits
