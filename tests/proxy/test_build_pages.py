"""The page of a build, asked for as a visitor does."""

import re
from typing import Any

import httpx
import pytest

from binder.lifecycle import BuildState
from binder.store.tables import Build
from proxy.context import ProxyContext
from tests.proxy.outline import outline
from tests.proxy.rows import SHA, add_bill, add_build, add_log, add_repository

_STEPS = "==> Fetching  [10:00:00]\none\n==> Installing <b>  [10:00:12]\nthree & <i>\n==> Failed: it did  [10:01:00]\n"


async def build_with_log(context: ProxyContext, text: str, state: BuildState = BuildState.FAILED, **more: Any) -> Build:
    """Return a build that has written `text`."""
    build = await add_build(context.store, await add_repository(context.store), state, **more)
    await add_log(context.store, build, text)
    return build


def numbers_on(page: httpx.Response) -> list[int]:
    """Return the numbers of the lines that a page shows."""
    return [int(number) for number in re.findall(r'id="L(\d+)"', page.text)]


class TestFacts:
    async def test_a_build_says_which_way_it_took_and_what_that_saved(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        result = {
            "image": "localhost/binder:content-k",
            "digest": "sha256:0123",
            "way": "content",
            "why": "The environment <b> is the one of build 3.",
            "layers": [
                {"kind": "base", "key": "k", "reused": True, "bytes": 123_400_000, "seconds": None},
                {"kind": "content", "key": "k", "reused": False, "bytes": 4200, "seconds": 0.21},
            ],
            "saved": {"bytes": 312_000_000, "seconds": 41.2},
            "seconds": {"fetch": 1.25},
            "packages": 142,
            "modules": [
                {"title": "PostgreSQL", "version": "15", "mode": "single-node"},
                {"title": "<b>", "version": "1", "mode": "multi-node"},
            ],
        }
        page = await visitor.get(f"/builds/{(await build_with_log(context, '', result=result)).id}")
        outline(page)
        assert "Only files changed" in page.text
        assert "The environment &lt;b&gt; is the one of build 3." in page.text
        assert "<dt>Saved</dt><dd>312 MB and 41 s</dd>" in page.text
        assert "<caption>1 of 2 layers re-used</caption>" in page.text
        row = '<tr><th scope="row">base</th><td class="reused">re-used</td><td>123 MB</td><td>\N{EN DASH}</td></tr>'
        assert row in page.text
        assert '<td class="made">made</td><td>4.2 kB</td><td>0.2 s</td>' in page.text
        assert "fetch 1.2 s" in page.text
        assert "sha256:0123" in page.text
        assert "<dt>Packages</dt><dd>142</dd>" in page.text
        assert "<dt>Modules</dt><dd>PostgreSQL 15 (single-node), &lt;b&gt; 1 (multi-node)</dd>" in page.text

    async def test_layers_that_are_only_planned_are_not_said_to_be_made(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        layers = [{"kind": kind, "key": "k", "reused": kind == "base"} for kind in ("base", "content")]
        build = await build_with_log(context, "", BuildState.BUILDING, result={"layers": layers})
        page = await visitor.get(f"/builds/{build.id}")
        assert "<caption>1 of 2 layers re-used</caption>" in page.text
        assert '<th scope="row">content</th><td class="made">new</td>' in page.text

    async def test_a_result_of_before_has_a_page_too(self, visitor: httpx.AsyncClient, context: ProxyContext) -> None:
        layers = [{"kind": "base", "key": "k", "reused": True}]
        result = {"image": "i", "digest": "d", "way": "full", "layers": layers, "seconds": {}}
        page = await visitor.get(f"/builds/{(await build_with_log(context, '', result=result)).id}")
        assert page.status_code == 200
        assert "Built whole" in page.text
        assert "Saved" not in page.text
        assert "Packages" not in page.text

    async def test_a_build_without_a_log_has_a_page(self, visitor: httpx.AsyncClient, context: ProxyContext) -> None:
        build = await add_build(context.store, await add_repository(context.store), BuildState.QUEUED)
        page = await visitor.get(f"/builds/{build.id}")
        assert page.status_code == 200
        outline(page)
        assert 'data-from="0" data-line="1"' in page.text
        assert "Nothing is written yet." in page.text

    async def test_a_failed_one_names_the_step(self, visitor: httpx.AsyncClient, context: ProxyContext) -> None:
        fault = {"party": "repository", "message": "It ended with 1.", "file": None, "line": None, "step": "postBuild"}
        build = await add_build(context.store, await add_repository(context.store), BuildState.FAILED, fault=fault)
        page = await visitor.get(f"/builds/{build.id}")
        assert "while running <code>postBuild</code>" in page.text
        assert "The repository needs a change." in page.text

    @pytest.mark.parametrize(
        ("host", "line", "place"),
        [
            ("github.com", 7, f"https://github.com/ada/notebooks/blob/{SHA}/binder/a%20%22b%22.txt#L7"),
            ("github.com", None, f"https://github.com/ada/notebooks/blob/{SHA}/binder/a%20%22b%22.txt"),
            ("local", 7, None),
        ],
    )
    async def test_the_file_at_fault_is_shown_where_there_is_a_page_of_it(
        self, visitor: httpx.AsyncClient, context: ProxyContext, host: str, line: int | None, place: str | None
    ) -> None:
        fault = {"party": "repository", "message": "No.", "file": 'binder/a "b".txt', "line": line, "step": None}
        repository = await add_repository(context.store, host=host)
        page = await visitor.get(
            f"/builds/{(await add_build(context.store, repository, BuildState.FAILED, fault=fault)).id}"
        )
        assert re.findall(r'href="([^"]*/blob/[^"]*)"', page.text) == ([place] if place else [])

    async def test_a_local_repositorys_build_leads_back_to_its_link(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        build = await add_build(context.store, await add_repository(context.store, host="local"))
        assert f'href="/v2/local/ada/notebooks/{SHA}"' in (await visitor.get(f"/builds/{build.id}")).text


class TestSbom:
    async def test_what_an_image_is_made_of_is_given_out(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        build = await build_with_log(context, "")
        address = f"/builds/{build.id}/sbom.json"
        assert address not in (await visitor.get(f"/builds/{build.id}")).text
        assert (await visitor.get(address)).status_code == 404
        await add_bill(context.store, build, b'{"bomFormat": "CycloneDX"}')
        assert f'href="{address}"' in (await visitor.get(f"/builds/{build.id}")).text
        answer = await visitor.get(address)
        assert answer.headers["content-type"] == "application/vnd.cyclonedx+json"
        assert "ada-notebooks-0123456789.cdx.json" in answer.headers["content-disposition"]
        assert answer.json() == {"bomFormat": "CycloneDX"}


class TestLog:
    async def test_steps_are_folded_and_the_one_at_fault_is_open(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        page = await visitor.get(f"/builds/{(await build_with_log(context, _STEPS)).id}")
        outline(page)
        assert re.findall(r'<details class="step"( open)?>\n<summary id="(L\d)">', page.text) == [
            ("", "L1"),
            (" open", "L3"),
        ]
        assert '<p class="step" id="L5">' in page.text
        assert "Installing &lt;b&gt;</span>" in page.text
        assert '<span class="time">12 s · 10:00:00</span>' in page.text
        assert '<a id="L4" href="#L4">4</a><span>three &amp; &lt;i&gt;\n</span>' in page.text
        assert "Pages of the log" not in page.text

    async def test_a_status_leads_to_the_last_words_of_the_step_at_fault(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        log = "==> Installing  [10:00:00]\n" + "downloading\n" * 30 + "ERROR: it did\n==> Failed: it did  [10:01:00]\n"
        fault = {"party": "repository", "message": "it did", "file": None, "line": None, "step": None}
        failed = await build_with_log(context, log, fault=fault)
        page = await visitor.get(f"/builds/{failed.id}")
        outline(page)
        assert re.findall(r'<a id="L(\d+)" href="#L\d+">\d+</a><span id="at-fault">', page.text) == ["21"]

    async def test_of_a_log_that_grows_the_last_step_is_open(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        build = await build_with_log(context, _STEPS + "half a li", BuildState.BUILDING)
        page = await visitor.get(f"/builds/{build.id}")
        assert re.findall(r'<details class="step" open>\n<summary id="(L\d)">', page.text) == ["L5"]
        assert f'data-build="{build.id}" data-from="{len(_STEPS)}" data-line="6"' in page.text

    async def test_a_long_log_comes_in_pages_that_make_up_the_whole(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        text = "==> Installing  [10:00:00]\n" + "".join(f"{number} \x1b[31mred\x1b[0m\n" for number in range(2, 12_001))
        build = await build_with_log(context, text, BuildState.SUCCEEDED)
        address = f"/builds/{build.id}"
        pages = [await visitor.get(address, params={"page": number}) for number in (1, 2, 3)]
        assert [number for page in pages for number in numbers_on(page)] == [*range(1, 12_001)]
        assert '<a id="L5001" href="#L5001">5001</a><span>5001 red\n</span>' in pages[1].text
        assert "Installing (continued)" in pages[1].text
        assert "Page 2 of 3" in pages[1].text
        for page in pages:
            outline(page)
            assert page.text.rstrip().endswith("</html>")
        for asked, shown in (
            ({}, 1),
            ({"page": "9"}, 3),
            ({"page": "0"}, 1),
            ({"page": "x"}, 1),
            ({"line": "5000"}, 1),
        ):
            assert f"Page {shown} of 3" in (await visitor.get(address, params=asked)).text
        assert "Page 2 of 3" in (await visitor.get(address, params={"line": "5001"})).text
        assert "Page 3 of 3" in (await visitor.get(address, params={"line": "99999"})).text

    @pytest.mark.parametrize("state", [BuildState.FAILED, BuildState.BUILDING, BuildState.CANCELLED])
    async def test_of_what_did_not_succeed_the_end_is_shown_first(
        self, visitor: httpx.AsyncClient, context: ProxyContext, state: BuildState
    ) -> None:
        build = await build_with_log(context, "line\n" * 5001, state)
        assert numbers_on(await visitor.get(f"/builds/{build.id}")) == [5001]
        first = await visitor.get(f"/builds/{build.id}?page=1")
        assert "data-from" not in first.text

    async def test_a_log_of_long_lines_makes_no_long_page(
        self, visitor: httpx.AsyncClient, context: ProxyContext
    ) -> None:
        build = await build_with_log(context, ("x" * 65_000 + "\n") * 100, BuildState.SUCCEEDED)
        assert len((await visitor.get(f"/builds/{build.id}")).text) < 2**20


class TestSearch:
    async def test_lines_are_found_in_whatever_case(self, visitor: httpx.AsyncClient, context: ProxyContext) -> None:
        build = await build_with_log(context, "one\nNo match for \x1b[31mNum<py>\x1b[0m==9\nthree\nnum<PY> again\n")
        page = await visitor.get(f"/builds/{build.id}", params={"q": " nUM<py> "})
        outline(page)
        assert "2 lines hold <b>nUM&lt;py&gt;</b>" in page.text
        assert (
            '<a href="?line=2#L2">2</a><span>No match for <mark>Num&lt;py&gt;</mark>==9\n</span>'
            '<a href="?line=4#L4">4</a><span><mark>num&lt;PY&gt;</mark> again\n</span>'
        ) in page.text
        assert 'value="nUM&lt;py&gt;"' in page.text

    async def test_a_search_is_bounded(self, visitor: httpx.AsyncClient, context: ProxyContext) -> None:
        build = await build_with_log(context, f"{'a' * 30_000}needle{'b' * 30_000}\n" * 250)
        page = await visitor.get(f"/builds/{build.id}", params={"q": "needle"})
        assert "200 or more lines hold" in page.text
        assert f"…{'a' * 99}" in page.text
        assert len(page.text) < 200_000

    async def test_nothing_found_is_said(self, visitor: httpx.AsyncClient, context: ProxyContext) -> None:
        build = await build_with_log(context, "one\n")
        page = await visitor.get(f"/builds/{build.id}", params={"q": "(two"})
        outline(page)
        assert "0 lines hold <b>(two</b>" in page.text
