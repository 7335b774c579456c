"""Set-up against the stand-in over HTTP: who may finish it, once, and what becomes of the keys."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from binder.app_manifest import Wishes, registration
from binder.errors import BinderError, VisitorFault
from binder.paths import Paths
from binder.settings import Settings, read_settings
from binder.store.tables import utc_now
from githubapp import setup
from githubapp.client import GitHubClient
from githubapp.faults import GitHubUnavailableError
from githubapp.sandbox.sandbox import Sandbox
from githubapp.sandbox.server import running_sandbox
from githubapp.setup import SetUp
from githubapp.setup_code import make_code
from githubapp.stored_app import read_app
from tests.githubapp.github_description import Recorder


@dataclass
class Desk:
    """A set-up that nobody has begun; `begun` holds the settings that it had the service begin with."""

    sandbox: Sandbox
    settings: Settings
    paths: Paths
    begun: list[Settings] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.set_up = self.another()

    def another(self) -> SetUp:
        """Return one of a service that is started later, or beside."""

        async def begin_with(settings: Settings) -> None:
            self.begun.append(settings)

        return SetUp(self.settings, self.paths, begin_with)

    def begin(self) -> tuple[str, str]:
        """Bring a new code; return the browser's token and the state."""
        token = self.set_up.begin(make_code(self.paths.github, utc_now()))
        assert token
        state = self.set_up.state_of(token)
        assert state
        return token, state

    async def register(self, state: str) -> tuple[str, str]:
        """Press GitHub's button; return the state and the code that come back."""
        asked = registration(
            Wishes("Binder"), url=self.settings.url, github_url=self.settings.github_url, pulls_deliveries=False
        )
        form = {"manifest": asked.manifest, "state": state, "login": "ada", "name": "Binder"}
        async with httpx.AsyncClient(trust_env=False) as browser:
            back = await browser.post(f"{self.sandbox.url}/settings/apps/create", data=form)
        query = parse_qs(urlsplit(back.headers["location"]).query)
        return query["state"][0], query["code"][0]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """The stand-in, with Ada on it, and a service that has no App."""
    recorder = Recorder()
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "github").mkdir()
    async with running_sandbox(tmp_path / "sandbox", wrap=recorder.wrap) as sandbox:
        await sandbox.create_user("ada")
        settings = read_settings(
            state_dir=tmp_path,
            cache_dir=tmp_path,
            url="http://127.0.0.1:9",
            github_url=sandbox.url,
            github_api_url=sandbox.api_url,
            github_app_id=None,
        )
        yield Desk(sandbox, settings, Paths(tmp_path, tmp_path))
    recorder.validate()


async def test_it_ends_with_keys_that_github_takes(desk: Desk) -> None:
    token, state = desk.begin()
    address = await desk.set_up.finish(token, *await desk.register(state))
    assert address == f"{desk.sandbox.url}/apps/binder/installations/new"
    (settings,) = desk.begun
    client = GitHubClient.from_settings(settings)
    try:
        assert (await client.about_app.deliveries()).items
    finally:
        client.close()
    kept = read_app(desk.paths.github)
    assert kept
    assert desk.sandbox.world.state.apps[kept.app_id].webhook_secret == kept.webhook_secret
    assert [one.get_secret_value() for one in settings.github_webhook_secrets] == [kept.webhook_secret]


async def test_it_is_closed_for_good_once_there_is_an_app(desk: Desk) -> None:
    token, state = desk.begin()
    back = await desk.register(state)
    await desk.set_up.finish(token, *back)
    late = make_code(desk.paths.github, utc_now())
    for set_up in (desk.set_up, desk.another()):
        assert set_up.is_closed
        assert set_up.begin(late) is None
        with pytest.raises(VisitorFault):
            await set_up.finish(token, *back)
    assert len(desk.begun) == 1


async def test_an_app_of_the_settings_closes_it_as_well(desk: Desk) -> None:
    desk.settings = desk.settings.model_copy(update={"github_app_id": 5})
    assert desk.another().is_closed


async def test_a_stranger_gets_nowhere(desk: Desk) -> None:
    assert desk.set_up.begin("AAAAA-AAAAA-AAAAA-AAAAA") is None
    assert desk.set_up.state_of(None) is None
    _, state = desk.begin()
    back = await desk.register(state)
    for token in (None, "", "guessed"):
        assert desk.set_up.state_of(token) is None
        with pytest.raises(VisitorFault, match="not the browser"):
            await desk.set_up.finish(token, *back)
    assert read_app(desk.paths.github) is None


@pytest.mark.parametrize("state", ["", "guessed", "ü"])
async def test_a_wrong_state_is_refused_and_the_right_one_is_still_good(desk: Desk, state: str) -> None:
    token, right = desk.begin()
    _, code = await desk.register(right)
    with pytest.raises(VisitorFault, match="not the browser"):
        await desk.set_up.finish(token, state, code)
    assert desk.begun == []
    await desk.set_up.finish(token, right, code)


async def test_a_turn_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    token, state = desk.begin()
    later = utc_now() + timedelta(minutes=60)
    monkeypatch.setattr(setup, "utc_now", lambda: later)
    assert desk.set_up.state_of(token) is None
    with pytest.raises(VisitorFault):
        await desk.set_up.finish(token, state, "code")


async def test_a_new_code_takes_the_turn_over(desk: Desk) -> None:
    old, _ = desk.begin()
    new, _ = desk.begin()
    assert desk.set_up.state_of(old) is None
    assert desk.set_up.state_of(new)


@pytest.mark.parametrize("code", ["0" * 40, "", "../../user", "a/b", "x" * 500])
async def test_a_code_that_github_does_not_know_sets_nothing_up(desk: Desk, code: str) -> None:
    token, state = desk.begin()
    with pytest.raises(BinderError, match="begin again"):
        await desk.set_up.finish(token, state, code)
    assert read_app(desk.paths.github) is None
    assert desk.begun == []


async def test_a_code_is_good_once_also_where_the_keys_are_lost(desk: Desk) -> None:
    token, state = desk.begin()
    back = await desk.register(state)
    await desk.set_up.finish(token, *back)
    (desk.paths.github / "app").rename(desk.paths.state / "elsewhere")
    with pytest.raises(VisitorFault, match="not the browser"):
        await desk.set_up.finish(token, *back)
    token, state = desk.begin()
    with pytest.raises(VisitorFault, match="not any more"):
        await desk.set_up.finish(token, state, back[1])


async def test_while_github_does_not_answer_the_way_back_stays_good(desk: Desk) -> None:
    token, state = desk.begin()
    back = await desk.register(state)
    await desk.sandbox.add_fault("status", path="/app-manifests/")
    with pytest.raises(GitHubUnavailableError):
        await desk.set_up.finish(token, *back)
    await desk.set_up.finish(token, *back)
    assert len(desk.begun) == 1


async def test_no_secret_is_logged_or_shown(
    desk: Desk, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    token, state = desk.begin()
    address = await desk.set_up.finish(token, *await desk.register(state))
    kept = read_app(desk.paths.github)
    assert kept
    printed = capsys.readouterr()
    said = "\n".join([address, caplog.text, printed.out, printed.err, repr(desk.begun), json.dumps(str(kept))])
    for secret in (kept.private_key, kept.webhook_secret, kept.client_secret, token, state):
        assert secret not in said
