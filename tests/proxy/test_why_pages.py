"""The page of a commit's story, asked for as a visitor does."""

from typing import Any

import httpx
import pytest

from binder.lifecycle import BuildState, SessionState
from binder.store.tables import Build, Decision, Delivery, Report, Repository, utc_now
from proxy.context import ProxyContext
from tests.proxy.outline import outline
from tests.proxy.rows import SHA, add_build, add_repository, add_session

ADDRESS = f"/why/gh/ada/notebooks/{SHA}"


async def add_story(context: ProxyContext, repository: Repository) -> Build:
    """Store a commit that was pushed, failed by a fault of its own, and reported."""
    now = utc_now()
    fault = {"party": "repository", "message": "No <numpyy>.", "file": "requirements.txt", "line": 3, "step": None}
    delivery = Delivery(host=repository.host, app_id=1, guid="guid-1", event="push", payload={"after": SHA})
    async with context.store.write() as session:
        session.add(delivery)
        await session.flush()
        values: dict[str, Any] = {"kind": "branch", "ref": "<b>", "cause": "delivery", "actor": "ada"}
        session.add(Decision(repository_id=repository.id, sha=SHA, delivery_id=delivery.id, outcome="build", **values))
        wanted = {"state": "failure", "description": "Build failed"}
        session.add(Report(repository_id=repository.id, kind="status", subject=SHA, wanted=wanted))
    return await add_build(context.store, repository, BuildState.FAILED, fault=fault, started_at=now, finished_at=now)


async def test_a_commits_story_is_shown(visitor: httpx.AsyncClient, context: ProxyContext) -> None:
    build = await add_story(context, await add_repository(context.store))
    session = await add_session(context.store, build, SessionState.OPEN, opened_at=utc_now())
    page = await visitor.get(ADDRESS)
    assert page.status_code == 200
    outline(page)
    assert "<h1>Commit 0123456 of ada/notebooks</h1>" in page.text
    for said in (
        "<b>push received</b>",
        "<li>branch &lt;b&gt;</li>",
        "<li>because of a delivery by ada</li>",
        f'<a href="/builds/{build.id}">build {build.id}</a>',
        "<li>requirements.txt line 3</li>",
        "<li>No &lt;numpyy&gt;.</li>",
        "<b>Standby proven: a kernel answered</b>",
        "<b>Status: failure</b>",
        "<li>not sent yet</li>",
        f'href="/v2/gh/ada/notebooks/{SHA}"',
    ):
        assert said in page.text
    for secret in (session.token, session.id, str(session.target), "guid-1"):
        assert secret not in page.text
    assert (await visitor.get(f"/why/gh/ADA/notebooks/{SHA[:7]}")).text.count("<time ") == page.text.count("<time ")


async def test_a_builds_page_leads_to_it(visitor: httpx.AsyncClient, context: ProxyContext) -> None:
    for host, provider in (("github.com", "gh"), ("local", "local")):
        build = await add_build(context.store, await add_repository(context.store, host=host))
        address = f"/why/{provider}/ada/notebooks/{SHA}"
        assert f'href="{address}"' in (await visitor.get(f"/builds/{build.id}")).text
        assert (await visitor.get(address)).status_code == 200


async def test_several_that_begin_alike_are_named(visitor: httpx.AsyncClient, context: ProxyContext) -> None:
    repository, sibling = await add_repository(context.store), SHA[:7] + "f" * 33
    for sha in (SHA, sibling):
        await add_build(context.store, repository, sha=sha)
    page = await visitor.get(f"/why/gh/ada/notebooks/{SHA[:7]}")
    assert page.status_code == 404
    assert f"Several commits begin like this: {SHA}, {sibling}." in page.text


@pytest.mark.parametrize(
    "address",
    [
        f"/why/gh/ada/hidden/{SHA}",
        f"/why/gh/ada/hidden/{SHA[:7]}",
        f"/why/gh/ada/notebooks/{'f' * 40}",
        f"/why/gh/ada/nowhere/{SHA}",
        f"/why/gl/ada/notebooks/{SHA}",
        "/why/gh/ada/notebooks/main",
    ],
)
async def test_what_is_private_is_as_what_is_not_there(
    visitor: httpx.AsyncClient, context: ProxyContext, address: str
) -> None:
    await add_build(context.store, await add_repository(context.store))
    hidden = await add_repository(context.store, name="hidden", private=True)
    for sha in (SHA, SHA[:7] + "f" * 33):
        await add_build(context.store, hidden, sha=sha)
    page = await visitor.get(address)
    assert page.status_code == 404
    outline(page)
    assert "Nothing is known here of such a commit of a repository that you may see." in page.text
