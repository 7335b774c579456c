"""Each address that the documentation names is one that the service answers, and each command in a comment is one."""

import re
from collections.abc import Iterator

from starlette.routing import BaseRoute, Match, Mount, Route

from binder.service.github import GitHubSide
from binder.service.views import Views
from githubapp.events import kept
from githubapp.job_tokens import JobTokens
from modules.catalogue import Catalogue
from proxy.action_api import ActionApi
from proxy.context import ProxyContext
from proxy.operating import Operating
from proxy.operator_api import OperatorApi
from proxy.pages import routes
from tests.githubapp import payloads
from tests.pages import Page, pages

_OURS = re.compile(r"https://(?:HOST|ID\.sessions\.example\.net|binder\.example\.org)(/[^\s\"'`)<>*]*)")
_PATH = re.compile(r"/[\w…%./?=&:-]*")
# What begins the same way in code: folders of a machine or of an image.
_FOLDERS = ("/var/", "/etc/", "/home/", "/opt", "/usr", "/srv", "/app", "/run", "/proc/", "/dev/")


def _all_of(context: ProxyContext) -> Iterator[Route]:
    operating = Operating(context.store, context.settings, context.resolver)
    api = OperatorApi(context.store, context.settings, operating, Views(context.settings, context.store), Catalogue)
    action = ActionApi(context, JobTokens(context.settings))
    github = GitHubSide(context.store, context.settings)
    todo: list[BaseRoute] = [github.route(), *api.routes(), *action.routes(), *routes(context)]
    for route in todo:
        if isinstance(route, Mount):
            todo += route.routes
        elif isinstance(route, Route):
            yield route


def _named(page: Page) -> Iterator[str]:
    """Give the addresses of ours that a page names."""
    yield from _OURS.findall(page.text)
    for span in page.spans():
        if _PATH.fullmatch(span) and span != "/ok-to-test" and not f"{span}/".startswith(_FOLDERS):
            yield span


def _is_answered(path: str, known: list[Route]) -> bool:
    path = path.partition("?")[0]
    if path.endswith("…"):
        return _is_answered(path.replace("…", "x/y/z"), known) or _begins(path.removesuffix("…"), known)
    if path.endswith("/") and _begins(path, known):
        return True
    scope = {"type": "http", "path": path, "root_path": "", "method": "GET"}
    return any(route.matches(scope)[0] is not Match.NONE for route in known)


def _begins(path: str, known: list[Route]) -> bool:
    return any(route.path.startswith(path) for route in known)


def test_each_address_is_answered(context: ProxyContext) -> None:
    known = list(_all_of(context))
    named = {(page.path, path) for page in pages() for path in _named(page)}
    assert len(named) > 50
    assert [one for one in sorted(named) if not _is_answered(one[1], known)] == []


def test_an_address_that_there_is_not_would_be_found(context: ProxyContext) -> None:
    known = list(_all_of(context))
    for path in ("/v3/gh/a/b", "/builds", "/builds/N/bill", "/badges/…", "/api/tokens"):
        assert not _is_answered(path, known), path


def test_each_command_in_a_comment_is_one() -> None:
    shown = {span for page in pages() for span in page.spans() if span.startswith(("/binder ", "/ok-to-test"))}
    assert len(shown) > 4
    for one in shown:
        line = one.replace("SHA", "0123abc")
        assert kept(payloads.comment(line))["comment"]["body"] == line
