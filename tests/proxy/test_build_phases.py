"""What the build API's clients are told, case by case."""

import json

import pytest

from binder.errors import BinderError, OperatorFault, VisitorFault, WorldFault
from binder.lifecycle import BuildState
from binder.store.tables import Build, Repository, Session
from proxy.build_phases import build_failed, failed, is_in_work, log_events, phases_at, ready, said
from proxy.links import Link
from proxy.providers import Named
from tests.proxy.rows import IMAGE, SHA

URL = "https://binder.example"


def a_build(state: BuildState = BuildState.SUCCEEDED, **values: object) -> Build:
    """Return a build that has made its image."""
    return Build(id=7, state=state, sha=SHA, result={"image": IMAGE}, **values)


@pytest.mark.parametrize(
    ("state", "phases"),
    [
        (BuildState.QUEUED, ["waiting"]),
        (BuildState.FETCHING, ["fetching"]),
        (BuildState.BUILDING, ["building"]),
        (BuildState.PUSHING, ["pushing"]),
        (BuildState.CHECKING, ["built", "launching"]),
        (BuildState.SUCCEEDED, ["built", "launching"]),
    ],
)
def test_each_state_has_phases_that_clients_know(state: BuildState, phases: list[str]) -> None:
    told = phases_at(a_build(state))
    assert [event["phase"] for event in told] == phases
    assert all(event["message"].endswith("\n") for event in told)
    if state is BuildState.PUSHING:
        assert told[0]["progress"] == {}
    if "built" in phases:
        assert told[0]["imageName"] == IMAGE


def test_notebooks_that_run_are_part_of_the_build() -> None:
    build = a_build(BuildState.CHECKING, awaits_check=True)
    assert is_in_work(build)
    (told,) = phases_at(build)
    assert (told["phase"], told["message"]) == ("building", "Built the image, running its notebooks...\n")
    assert not is_in_work(a_build(BuildState.CHECKING, awaits_check=False))


def test_a_line_of_the_log_is_one_event() -> None:
    assert log_events(["a", ""]) == [{"phase": "building", "message": "a\n"}, {"phase": "building", "message": "\n"}]


def test_an_event_is_one_line_whatever_it_holds() -> None:
    text = said({"phase": "building", "message": "a\r\n\u2028data: {}\n\n"})
    assert text.count("\n") == 2
    assert json.loads(text.removeprefix("data: ")) == {"phase": "building", "message": "a\r\n\u2028data: {}\n\n"}


def test_ready_says_where_and_what() -> None:
    repository = Repository(host="github.com", owner="ada", name="x", clone_url="https://github.com/ada/x.git")
    session = Session(id="sabcdefghijklmn2", token="t" * 43, image=IMAGE)
    address = f"{URL}/s/{session.id}/"
    assert ready(Link("gh", Named("ada", "x"), "main"), a_build(), repository, session, address, URL) == {
        "phase": "ready",
        "message": f"The server runs at {URL}/s/sabcdefghijklmn2/\n",
        "url": f"{URL}/s/sabcdefghijklmn2/",
        "token": "t" * 43,
        "image": IMAGE,
        "repo_url": "https://github.com/ada/x",
        "binder_ref_url": f"https://github.com/ada/x/tree/{SHA}",
        "binder_launch_host": f"{URL}/",
        "binder_request": "v2/gh/ada/x/main",
        "binder_persistent_request": f"v2/gh/ada/x/{SHA}",
    }


def test_a_folder_of_this_machine_is_told_to_nobody() -> None:
    repository = Repository(host="local", owner="me", name="x", clone_url="file:///home/me/secret")
    session = Session(id="sabcdefghijklmn2", token="t" * 43, image=IMAGE)
    event = ready(Link("local", Named("me", "x")), a_build(), repository, session, f"{URL}/s/{session.id}/", URL)
    assert event["repo_url"] == event["binder_ref_url"] == ""


@pytest.mark.parametrize(
    ("error", "status"), [(VisitorFault("no"), 404), (OperatorFault("no"), 500), (WorldFault("no"), 503)]
)
def test_a_fault_says_whose_it_is(error: BinderError, status: int) -> None:
    event = failed(error)
    assert (event["phase"], event["status_code"]) == ("failed", status)
    assert event["message"].endswith(" no\n")


def test_a_failed_build_says_where() -> None:
    fault = {"party": "repository", "message": "No such package.", "file": "requirements.txt", "line": 3}
    event = build_failed(a_build(BuildState.FAILED, fault=fault), URL)
    expected = "The repository needs a change. No such package. (requirements.txt line 3) More: "
    assert event == {"phase": "failed", "message": f"{expected}{URL}/builds/7\n"}
    assert "The build failed." in build_failed(a_build(BuildState.FAILED), URL)["message"]
