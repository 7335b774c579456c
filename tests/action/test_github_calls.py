"""What the action does with the workflow's own token: it finds commits, and keeps one comment on a pull request."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from github import Auth, GithubIntegration

from binder.lifecycle import BuildState
from binder.store.tables import Build, utc_now
from githubapp.sandbox.values import Comment
from tests.action.runner import Ran, Runner
from tests.githubapp.sandbox.git_checkout import new_checkout
from tests.proxy.jobs import FULL_NAME, JobStage
from tests.proxy.rows import add_build, add_repository

ASKED = "<!-- binder-action -->\n**Binder: "


@dataclass(frozen=True)
class Proposed:
    """A pull request of Ada's own branch `topic/one`, at `sha`; `token` is the one that its workflow has."""

    stage: JobStage
    runner: Runner
    sha: str
    token: str

    async def run(self) -> Ran:
        return await self.runner.run(comment="true", github_token=self.token)

    def comments(self) -> list[Comment]:
        state = self.stage.sandbox.world.state
        return list(state.comments_of(self.stage.sandbox.world.repository(FULL_NAME), 1))


@pytest.fixture
async def proposed(stage: JobStage, runner: Runner, folder: Path) -> Proposed:
    sandbox = stage.sandbox
    app = await sandbox.create_app(
        webhook_url="http://127.0.0.1:9/", webhook_secret="not much of one", owner="ada", slug="github-actions",
        permissions={"contents": "read", "metadata": "read", "pull_requests": "write"}, events=(),
    )  # fmt: skip
    installed = await sandbox.install(app.app_id, account="ada")
    (folder / "checkout").mkdir()
    checkout = await new_checkout(folder / "checkout")
    await checkout.commit("First", README="# Hello")
    url = sandbox.clone_url(FULL_NAME, login="ada")
    await checkout.push(url)
    sha = await checkout.commit("Second", README="# Hello again")
    await checkout.push(url, "HEAD:refs/heads/topic/one")
    await sandbox.open_pull_request(FULL_NAME, author="ada", head="topic/one", title="A change")
    repository = sandbox.world.repository(FULL_NAME)
    there = {"repo": {"id": repository.id}}
    runner.event = {"pull_request": {"number": 1, "head": {**there, "sha": sha}, "base": there}}
    runner.job = {"event": "pull_request", "ref": "refs/pull/1/merge"}

    def sign_in() -> str:
        auth = Auth.AppAuth(app.app_id, app.private_key_pem)
        with GithubIntegration(auth=auth, base_url=sandbox.api_url, seconds_between_requests=None) as integration:
            return integration.get_access_token(installed.id).token

    return Proposed(stage, runner, sha, await asyncio.to_thread(sign_in))


async def test_one_comment_is_kept(proposed: Proposed, heard: list[str]) -> None:
    stage = proposed.stage
    row = await stage.install()
    fault = {"party": "repository", "message": "No such package.", "file": "requirements.txt", "line": 3}
    build = await add_build(stage.store, row, BuildState.FAILED, sha=proposed.sha, fault=fault, finished_at=utc_now())
    # Whoever writes what ours begins with is not taken for us.
    await stage.sandbox.comment(FULL_NAME, 1, author="eve", body=f"{ASKED}mine**")
    ran = await proposed.run()
    assert ran.code == 1, ran.printed
    _, ours = proposed.comments()
    assert ours.author == "github-actions[bot]"
    assert ours.body.startswith(f"{ASKED}The build failed**")
    assert "` No such package. ` in ` requirements.txt line 3 `" in ours.body
    async with stage.store.write() as session:
        good = await session.get_one(Build, build.id)
        good.state, good.fault, good.result = BuildState.SUCCEEDED, None, {"image": "it"}
    assert (await proposed.run()).code == 0
    first, edited = proposed.comments()
    assert (first.author, edited.id) == ("eve", ours.id)
    assert f"[Open the notebooks]({stage.settings.url}/v2/gh/{FULL_NAME}/{proposed.sha})" in edited.body
    assert proposed.token not in "".join(heard)


async def test_a_comment_that_cannot_be_made_is_no_failure(proposed: Proposed) -> None:
    await add_build(proposed.stage.store, await proposed.stage.install(), sha=proposed.sha, finished_at=utc_now())
    ran = await proposed.runner.run(comment="true")
    assert (ran.code, ran.outputs["status"]) == (0, "success"), ran.printed
    assert "The pull request has no comment" in ran.told("warning")[0].message


async def test_a_branch_is_found_by_its_name(proposed: Proposed) -> None:
    repository = await add_repository(proposed.stage.store, name="notes", host=proposed.stage.settings.github_host)
    await add_build(proposed.stage.store, repository, sha=proposed.sha, finished_at=utc_now())
    ran = await proposed.runner.run(ref="topic/one", github_token=proposed.token)
    assert (ran.code, ran.outputs["url"].rpartition("/")[2]) == (0, proposed.sha), ran.printed
    ran = await proposed.runner.run(ref="topic/two", github_token=proposed.token)
    assert (ran.code, ran.outputs["status"]) == (1, "error"), ran.printed
