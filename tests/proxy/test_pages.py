"""The pages, asked for as a visitor does."""

import re
from datetime import timedelta

import httpx
import pytest

from binder.lifecycle import BuildState, SessionState
from binder.names import sha_of_version
from binder.store.tables import Build, utc_now
from proxy.context import ProxyContext
from tests.proxy.fakes import FakeResolver, FakeRouteTable
from tests.proxy.outline import outline
from tests.proxy.rows import SHA, add_build, add_preview, add_repository, add_session, session_of

LINK = f"/v2/gh/ada/notebooks/{SHA}"


class TestProviders:
    """Slashes that are encoded stay what they are, from the address to the row."""

    @pytest.mark.parametrize(
        ("address", "clone_url"),
        [
            ("gl/group%2Fsub%2Fproject/feature/a", "https://gitlab.com/group/sub/project.git"),
            ("git/https%3A%2F%2Fgit.example%2Fa%2Fb.git/feature%2Fa", "https://git.example/a/b.git"),
            ("gist/ada/0123456789abcdef/feature/a", "https://gist.github.com/0123456789abcdef.git"),
        ],
    )
    async def test_a_link_leads_to_a_build_and_back(
        self,
        visitor: httpx.AsyncClient,
        context: ProxyContext,
        resolver: FakeResolver,
        address: str,
        clone_url: str,
    ) -> None:
        resolver.refs[clone_url, "feature/a"] = SHA
        page = await visitor.get(f"/v2/{address}")
        assert page.status_code == 200
        outline(page)
        found = re.search(r'data-build="(\d+)"', page.text)
        assert found
        about = await visitor.get(f"/builds/{found[1]}")
        outline(about)
        for place in ("v2", "why"):
            assert f'href="/{place}/{address.partition("/feature")[0]}/{SHA}"' in about.text

    @pytest.mark.parametrize(
        ("address", "url", "version"),
        [
            ("zenodo/10.5281/zenodo.1", "zenodo:10.5281/zenodo.1", "7"),
            ("dataverse/10.7910/DVN/TJCLKP", "dataverse:10.7910/DVN/TJCLKP", "2.1"),
            ("ckan/https%3A%2F%2Fdata.example%2Fdataset%2Fa", "ckan:https://data.example/dataset/a", "1560334830"),
        ],
    )
    async def test_a_link_to_a_record_leads_to_a_build_of_its_newest_version(
        self,
        visitor: httpx.AsyncClient,
        context: ProxyContext,
        resolver: FakeResolver,
        address: str,
        url: str,
        version: str,
    ) -> None:
        sha = resolver.refs[url, "HEAD"] = sha_of_version(version)
        page = await visitor.get(f"/v2/{address}/")
        assert page.status_code == 200
        outline(page)
        assert f"At version <code>{version}</code>" in page.text
        found = re.search(r'data-build="(\d+)"', page.text)
        assert found
        about = await visitor.get(f"/builds/{found[1]}")
        assert f'href="/v2/{address}/{sha}"' in about.text
        async with context.store.read() as session:
            build = await session.get_one(Build, int(found[1]))
        assert (build.sha, build.untrusted) == (sha, True)


class TestLinks:
    async def test_a_standby_is_entered_with_a_cookie_and_no_token_in_the_address(
        self, visitor: httpx.AsyncClient, context: ProxyContext, table: FakeRouteTable
    ) -> None:
        standby = await add_session(context.store, await add_build(context.store, await add_repository(context.store)))
        answer = await visitor.get(LINK, params={"labpath": "a b.ipynb"})
        assert answer.status_code == 302
        assert answer.headers["location"] == f"/s/{standby.id}/doc/tree/a%20b.ipynb"
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"binder-session={standby.token}; ")
        assert {part.strip() for part in cookie.split(";")[1:]} == {
            "HttpOnly",
            "SameSite=lax",
            f"Path=/s/{standby.id}/",
        }
        assert answer.headers["cache-control"] == "no-store"
        # The first request must find its way, not only the next one.
        assert table.routes == {f"{standby.id}/{standby.token}": standby.target}

    async def test_the_cookie_keeps_to_https_where_the_service_does(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        object.__setattr__(context, "settings", context.settings.model_copy(update={"url": "https://binder.example"}))
        await add_session(context.store, await add_build(context.store, await add_repository(context.store)))
        assert "; Secure" in (await visitor.get(LINK)).headers["set-cookie"]

    async def test_a_proxy_that_does_not_answer_does_not_cost_the_visitor_the_session(
        self, visitor: httpx.AsyncClient, context: ProxyContext, table: FakeRouteTable
    ) -> None:
        await add_session(context.store, await add_build(context.store, await add_repository(context.store)))
        table.is_up = False
        assert (await visitor.get(LINK)).status_code == 302

    async def test_the_launch_page_shows_the_steps(self, visitor: httpx.AsyncClient, context: ProxyContext) -> None:
        repository = await add_repository(context.store)
        await add_preview(context.store, repository, "main")
        build = await add_build(context.store, repository, BuildState.BUILDING)
        page = await visitor.get("/v2/gh/ada/notebooks/main")
        assert page.status_code == 200
        outline(page)
        assert re.findall(r'<li class="(\w+)"', page.text) == ["done", "done", "now", "later", "later"]
        assert f'data-build="{build.id}"' in page.text
        assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in page.text

    @pytest.mark.parametrize(("party", "status"), [("repository", 422), ("operator", 500), ("world", 503)])
    async def test_a_failed_build_says_where_and_whose_fault_it_is(
        self, visitor: httpx.AsyncClient, context: ProxyContext, party: str, status: int
    ) -> None:
        fault = {"party": party, "message": "No package <numpyy>.", "file": "requirements.txt", "line": 7, "step": None}
        repository = await add_repository(context.store)
        build = await add_build(context.store, repository, BuildState.FAILED, fault=fault, finished_at=utc_now())
        page = await visitor.get(LINK)
        assert page.status_code == status
        outline(page)
        assert "No package &lt;numpyy&gt;." in page.text
        assert f'<a href="https://github.com/ada/notebooks/blob/{SHA}/requirements.txt#L7"><code>' in page.text
        assert "<code>requirements.txt line 7</code></a>" in page.text
        assert f'href="/builds/{build.id}#at-fault"' in page.text

    async def test_a_red_branch_offers_the_last_version_that_works(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        repository = await add_repository(context.store)
        branch = await add_preview(context.store, repository, "main")
        good = "f" * 40
        await add_build(context.store, repository, sha=good, preview_id=branch.id, finished_at=utc_now())
        fault = {"party": "repository", "message": "no version of it", "file": "requirements.txt", "line": 3}
        await add_build(context.store, repository, BuildState.FAILED, preview_id=branch.id, fault=fault)
        page = await visitor.get("/v2/gh/ada/notebooks/main", params={"labpath": "a b.ipynb"})
        assert page.status_code == 422
        outline(page)
        offered = f'<a class="button" href="/v2/gh/ada/notebooks/{good}?labpath=a%20b.ipynb">'
        assert offered + "Open the last version that works</a>" in page.text
        assert "no version of it" in page.text
        assert "Open the last version" not in (await visitor.get(LINK)).text

    async def test_a_server_that_does_not_start_is_the_operators_fault(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        build = await add_build(context.store, await add_repository(context.store))
        await add_session(context.store, build, SessionState.FAILED, reason="No kernel answered.", ended_at=utc_now())
        page = await visitor.get(LINK)
        assert page.status_code == 500
        assert "No kernel answered." in page.text

    async def test_where_a_forks_share_is_taken_it_says_so(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        build = await add_build(context.store, await add_repository(context.store, installation_id=1), untrusted=True)
        for _ in range(context.settings.sessions_per_repository // 4):
            await add_session(context.store, build, SessionState.OPEN)
        page = await visitor.get(LINK)
        assert page.status_code == 503
        assert "Visitors have 6 sessions of forks of ada/notebooks open" in page.text

    async def test_where_all_places_are_taken_it_says_so(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        build = await add_build(context.store, await add_repository(context.store))
        for _ in range(context.settings.sessions_at_most):
            await add_session(context.store, build, SessionState.OPEN)
        page = await visitor.get(LINK)
        assert (page.status_code, page.headers["retry-after"]) == (503, "10")
        assert "position 1 of 1" in page.text
        outline(page)
        assert "all 5 sessions" in page.text

    @pytest.mark.parametrize(
        "headers", [{"sec-purpose": "prefetch"}, {"sec-purpose": "prefetch;prerender"}], ids=["prefetch", "prerender"]
    )
    async def test_who_only_looks_starts_nothing(
        self, visitor: httpx.AsyncClient, context: ProxyContext, headers: dict[str, str]
    ) -> None:
        standby = await add_session(context.store, await add_build(context.store, await add_repository(context.store)))
        assert (await visitor.get(LINK, headers=headers)).status_code == 204
        assert (await visitor.head(LINK)).status_code == 204
        assert (await session_of(context.store, standby.id)).state is SessionState.STANDBY

    async def test_a_private_repository_is_as_one_that_is_not_there(
        self, visitor: httpx.AsyncClient, context: ProxyContext, resolver: FakeResolver
    ) -> None:
        private = await add_repository(context.store, private=True)
        build = await add_build(context.store, private)
        session = await add_session(context.store, build, SessionState.ENDED)
        for there, missing in (
            (LINK, LINK.replace("notebooks", "nowhere__")),
            (f"/builds/{build.id}", "/builds/999"),
            (f"/builds/{build.id}/log", "/builds/999/log"),
            (f"/builds/{build.id}/sbom.json", "/builds/999/sbom.json"),
            (f"/launch/events?build={build.id}", "/launch/events?build=999"),
            (f"/s/{session.id}/lab", "/s/saaaaaaaaaaaaaaa/lab"),
        ):
            one, other = await visitor.get(there), await visitor.get(missing)
            assert one.status_code == other.status_code == 404
            assert without_nonce(one) == without_nonce(other).replace("nowhere__", "notebooks")

    async def test_the_older_form_leads_to_todays(self, visitor: httpx.AsyncClient) -> None:
        answer = await visitor.get("/repo/ada/notebooks/a/b.ipynb")
        assert (answer.status_code, answer.headers["location"]) == (
            302,
            "/v2/gh/ada/notebooks/master?urlpath=a%2Fb.ipynb",
        )
        assert (await visitor.get("/repo/ada/notebooks")).headers["location"] == "/v2/gh/ada/notebooks/master"

    @pytest.mark.parametrize(
        ("address", "says"),
        [
            ("/v2/zenodo/10.5281/zenodo.1", "no record 10.5281/zenodo.1 on Zenodo"),
            ("/v2/zenodo/10.5281/zenodo", "No record of Zenodo has the DOI"),
            ("/v2/gh/ada", "names no repository"),
            ("/v2/gh/ada/x?urlpath=//evil.example", "not another site"),
            ("/v2/gh/ada/x?labpath=../../etc", "leads outside"),
            ("/nowhere", "nothing at this address"),
            ("/builds/x", "no such build"),
            ("/builds/99999999999999999999", "no such build"),
            ("/launch/events", "no such build"),
            ("/s/nope/lab", "no such session"),
            ("/assets/..%2F..%2Fhaproxy.cfg", "nothing at this address"),
            ("/assets/haproxy.cfg", "no such file"),
        ],
    )
    async def test_what_is_not_there_is_said(self, visitor: httpx.AsyncClient, address: str, says: str) -> None:
        page = await visitor.get(address)
        assert page.status_code == 404
        outline(page)
        assert says in page.text.replace("&#39;", "'")


class TestSessions:
    async def test_one_that_has_ended_starts_again_at_the_same_notebook(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        build = await add_build(context.store, await add_repository(context.store))
        session = await add_session(context.store, build, SessionState.ENDED, reason="Nobody used it for 30 min.")
        page = await visitor.get(f"/s/{session.id}/doc/tree/a%20b.ipynb?token=secret")
        assert page.status_code == 410
        outline(page)
        assert "Nobody used it for 30 min." in page.text
        assert f'href="{LINK}?urlpath=doc%2Ftree%2Fa%20b.ipynb"' in page.text
        assert "secret" not in page.text
        assert session.token not in page.text

    @pytest.mark.parametrize("path", ["", "/", "/files/a", "/x%5c..%5cy", "/%2e%2e%2fx"])
    async def test_what_is_no_page_starts_again_at_the_front(
        self, visitor: httpx.AsyncClient, context: ProxyContext, path: str
    ) -> None:
        build = await add_build(context.store, await add_repository(context.store))
        session = await add_session(context.store, build, SessionState.ENDED)
        page = await visitor.post(f"/s/{session.id}{path}")
        assert page.status_code == 410
        assert f'href="{LINK}"' in page.text

    async def test_a_program_is_told_what_happened(self, visitor: httpx.AsyncClient, context: ProxyContext) -> None:
        build = await add_build(context.store, await add_repository(context.store))
        session = await add_session(context.store, build, SessionState.FAILED, reason="It ran out of memory.")
        answer = await visitor.get(f"/s/{session.id}/api/kernels")
        assert (answer.status_code, answer.json()) == (
            410,
            {
                "message": "This session has ended. It ran out of memory.",
                "start_again": f"{context.settings.url}{LINK}",
            },
        )

    async def test_whom_the_proxys_table_has_forgotten_is_let_in_again(
        self, visitor: httpx.AsyncClient, context: ProxyContext, table: FakeRouteTable
    ) -> None:
        build = await add_build(context.store, await add_repository(context.store))
        session = await add_session(context.store, build, SessionState.OPEN)
        page = await visitor.get(f"/s/{session.id}/lab", headers={"Cookie": f"binder-session={session.token}"})
        assert (page.status_code, page.headers["retry-after"]) == (503, "1")
        assert f"{session.id}/{session.token}" in table.routes

    async def test_who_comes_before_the_way_is_known_here_is_led_back_to_it(
        self, visitor: httpx.AsyncClient, context: ProxyContext, table: FakeRouteTable
    ) -> None:
        build = await add_build(context.store, await add_repository(context.store))
        session = await add_session(context.store, build, SessionState.OPEN, opened_at=utc_now())
        cookie = {"Cookie": f"binder-session={session.token}"}
        for address in (f"/s/{session.id}/lab/tree/a%20b.ipynb?x=%2F&y", f"/s/{session.id}/api/kernels"):
            page = await visitor.post(address, headers=cookie)
            assert (page.status_code, page.headers["location"]) == (307, address)
        assert f"{session.id}/{session.token}" in table.routes

    async def test_nobody_is_led_in_circles(self, visitor: httpx.AsyncClient, context: ProxyContext) -> None:
        build = await add_build(context.store, await add_repository(context.store))
        long_ago = utc_now() - timedelta(seconds=11)
        session = await add_session(context.store, build, SessionState.OPEN, opened_at=long_ago)
        new = await add_session(context.store, build, SessionState.OPEN, opened_at=utc_now())
        odd = f"/s/%73{new.id[1:]}/lab"  # HAProxy sees no session in it
        for row, address in ((session, f"/s/{session.id}/lab"), (new, odd)):
            page = await visitor.get(address, headers={"Cookie": f"binder-session={row.token}"})
            assert page.status_code == 503

    async def test_nobody_else_is(
        self, visitor: httpx.AsyncClient, context: ProxyContext, table: FakeRouteTable
    ) -> None:
        build = await add_build(context.store, await add_repository(context.store))
        session = await add_session(context.store, build, SessionState.OPEN)
        for cookie in (b"", b"binder-session=guess", b"binder-session=\xe9"):
            page = await visitor.get(f"/s/{session.id}/lab", headers={b"Cookie": cookie})
            assert page.status_code == 404
        assert table.routes == {}


class TestFront:
    async def test_a_form_becomes_a_link_and_badges(self, visitor: httpx.AsyncClient, context: ProxyContext) -> None:
        url = context.settings.url
        page = await visitor.get("/", params={"repository": "ada/notebooks", "ref": "main", "path": "a b.ipynb"})
        outline(page)
        target = f"{url}/v2/gh/ada/notebooks/main?labpath=a%20b.ipynb"
        assert f'href="{target}"' in page.text
        assert f"[![Binder]({url}/badge_logo.svg)]({target})" in page.text

    async def test_what_is_wrong_is_said_in_the_form(self, visitor: httpx.AsyncClient) -> None:
        page = await visitor.get("/", params={"repository": '"><script>alert(1)</script>'})
        outline(page)
        assert page.status_code == 200
        assert '<p id="fault" class="wrong" role="alert">No repository can be called' in page.text
        assert "<script>alert" not in page.text

    async def test_it_shows_nothing_of_anybodys(self, visitor: httpx.AsyncClient, context: ProxyContext) -> None:
        await add_repository(context.store)
        page = await visitor.get("/")
        assert "ada/notebooks" not in page.text
        assert 'role="alert" hidden></p>' in page.text

    @pytest.mark.parametrize("address", ["/badge_logo.svg", "/badge.svg", "/assets/images/badge.svg"])
    async def test_the_badge_is_where_readmes_look_for_it(self, visitor: httpx.AsyncClient, address: str) -> None:
        answer = await visitor.get(address)
        assert answer.headers["content-type"] == "image/svg+xml"
        assert answer.text.startswith("<svg")

    async def test_what_every_host_has(self, visitor: httpx.AsyncClient) -> None:
        assert (await visitor.get("/favicon.ico")).status_code == 204
        assert "Disallow: /v2/" in (await visitor.get("/robots.txt")).text


class TestHealth:
    async def test_all_is_well(self, visitor: httpx.AsyncClient) -> None:
        answer = await visitor.get("/health")
        assert (answer.status_code, answer.json()["ok"]) == (200, True)

    async def test_a_proxy_that_does_not_answer_is_named(
        self, visitor: httpx.AsyncClient, table: FakeRouteTable
    ) -> None:
        table.is_up = False
        answer = await visitor.get("/health")
        assert answer.status_code == 503
        assert answer.json()["checks"] == [
            {"service": "store", "ok": True},
            {"service": "haproxy", "ok": False},
            {"service": "draining", "ok": True},
        ]
        assert (await visitor.get("/alive")).status_code == 200

    async def test_a_store_that_does_not_answer_is_named(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        await break_store(context)
        answer = await visitor.get("/health")
        assert answer.status_code == 503
        assert answer.json()["checks"][0] == {"service": "store", "ok": False}
        page = await visitor.get(LINK)
        assert (page.status_code, page.headers["retry-after"]) == (503, "10")
        assert "may work later" in page.text


class TestHeaders:
    @pytest.mark.parametrize("address", ["/", "/health", "/nowhere", "/badge.svg", "/robots.txt", "/favicon.ico", LINK])
    async def test_every_answer_is_closed_to_other_sites(self, visitor: httpx.AsyncClient, address: str) -> None:
        headers = (await visitor.get(address)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"

    async def test_only_what_this_answer_names_is_loaded(self, visitor: httpx.AsyncClient) -> None:
        one, two = await visitor.get("/"), await visitor.get("/")
        nonces = {
            re.findall(r"script-src 'nonce-(\w+)'", page.headers["content-security-policy"])[0] for page in (one, two)
        }
        assert len(nonces) == 2
        assert set(re.findall(r'nonce="(\w+)"', one.text)) < nonces

    async def test_assets_are_kept_for_ever_under_an_address_of_their_text(self, visitor: httpx.AsyncClient) -> None:
        page = await visitor.get("/")
        address = re.findall(r'href="(/assets/binder.css\?v=\w+)"', page.text)[0]
        answer = await visitor.get(address)
        assert answer.headers["content-type"].startswith("text/css")
        assert "immutable" in answer.headers["cache-control"]

    async def test_only_what_is_meant_to_be_posted_is(self, visitor: httpx.AsyncClient) -> None:
        assert (await visitor.post(LINK)).status_code == 405
        assert (await visitor.post("/")).status_code == 405


async def test_a_fault_of_ours_is_admitted_and_tells_nothing(
    visitor: httpx.AsyncClient, context: ProxyContext, resolver: FakeResolver
) -> None:
    resolver.resolve = broken  # type: ignore[method-assign]
    page = await visitor.get("/v2/gh/ada/other/main")
    assert page.status_code == 500
    outline(page)
    assert "internal detail" not in page.text


async def broken(clone_url: str, ref: str) -> str | None:
    """Fail as only a mistake of ours does."""
    raise KeyError("internal detail")


async def break_store(context: ProxyContext) -> None:
    """Put a folder where the store's file is."""
    await context.store.close()
    for file in context.paths.state.glob("binder.db*"):
        file.unlink()
    (context.paths.state / "binder.db").mkdir()


def without_nonce(page: httpx.Response) -> str:
    """Return a page's text without what differs each time."""
    return re.sub(r'nonce="\w+"', "", page.text)


async def test_retries_of_a_world_fault_are_promised_and_kept(
    visitor: httpx.AsyncClient, context: ProxyContext
) -> None:
    repository = await add_repository(context.store)
    fault = {"party": "world", "message": "GitHub did not answer.", "file": None, "line": None, "step": None}
    ended = utc_now() - timedelta(minutes=3)
    await add_build(context.store, repository, BuildState.FAILED, fault=fault, finished_at=ended)
    page = await visitor.get(LINK)
    assert page.status_code == 200
    assert "Waiting for its turn" in page.text
