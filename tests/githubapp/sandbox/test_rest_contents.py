"""Files, folders and comparisons, through PyGithub and by hand."""

import asyncio
import base64

from githubapp.sandbox import rest_contents
from tests.githubapp.sandbox.conftest import Rest, Stage


async def test_pygithub_reads_a_file_at_a_commit(stage: Stage) -> None:
    await stage.push("Another text", README="# Changed")

    def read() -> None:
        with stage.as_installation() as client:
            repository = client.get_repo("ada/demo")
            old = repository.get_contents("README.md", ref=stage.first_sha)
            new = repository.get_contents("README.md")
            assert not isinstance(old, list)
            assert not isinstance(new, list)
            assert (old.decoded_content, new.decoded_content) == (b"# Hello", b"# Changed")
            assert (old.type, old.size, old.path) == ("file", 7, "README.md")

    await asyncio.to_thread(read)


async def test_a_folder_is_a_list(stage: Stage, rest: Rest) -> None:
    folder = stage.checkout.folder / "a b"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "x.txt").write_text("x")
    (folder / "[y].txt").write_text("yy")
    await stage.push("Folders")
    listed = (await rest("GET", "/repos/ada/demo/contents/a%20b/")).json()
    assert [(one["type"], one["name"], one["size"]) for one in listed] == [("file", "[y].txt", 2), ("dir", "deep", 0)]
    again = await rest("GET", listed[1]["url"].removeprefix(stage.sandbox.api_url))
    assert [one["path"] for one in again.json()] == ["a b/deep/x.txt"]
    file = await rest("GET", "/repos/ada/demo/contents/a%20b/%5By%5D.txt?ref=main")
    assert base64.b64decode(file.json()["content"]) == b"yy"


async def test_paths_and_refs_that_are_not_there(stage: Stage, rest: Rest) -> None:
    assert stage.first_sha
    for path in ("missing.yml", "README.md/x", "a/%2e%2e/README.md", "README.md?ref=missing", "a%00b", "*"):
        assert (await rest("GET", f"/repos/ada/demo/contents/{path}")).status_code == 404, path


async def test_a_large_file_is_named_and_not_shown(stage: Stage, rest: Rest) -> None:
    await stage.push("Large", large="x" * (rest_contents._LARGEST_SHOWN_BYTES + 1))
    body = (await rest("GET", "/repos/ada/demo/contents/large.md")).json()
    assert (body["encoding"], body["content"], body["size"]) == ("none", "", rest_contents._LARGEST_SHOWN_BYTES + 1)


async def test_contents_need_their_permission(stage: Stage, rest: Rest) -> None:
    token = await asyncio.to_thread(stage.installation_token, statuses="write")
    for path in ("contents/README.md", f"compare/{stage.first_sha}...main"):
        refused = await rest("GET", f"/repos/ada/demo/{path}", token=token)
        assert (refused.status_code, refused.json()["message"]) == (403, "Resource not accessible by integration")


async def test_pygithub_compares_commits(stage: Stage) -> None:
    second = await stage.push("Second", a="1")
    third = await stage.push("Third", b="1", README="# Changed")
    await stage.checkout.git("checkout", "--quiet", stage.first_sha)
    await stage.push("Aside", "aside", c="1")

    def read() -> None:
        with stage.as_installation() as client:
            repository = client.get_repo("ada/demo")
            ahead = repository.compare(stage.first_sha, "main")
            assert (ahead.status, ahead.ahead_by, ahead.behind_by) == ("ahead", 2, 0)
            assert [commit.sha for commit in ahead.commits] == [second, third]
            assert [(file.filename, file.status) for file in ahead.files] == [
                ("README.md", "modified"),
                ("a.md", "added"),
                ("b.md", "added"),
            ]
            assert repository.compare("main", stage.first_sha).status == "behind"
            assert repository.compare("main", third).status == "identical"
            aside = repository.compare("main", "aside")
            assert (aside.status, aside.merge_base_commit.sha) == ("diverged", stage.first_sha)
            assert [file.filename for file in aside.files] == ["c.md"]

    await asyncio.to_thread(read)


async def test_a_comparison_shows_300_files_at_most(stage: Stage, rest: Rest) -> None:
    await stage.push("Many", **{f"f{number}": "x" for number in range(301)})
    await stage.push("More")
    path = f"/repos/ada/demo/compare/{stage.first_sha}...main"
    first = await rest("GET", f"{path}?per_page=1")
    assert (len(first.json()["files"]), len(first.json()["commits"])) == (300, 1)
    second = await rest("GET", first.links["next"]["url"].removeprefix(stage.sandbox.api_url))
    assert (second.json()["files"], second.json()["commits"][0]["commit"]["message"]) == ([], "More")


async def test_what_cannot_be_compared(stage: Stage, rest: Rest) -> None:
    await stage.checkout.git("checkout", "--quiet", "--orphan", "unrelated")
    await stage.checkout.commit("Unrelated")
    await stage.checkout.push(stage.url, "HEAD:refs/heads/unrelated")
    for basehead in ("main...missing", "missing...main", "main", "main...unrelated", "..."):
        assert (await rest("GET", f"/repos/ada/demo/compare/{basehead}")).status_code == 404, basehead
