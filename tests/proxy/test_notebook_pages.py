"""The pages of notebooks that a build had run, asked for as a visitor does."""

import json
import zlib
from typing import Any

import httpx

from binder.lifecycle import BuildState
from binder.notebook_checks import CheckSettings
from binder.store.tables import Build, NotebookRun, utc_now
from proxy.context import ProxyContext
from tests.proxy.outline import outline
from tests.proxy.rows import SHA, add_build, add_preview, add_repository

BASE = "b" * 40


def executed(*sources: str) -> bytes:
    cells = [
        {
            "cell_type": "code",
            "source": source,
            "execution_count": 1,
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": f"</pre><script>{source}</script>"},
                {"output_type": "display_data", "data": {"text/html": f'"><script>{source}</script>'}},
            ],
        }
        for source in sources
    ]
    return zlib.compress(json.dumps({"cells": cells}).encode())


async def add_run(context: ProxyContext, build: Build, **values: Any) -> NotebookRun:
    row = NotebookRun(
        **{
            "build_id": build.id,
            "path": "a/index.ipynb",
            "settings": CheckSettings().as_json(),
            "finished_at": utc_now(),
            "outcome": "passed",
            "seconds": 2.5,
            **values,
        }
    )
    async with context.store.write() as session:
        session.add(row)
    return row


async def test_a_notebook_is_shown_where_nothing_of_it_runs(visitor: httpx.AsyncClient, context: ProxyContext) -> None:
    build = await add_build(context.store, await add_repository(context.store))
    run = await add_run(context, build, executed=executed("x <b>"))
    page = await visitor.get(f"/builds/{build.id}/notebooks/{run.id}")
    outline(page)
    policy = page.headers["content-security-policy"].split("; ")
    assert policy[:2] == ["sandbox", "default-src 'none'"]
    assert not any(part.startswith(("script-src", "connect-src")) for part in policy)
    assert page.headers["cross-origin-opener-policy"] == "unsafe-none"
    assert page.headers["x-frame-options"] == "DENY"
    assert "<script" not in page.text
    assert "&lt;/pre&gt;&lt;script&gt;x &lt;b&gt;" in page.text
    assert 'srcdoc="&#34;&gt;&lt;script&gt;x &lt;b&gt;' in page.text
    assert '<b class="state succeeded">Ran</b> in 2.5 s' in page.text
    assert "/changes" not in page.text


async def test_why_it_failed_is_said(visitor: httpx.AsyncClient, context: ProxyContext) -> None:
    build = await add_build(context.store, await add_repository(context.store), BuildState.FAILED)
    fault = {"party": "repository", "message": "Cell 1 failed: <i>", "line": 7, "traceback": ""}
    run = await add_run(context, build, executed=executed("x"), outcome="failed", fault=fault)
    page = await visitor.get(f"/builds/{build.id}/notebooks/{run.id}")
    assert "Cell 1 failed: &lt;i&gt;" in page.text
    assert "a/index.ipynb line 7" in page.text


async def test_what_changed_from_the_base_of_a_pull_request(visitor: httpx.AsyncClient, context: ProxyContext) -> None:
    repository = await add_repository(context.store)
    base = await add_build(context.store, repository, sha=BASE)
    await add_run(context, base, executed=executed("one", "two"))
    preview = await add_preview(context.store, repository, "7", kind="pull", facts={"base_sha": BASE})
    build = await add_build(context.store, repository, sha=SHA, preview_id=preview.id)
    run = await add_run(context, build, executed=executed("one", "<2>"))
    address = f"/builds/{build.id}/notebooks/{run.id}"
    assert f'href="{address}/changes"' in (await visitor.get(address)).text
    page = await visitor.get(f"{address}/changes")
    outline(page)
    assert '<span class="minus">-two' in page.text
    assert '<span class="plus">+&lt;2&gt;' in page.text
    other = await add_run(context, build, path="other.ipynb", executed=executed("one"))
    gone = await visitor.get(f"/builds/{build.id}/notebooks/{other.id}/changes")
    assert gone.status_code == 404
    assert "nothing to compare" in gone.text


async def test_who_may_not_see_the_repository_sees_none_of_its_notebooks(
    visitor: httpx.AsyncClient, context: ProxyContext
) -> None:
    private = await add_build(context.store, await add_repository(context.store, private=True))
    run = await add_run(context, private, executed=executed("secret"))
    public = await add_build(context.store, await add_repository(context.store, name="public"))
    never_ran = await add_run(context, public, outcome="failed")
    for address in (
        f"/builds/{private.id}/notebooks/{run.id}",
        f"/builds/{private.id}/notebooks/{run.id}/changes",
        f"/builds/{public.id}/notebooks/{run.id}",
        f"/builds/{public.id}/notebooks/{never_ran.id}",
        f"/builds/{public.id}/notebooks/x",
    ):
        page = await visitor.get(address)
        assert page.status_code == 404, address
        assert "secret" not in page.text


async def test_a_builds_page_lists_its_notebooks(visitor: httpx.AsyncClient, context: ProxyContext) -> None:
    told = [
        {"id": 4, "path": "<b>.ipynb", "outcome": "failed", "seconds": 2.0},
        {"id": 5, "path": "b.ipynb", "outcome": None, "seconds": None},
    ]
    build = await add_build(
        context.store,
        await add_repository(context.store),
        BuildState.CHECKING,
        awaits_check=True,
        result={"notebooks": told},
    )
    page = await visitor.get(f"/builds/{build.id}")
    outline(page)
    assert "Running its notebooks" in page.text
    assert (
        f'<a href="/builds/{build.id}/notebooks/4">&lt;b&gt;.ipynb</a></th><td class="failing">failed</td>' in page.text
    )
    assert '<td class="made">waits</td>' in page.text
