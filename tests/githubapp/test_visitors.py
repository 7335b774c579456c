"""People and their tokens: renewed once by whoever is first, and in no log."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import SecretStr

from binder.errors import OperatorFault, VisitorFault, WorldFault
from binder.log import set_up_logging
from binder.settings import Settings
from binder.store.access import digest_of_cookie
from binder.store.tables import SignedIn, Visitor, utc_now
from githubapp.sandbox.oauth import agree, app_with_client_id
from githubapp.visitors import Visitors
from tests.githubapp.workshop import Workshop


@pytest.fixture
def settings(workshop: Workshop) -> Settings:
    """Settings of a service that people sign in to."""
    secret = SecretStr(workshop.app.client_secret)
    return workshop.settings.model_copy(
        update={"github_client_id": workshop.app.client_id, "github_client_secret": secret}
    )


@asynccontextmanager
async def replica(workshop: Workshop, settings: Settings) -> AsyncIterator[Visitors]:
    """Give the visitors of one process."""
    visitors = Visitors(workshop.store)
    visitors.begin_with(settings)
    with contextlib.closing(visitors):
        yield visitors


def code_for(workshop: Workshop, settings: Settings, login: str) -> str:
    """Return what GitHub sends a person back with."""
    state = workshop.sandbox.world.state
    app = app_with_client_id(state, workshop.app.client_id)
    assert app
    return agree(state, app, login, f"{settings.url}/sign-in/github", None).code


async def signed_in(workshop: Workshop, settings: Settings, visitors: Visitors, login: str) -> int:
    """Sign somebody in, in one browser."""
    number = await visitors.sign_in(code_for(workshop, settings, login), "")
    async with workshop.store.write() as session:
        session.add(SignedIn(digest=digest_of_cookie("t"), visitor_id=number, ends_at=utc_now() + timedelta(1)))
    return number


async def make_old(workshop: Workshop, visitors: Visitors, number: int) -> None:
    """Have a visitor's token be one that ends soon."""
    seal = visitors._there.seal
    async with workshop.store.write() as session:
        row = await session.get_one(Visitor, number)
        kept = seal.open(row.tokens or "")
        assert kept
        row.tokens = seal.seal(replace(kept, ends_at=utc_now()))


async def test_what_github_shows_depends_on_who_asks(workshop: Workshop, settings: Settings) -> None:
    sha = await workshop.push("First")
    await workshop.sandbox.set_private("ada/demo", private=True)
    async with replica(workshop, settings) as visitors:
        ada, bob = [await signed_in_once(workshop, settings, visitors, login) for login in ("ada", "bob")]
        repository = workshop.sandbox.world.repository("ada/demo")
        assert [await visitors.sees(who, "ada/demo") for who in (ada, bob)] == [repository.id, None]
        assert [await visitors.commit(who, "ada/demo", "main") for who in (ada, bob)] == [sha, None]
        assert await visitors.commit(ada, "ada/demo", "no-such-branch") is None
        assert await visitors.commit(ada, "ada/demo", "HEAD") == sha


async def signed_in_once(workshop: Workshop, settings: Settings, visitors: Visitors, login: str) -> int:
    """Sign somebody in, in no browser that anybody has."""
    return await visitors.sign_in(code_for(workshop, settings, login), "")


async def test_two_replicas_that_renew_a_token_both_go_on(workshop: Workshop, settings: Settings) -> None:
    async with replica(workshop, settings) as one, replica(workshop, settings) as other:
        ada = await signed_in(workshop, settings, one, "ada")
        await make_old(workshop, one, ada)
        old = await other._kept(other._there, ada)
        assert await one.sees(ada, "ada/demo")
        assert await other.sees(ada, "ada/demo")
        assert old
        assert old.access not in workshop.sandbox.world.state.user_tokens
        assert len(workshop.sandbox.world.state.user_tokens) == 1


async def test_who_gets_no_more_tokens_is_signed_out(workshop: Workshop, settings: Settings) -> None:
    async with replica(workshop, settings) as visitors:
        ada = await signed_in(workshop, settings, visitors, "ada")
        await make_old(workshop, visitors, ada)
        workshop.sandbox.world.state.user_tokens.clear()
        assert await visitors.sees(ada, "ada/demo") is None
        async with workshop.store.read() as session:
            assert (await session.get_one(Visitor, ada)).tokens is None
            assert await session.get(SignedIn, digest_of_cookie("t")) is None


async def test_github_that_does_not_answer_signs_nobody_out(workshop: Workshop, settings: Settings) -> None:
    async with replica(workshop, settings) as visitors:
        ada = await signed_in(workshop, settings, visitors, "ada")
        await workshop.sandbox.add_fault("status", method="GET", path="/repos/ada/demo")
        with pytest.raises(WorldFault):
            await visitors.sees(ada, "ada/demo")
        assert await visitors.sees(ada, "ada/demo")


async def test_a_code_that_github_does_not_take(workshop: Workshop, settings: Settings) -> None:
    wrong = settings.model_copy(update={"github_client_secret": SecretStr("wrong")})
    async with replica(workshop, settings) as visitors, replica(workshop, wrong) as mistaken:
        for code in ("unknown", "", "x" * 201):
            with pytest.raises(VisitorFault):
                await visitors.sign_in(code, "")
        with pytest.raises(OperatorFault, match="BINDER_GITHUB_CLIENT_SECRET"):
            await mistaken.sign_in(code_for(workshop, settings, "ada"), "")


async def test_before_there_is_an_app_nobody_signs_in(workshop: Workshop) -> None:
    async with replica(workshop, workshop.settings) as visitors:
        assert not visitors.is_open
        with pytest.raises(VisitorFault):
            visitors.address("state", "challenge")


@pytest.fixture
def chatty(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """Logs that hold as much as they can, and are as before afterwards."""
    set_up_logging("debug", as_json=True)
    yield capsys
    set_up_logging("info", as_json=False)


async def test_no_log_holds_a_token(workshop: Workshop, settings: Settings, chatty: pytest.CaptureFixture[str]) -> None:
    async with replica(workshop, settings) as visitors:
        code = code_for(workshop, settings, "ada")
        ada = await visitors.sign_in(code, "")
        await visitors.sees(ada, "ada/demo")
    said = "".join(chatty.readouterr())
    assert "visitor_signed_in" in said
    assert said.count("\n") > 1
    (token,) = workshop.sandbox.world.state.user_tokens.values()
    for secret in (code, token.value, token.refresh, workshop.app.client_secret):
        assert secret not in said
