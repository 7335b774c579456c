"""The operator's API: who gets in, what may be asked, and how faults are told."""

from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from binder.lifecycle import BuildState, SessionState
from binder.names import is_session_id
from binder.service.views import Views
from binder.store import Store
from binder.store.tables import Build, Session
from modules.catalogue import Catalogue
from proxy.claims import Launcher, Quota, launch
from proxy.commits import Commit
from proxy.context import ProxyContext
from proxy.launch import Wait
from proxy.operating import Operating
from proxy.operator_api import OperatorApi
from tests.proxy.conftest import client_of
from tests.proxy.fakes import SAID_BY_A_SESSION, FakeEngineViews, FakeResolver
from tests.proxy.rows import SHA, add_build, add_preview, add_repository, add_session, session_of

TOKEN = "a-token-of-an-operator"


@pytest.fixture
async def operator(context: ProxyContext, resolver: FakeResolver) -> AsyncIterator[httpx.AsyncClient]:
    """An operator's program."""
    settings = context.settings.model_copy(update={"api_token": SecretStr(TOKEN)})
    operating = Operating(context.store, settings, resolver)
    api = OperatorApi(context.store, settings, operating, FakeEngineViews(), Catalogue)
    async with client_of(Starlette(routes=api.routes()), settings.url) as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        yield client


async def test_without_a_token_set_nobody_gets_in(context: ProxyContext, resolver: FakeResolver) -> None:
    operating = Operating(context.store, context.settings, resolver)
    api = OperatorApi(context.store, context.settings, operating, Views(context.settings, context.store), Catalogue)
    async with client_of(Starlette(routes=api.routes()), context.settings.url) as client:
        for value in ("Bearer ", "Bearer", "", f"Bearer {TOKEN}"):
            assert (await client.get("/api/about", headers={"Authorization": value})).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/api/builds", b"[]", "must be an object of JSON"),
        ("/api/builds", b"{", "must be JSON"),
        ("/api/builds", b"[" * 60_000, "must be JSON"),
        ("/api/builds", b"{}", "Say of which repository"),
        ("/api/builds", b'{"repository": 7}', "'repository' is not asked for here so"),
        ("/api/builds", b'{"repo": "a/b"}', "'repo' is not asked for here so"),
        ("/api/builds", b'{"repository": "a/b/../../c"}', "can be called"),
        ("/api/builds", b'{"repository": "https://a:b@example.org/x"}', "must hold no name or password"),
        ("/api/builds", b'{"repository": "a/b", "ref": "--upload-pack=x"}', "can be called"),
        ("/api/builds", b'{"repository": "local:../../etc"}', "is not known, or has no branch"),
        ("/api/stop", b'{"all": true, "session": "x"}', "Say one of"),
        ("/api/stop", b"{}", "Say one of"),
        ("/api/stop", b'{"session": "x"}', "There is no session 'x' that runs"),
        ("/api/render", b'{"build": 99999999999999999999}', "There is no build 99999999999999999999"),
        ("/api/render", b'{"build": -1}', "There is no build -1"),
        ("/api/sessions", b'{"repository": "a/b", "parameters": []}', "'parameters' is not asked for here so"),
        ("/api/builds", b" " * 70_000, "more than is ever asked for"),
    ],
)
async def test_what_is_wrong_with_a_request_is_said(
    operator: httpx.AsyncClient, path: str, body: bytes, says: str
) -> None:
    answer = await operator.post(path, content=body)
    assert answer.status_code == 404
    assert answer.json()["party"] == "visitor"
    assert says in answer.json()["message"]


async def test_a_commit_is_built_once(operator: httpx.AsyncClient, store: Store, resolver: FakeResolver) -> None:
    resolver.refs[("https://github.com/ada/notebooks.git", "main")] = SHA
    asked = {"repository": "ada/notebooks", "ref": "main"}
    first = (await operator.post("/api/builds", json=asked)).json()["builds"]
    assert [(one["repository"], one["sha"], one["state"]) for one in first] == [("ada/notebooks", SHA, "queued")]
    assert (await operator.post("/api/builds", json=asked)).json()["builds"] == first
    by_address = {"repository": "https://github.com/ada/notebooks", "ref": SHA}
    assert (await operator.post("/api/builds", json=by_address)).json()["builds"] == first
    repository = await add_repository(store, name="kept")
    await add_preview(store, repository, "main")
    await add_preview(store, repository, "held", sha="b" * 40, held="It waits.")
    everything = (await operator.post("/api/builds", json={"all": True})).json()["builds"]
    assert [(one["repository"], one["sha"]) for one in everything] == [("ada/kept", SHA)]


async def test_a_deployed_session_is_nobody_else_s(operator: httpx.AsyncClient, store: Store) -> None:
    repository = await add_repository(store)
    asked = {"repository": "ada/notebooks", "ref": SHA}
    waiting = (await operator.post("/api/sessions", json=asked)).json()
    assert (waiting["build"]["state"], waiting["session"]) == ("queued", None)
    async with store.write() as session:
        build = await session.get_one(Build, waiting["build"]["build"])
        build.state, build.result = BuildState.SUCCEEDED, {"image": "it"}
    deployed = (await operator.post("/api/sessions", json=asked)).json()["session"]
    assert is_session_id(deployed["session"])
    assert (deployed["state"], deployed["link"]) == ("wanted", None)
    launcher = Launcher(None, lambda: None)
    now = (await session_of(store, deployed["session"])).created_at
    clicked = await launch(store, Commit(repository, SHA), launcher, Quota(5, 5), now)
    assert isinstance(clicked.outcome, Wait)
    listed = (await operator.get("/api/lists/sessions")).json()["items"]
    assert len(listed) == 2, "whoever clicks has a session of their own started"
    async with store.write() as session:
        row = await session.get_one(Session, deployed["session"])
        row.state = SessionState.OPEN
    link = (await operator.get(f"/api/sessions/{deployed['session']}")).json()["link"]
    assert link.endswith(f"/s/{deployed['session']}/lab?token={row.token}")
    refused = await operator.post("/api/sessions", json={**asked, "mode": "multi-node"})
    assert "This binder has no modules" in refused.json()["message"]


async def test_a_token_of_an_operator_opens_no_visitor_s_session_and_makes_no_other_token(
    operator: httpx.AsyncClient, store: Store
) -> None:
    build = await add_build(store, await add_repository(store), result={"image": "it"})
    visitor_s = await add_session(store, build, SessionState.OPEN)
    asked = [
        *[f"/api/lists/{kind}?all=1" for kind in ("binders", "builds", "sessions")],
        *["/api/about", "/api/cluster", "/api/modules", f"/api/why?commit={SHA}", f"/api/builds/{build.id}"],
        *[f"/api/builds/{build.id}/log", f"/api/sessions/{visitor_s.id}"],
    ]
    for path in asked:
        answer = await operator.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert visitor_s.token not in answer.text
        assert TOKEN not in answer.text
    rendered = await operator.post("/api/render", json={"build": build.id})
    assert (rendered.status_code, visitor_s.token in rendered.text) == (200, False)
    assert (await operator.get(f"/api/sessions/{visitor_s.id}")).json()["link"] is None
    for path in ("/api/tokens", "/api/token", "/api/settings", "/api/app"):
        assert {(await operator.get(path)).status_code, (await operator.post(path)).status_code} == {404}


async def test_what_a_session_prints_commands_no_terminal(operator: httpx.AsyncClient, store: Store) -> None:
    row = await add_session(store, await add_build(store, await add_repository(store)), SessionState.OPEN)
    assert "\x1b" in SAID_BY_A_SESSION
    assert (await operator.get(f"/api/sessions/{row.id}/log")).text == "one red\ntwo\n"
