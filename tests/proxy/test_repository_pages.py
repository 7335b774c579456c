"""The page of a repository, asked for as a visitor does."""

from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from binder.lifecycle import BuildState
from binder.names import sha_of_version
from binder.store.tables import utc_now
from proxy.context import ProxyContext
from proxy.links import repository_of_request
from proxy.repository_facts import MOST_BUILDS
from tests.proxy.door import PRIVATE, open_door
from tests.proxy.outline import outline
from tests.proxy.rows import IMAGE, SHA, add_build, add_preview, add_repository

ADDRESS = "/r/gh/ada/notebooks"
OTHER, THIRD = "1" * 40, "2" * 40


async def test_previews_and_builds_are_shown(visitor: httpx.AsyncClient, context: ProxyContext) -> None:
    repository, now = await add_repository(context.store), utc_now()
    await add_preview(context.store, repository, "main")
    await add_preview(context.store, repository, "a~b", OTHER)
    held = "It waits for <somebody>."
    await add_preview(context.store, repository, "7", THIRD, kind="pull", from_fork=True, held=held)
    await add_preview(context.store, repository, "gone", live=False)
    failed = await add_build(context.store, repository, BuildState.FAILED)
    layers = [{"kind": kind, "key": "k", "reused": kind == "base"} for kind in ("base", "content")]
    result = {"image": IMAGE, "way": "content", "layers": layers}
    began = now - timedelta(seconds=41)
    good = await add_build(context.store, repository, result=result, started_at=began, finished_at=now)
    lost = await add_build(context.store, repository, result={"image": None}, sha=OTHER)
    page = await visitor.get(ADDRESS)
    assert page.status_code == 200
    outline(page)
    url = context.settings.url
    for said in (
        "<h1>ada/notebooks</h1>",
        'href="/v2/gh/ada/notebooks/main" aria-label="Open main"',
        f'<a href="/builds/{good.id}">build {good.id}</a> <span class="state succeeded">Succeeded</span></p>',
        f'href="/v2/gh/ada/notebooks/{OTHER}" aria-label="Open a~b"',
        f'href="/v2/gh/ada/notebooks/{THIRD}" aria-label="Open pull request 7"',
        "It waits for &lt;somebody&gt;.",
        '<span class="state succeeded">Succeeded</span> <span class="kind">41 s</span>',
        "Only files changed; 1 of 2 layers re-used",
        f'<a href="/builds/{lost.id}">build {lost.id}</a> <span class="state succeeded">Succeeded, image removed since',
        f'<a href="/builds/{failed.id}">build {failed.id}</a> <span class="state failed">Failed</span>',
        f'href="/why/gh/ada/notebooks/{SHA}"',
        f"[![Binder]({url}/badge_logo.svg)]({url}/v2/gh/ada/notebooks/HEAD)",
        f".. image:: {url}/badge_logo.svg",
    ):
        assert said in page.text
    assert "gone" not in page.text
    assert (await visitor.get("/r/gh/ADA/Notebooks")).text.count("<li>") == page.text.count("<li>")


async def test_one_of_which_nothing_is_known_but_its_name_has_a_page(
    visitor: httpx.AsyncClient, context: ProxyContext
) -> None:
    await add_repository(context.store)
    page = await visitor.get(ADDRESS)
    outline(page)
    assert "Nothing of it was built yet." in page.text
    assert "kept live. A link opens it all the same." in page.text


async def test_of_many_builds_the_last_are_shown(visitor: httpx.AsyncClient, context: ProxyContext) -> None:
    repository = await add_repository(context.store)
    builds = [await add_build(context.store, repository) for _ in range(MOST_BUILDS + 1)]
    page = await visitor.get(ADDRESS)
    assert f'"/builds/{builds[-1].id}"' in page.text
    assert f'"/builds/{builds[0].id}"' not in page.text
    assert page.text.count("#log-title") == MOST_BUILDS


@pytest.mark.parametrize(
    ("spec", "called"),
    [
        ("gh/ada/notebooks", "ada/notebooks"),
        ("local/ada/notebooks", "ada/notebooks"),
        ("gl/group%2Fsub%2Fproject", "group/sub/project"),
        ("gist/ada/0a12", "ada/0a12"),
        ("git/https%3A%2F%2Fgit.example.org%2Fa%2Fb.git", "git.example.org/a/b.git"),
        ("zenodo/10.5281/zenodo.1", "10.5281/zenodo.1"),
        ("dataverse/10.7910/DVN/TJCLKP", "10.7910/DVN/TJCLKP"),
    ],
)
async def test_a_builds_page_leads_to_it(
    visitor: httpx.AsyncClient, context: ProxyContext, spec: str, called: str
) -> None:
    provider, named, _ = repository_of_request(f"/r/{spec}".encode())
    place = provider.place(named, context.settings)
    repository = await add_repository(context.store, host=place.host, owner=place.owner, name=place.name)
    sha = SHA if provider.has_refs else sha_of_version("7")
    build = await add_build(context.store, repository, sha=sha)
    of_build = (await visitor.get(f"/builds/{build.id}")).text
    page = await visitor.get(f"/r/{spec}")
    outline(page)
    assert f'href="/r/{spec}"' in of_build
    assert f'href="/builds/{build.id}"' in page.text
    assert f"<h1>{called}</h1>" in page.text
    assert (f"/v2/{spec}" in page.text) == (provider.id != "local")
    assert ("<h2>Previews</h2>" in page.text) == provider.has_refs
    assert ("version <code>7</code>" in page.text) != provider.has_refs
    for leading in (of_build, page.text):
        assert f'href="/why/{spec}/{sha}"' in leading
    assert (await visitor.get(f"/why/{spec}/{sha}")).status_code == 200


async def test_a_private_one_is_there_for_who_may_read_it_alone(context: ProxyContext, tmp_path: Path) -> None:
    async with open_door(context, tmp_path) as door:
        build = await add_build(door.store, door.secret)
        address = f"/r/gh/{PRIVATE}"
        seen = await (await door.signed_in("ada")).get(address)
        assert seen.status_code == 200
        assert f'href="/builds/{build.id}"' in seen.text
        for browser in (await door.signed_in("eve"), door.browser()):
            hidden, missing = await browser.get(address), await browser.get("/r/gh/ada/nowhere")
            assert hidden.status_code == missing.status_code == 404
            outline(hidden)
            assert "Nothing is known here of such a repository that you may see." in hidden.text


@pytest.mark.parametrize(
    "address",
    [
        "/r/gl/ada/notebooks",
        "/r/gh/ada/nowhere",
        "/r/gh/ada/notebooks/main",
        "/r/gh/-/notebooks",
        "/r/gh/",
        "/r/x/a/b",
        "/r/git/http%3A%2F%2Fgit.example.org%2Fa",
    ],
)
async def test_what_is_not_there_is_not_shown(visitor: httpx.AsyncClient, context: ProxyContext, address: str) -> None:
    await add_repository(context.store)
    page = await visitor.get(address)
    assert page.status_code == 404
    assert "Nothing is known here of such a repository that you may see." in page.text
