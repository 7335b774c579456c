"""`binder stop`, `logs`, `token` and what else is asked of a service, alone and elsewhere."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from binder.lifecycle import BuildState, SessionState
from binder.store import Store
from binder.store.api_tokens import add_token
from binder.store.tables import Session, utc_now
from tests.binder.cli.conftest import TOKEN, Desk
from tests.binder.cli.typed import typed
from tests.proxy.rows import SHA, add_build, add_log, add_repository, add_session, session_of

HOUR = timedelta(hours=1)


async def three_sessions(store: Store) -> tuple[str, str, str]:
    """Store a session that was used just now, one that nobody uses, and a standby."""
    build, now = await add_build(store, await add_repository(store)), utc_now()
    used = await add_session(store, build, SessionState.OPEN, opened_at=now - HOUR, activity_at=now)
    unused = await add_session(store, build, SessionState.OPEN, opened_at=now - HOUR, activity_at=now - HOUR)
    return used.id, unused.id, (await add_session(store, build)).id


async def test_sessions_that_nobody_uses_are_stopped(desk: Desk) -> None:
    used, unused, standby = await three_sessions(desk.store)
    ended = await typed("stop", "--inactive-since", "30", "--yes", "--json", env=desk.env)
    assert (ended.code, json.loads(ended.output)) == (0, [unused])
    row = await session_of(desk.store, unused)
    assert (row.state, row.reason) == (SessionState.ENDED, "An operator stopped it.")
    assert (await session_of(desk.store, used)).state is SessionState.OPEN
    assert (await session_of(desk.store, standby)).state is SessionState.STANDBY


async def test_one_and_all_are_stopped(desk: Desk) -> None:
    used, unused, standby = await three_sessions(desk.store)
    assert (await typed("stop", used, env=desk.env)).output == f"{used} is stopped.\n"
    again = await typed("stop", used, env=desk.env)
    assert (again.code, again.output) == (2, "")
    assert f"There is no session {used!r} that runs." in again.complaint
    asked = await typed("stop", "--all", env=desk.env)
    assert asked.code == 2
    assert "This stops 2 sessions, and nobody is here to be asked: say --yes." in asked.complaint
    assert (await session_of(desk.store, unused)).state is SessionState.OPEN
    done = json.loads((await typed("stop", "--all", "--yes", "--json", env=desk.env)).output)
    assert set(done) == {unused, standby}
    assert (await typed("stop", "--all", env=desk.env)).output == "No such session runs.\n"


@pytest.mark.parametrize("arguments", [[], ["--all", "--inactive-since", "5"], ["s" + "a" * 15, "--all"]])
async def test_what_is_to_be_stopped_is_said_once(arguments: list[str], alone: dict[str, str]) -> None:
    ended = await typed("stop", *arguments, env=alone)
    assert ended.code == 2
    assert "Say what to stop" in ended.complaint


async def test_a_build_s_log_is_printed_and_followed_to_its_end(desk: Desk) -> None:
    build = await add_build(desk.store, await add_repository(desk.store))
    await add_log(desk.store, build, "==> Fetching\nsecond \x1b[31mline\x1b[0m\n")
    for arguments in ([], ["--follow"]):
        ended = await typed("logs", str(build.id), *arguments, env=desk.env)
        assert ended == (0, "==> Fetching\nsecond line\n", "")
    growing = await add_build(desk.store, await add_repository(desk.store, name="other"), BuildState.BUILDING)
    await add_log(desk.store, growing, "so far\n")
    assert (await typed("logs", str(growing.id), env=desk.env)).output == "so far\n"


async def test_a_session_s_log_is_its_engine_s(desk: Desk) -> None:
    used, *_ = await three_sessions(desk.store)
    ended = await typed("logs", used, env=desk.env)
    assert ended.code == 4
    assert "This part of the service runs no sessions" in ended.complaint


async def test_a_service_whose_log_is_asked_for_must_be_one_of_the_session(desk: Desk) -> None:
    used, *_ = await three_sessions(desk.store)
    ended = await typed("logs", used, "--service", "postgres-server", env=desk.env)
    assert (ended.code, f"Session {used} has no service 'postgres-server'. It has none." in ended.complaint) == (
        2,
        True,
    )
    kept = {"title": "Store", "ready": True, "restarts": 0, "reason": None, "gave_up": False}
    async with desk.store.write() as session:
        (await session.get_one(Session, used)).services = {"services": {"store-server": kept}, "links": []}
    ended = await typed("logs", used, "--service", "postgres-server", env=desk.env)
    assert "It has store-server." in ended.complaint
    ended = await typed("logs", used, "--service", "store-server", env=desk.env)
    assert "This part of the service runs no sessions" in ended.complaint
    ended = await typed("logs", "12", "--service", "store-server", env=desk.env)
    assert (ended.code, "A build has no services" in ended.complaint) == (2, True)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("99", "There is no build 99."),
        ("s" + "a" * 15, f"There is no session s{'a' * 15}."),
        ("../etc", "'../etc' is neither the number of a build nor the id of a session"),
        ("9" * 20, "There is no such build."),
    ],
)
async def test_what_is_not_there_has_no_log(desk: Desk, what: str, says: str) -> None:
    ended = await typed("logs", what, env=desk.env)
    assert (ended.code, ended.output) == (2, "")
    assert says in ended.complaint


async def test_the_capacity_is_told(desk: Desk) -> None:
    await three_sessions(desk.store)
    said = json.loads((await typed("cluster", "--json", env=desk.env)).output)
    assert (said["engine"], said["places"], said["places_taken"], said["standbys"]) == ("podman", 5, 3, 1)
    (node,) = said["nodes"]
    assert node["is_ready"]
    assert node["memory_bytes"] > node["memory_free_bytes"] > 0
    table = (await typed("cluster", env=desk.env)).output
    assert "Places: 3 of 5 taken (0 wanted, 0 starting, 1 standby, 2 open)" in table


async def test_what_happened_to_a_commit_is_told(desk: Desk) -> None:
    await add_build(desk.store, await add_repository(desk.store), BuildState.QUEUED)
    said = json.loads((await typed("why", SHA[:8], "--json", env=desk.env)).output)
    assert (said["repository"], said["sha"], said["events"][0]["kind"]) == ("ada/notebooks", SHA, "build")
    unknown = await typed("why", "fffffff", env=desk.env)
    assert unknown.code == 2
    assert "Nothing is stored about a commit fffffff:" in unknown.complaint


async def test_the_modules_of_a_service_are_its_own(desk: Desk, alone: dict[str, str]) -> None:
    ended = await typed("modules", "list", "--json", env=desk.env)
    assert ended.code == 0, ended.complaint
    told = json.loads(ended.output)
    postgres = next(one for one in told if one["name"] == "postgres")
    assert postgres["modes"] == ["single-node", "multi-node"]
    assert {"name", "kind", "default", "allowed", "summary"} == set(postgres["parameters"][0])
    ended = await typed("list", "modules", "--json", env=alone)
    assert (ended.code, ended.complaint) == (0, "")
    assert json.loads(ended.output) == told


async def test_only_a_token_opens_the_service(desk: Desk) -> None:
    for token in ("another-token-altogether", TOKEN[:-1], TOKEN + "x"):
        ended = await typed("list", env={**desk.env, "BINDER_TOKEN": token})
        assert (ended.code, ended.output) == (2, "")
        assert "does not know this BINDER_TOKEN" in ended.complaint
        assert token not in ended.complaint
    now = utc_now()
    async with desk.store.write() as session:
        good = await add_token(session, "good", now, None)
        over = await add_token(session, "over", now, now - HOUR)
        assert await add_token(session, "good", now, None) is None
    assert (await typed("list", "--json", env={**desk.env, "BINDER_TOKEN": good or ""})).code == 0
    assert (await typed("list", "--json", env={**desk.env, "BINDER_TOKEN": over or ""})).code == 2


@pytest.mark.parametrize(
    ("env", "code", "says"),
    [
        ({"BINDER_TOKEN": "t" * 30}, 2, "set BINDER_URL to the address of its service"),
        ({"BINDER_TOKEN": "t" * 30, "BINDER_URL": "ftp://x"}, 2, "set BINDER_URL to the address of its service"),
        ({"BINDER_TOKEN": "t\r\nx: y", "BINDER_URL": "http://127.0.0.1:9"}, 2, "BINDER_TOKEN is no token"),
        ({"BINDER_TOKEN": "t" * 30, "BINDER_URL": "http://127.0.0.1:9"}, 5, "does not answer"),
    ],
)
async def test_a_service_that_cannot_be_asked_is_said(env: dict[str, str], code: int, says: str) -> None:
    ended = await typed("list", env=env)
    assert ended.code == code
    assert says in ended.complaint
    assert env["BINDER_TOKEN"] not in ended.complaint


@pytest.mark.usefixtures("own_store")
async def test_tokens_are_made_shown_and_removed(alone: dict[str, str]) -> None:
    made = await typed("token", "laptop", env=alone)
    assert made.code == 0
    token = made.output.strip()
    assert token.startswith("binder_")
    assert "shown this once" in made.complaint
    assert "There is a token 'laptop' already." in (await typed("token", "laptop", env=alone)).complaint
    listed = await typed("token", "--list", "--json", env=alone)
    assert [item["name"] for item in json.loads(listed.output)] == ["laptop"]
    assert token not in listed.output
    kept = b"".join(file.read_bytes() for file in Path(alone["BINDER_STATE_DIR"]).glob("binder.db*"))
    assert b"laptop" in kept
    assert token.encode() not in kept
    assert (await typed("token", "laptop", "--remove", env=alone)).code == 0
    assert (await typed("token", "laptop", "--remove", env=alone)).code == 2
    assert (await typed("token", env=alone)).code == 2


async def test_a_command_that_does_not_exist_is_answered_with_the_nearest(alone: dict[str, str]) -> None:
    ended = await typed("lits", env=alone)
    assert ended.code == 2
    assert "There is no command 'lits'. Did you mean list or logs?" in ended.complaint
    assert "There are: list, build" in (await typed("xyzzy", env=alone)).complaint
    assert "build-job" not in (await typed("build-jub", env=alone)).complaint


async def test_help_is_in_groups_and_has_examples(alone: dict[str, str]) -> None:
    text = (await typed("--help", env=alone)).output
    groups = ["Binders, builds and sessions:", "A repository of your own:", "Modules:", "Images:", "The service"]
    assert [text.index(group) for group in groups] == sorted(text.index(group) for group in groups)
    assert "build-job" not in text
    text = (await typed("stop", "--help", env=alone)).output
    assert "Examples:\n  binder stop s7k3mzq2vbnw4hxd\n" in text
