"""What a deployment says."""

import pytest

from binder.lifecycle import BuildState
from githubapp.deployments import deployment_of
from githubapp.values import Deployment
from tests.githubapp.shown import ADDRESSES, LINK, PAGE, THREE, build, facts, preview

RESULT = {"layers": THREE}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (BuildState.BUILDING, Deployment("in_progress", "Building: 2 of 3 layers re-used", None, PAGE)),
        (BuildState.SUCCEEDED, Deployment("success", "12 s, 2 of 3 layers re-used", LINK, PAGE)),
        (BuildState.FAILED, Deployment("failure", "Not built: see the log", None, f"{PAGE}#at-fault")),
        (BuildState.SUPERSEDED, None),
    ],
)
def test_the_states(state: BuildState, expected: Deployment | None) -> None:
    assert deployment_of(facts(build(state, result=RESULT), preview()), ADDRESSES) == expected


def test_there_is_none_before_something_is_built_nor_where_no_preview_is() -> None:
    assert deployment_of(facts(build(BuildState.QUEUED), preview()), ADDRESSES) is None
    assert deployment_of(facts(None, preview()), ADDRESSES) is None
    assert deployment_of(facts(build(BuildState.SUCCEEDED), preview(live=False)), ADDRESSES) is None


def test_one_preview_that_wants_it_is_enough() -> None:
    refused = preview(choices={"deployment": False})
    ready = build(BuildState.SUCCEEDED)
    assert deployment_of(facts(ready, refused), ADDRESSES) is None
    assert deployment_of(facts(ready, refused, preview("branch")), ADDRESSES)


def test_a_description_fits() -> None:
    fault = {"party": "repository", "message": "x" * 500}
    shown = deployment_of(facts(build(BuildState.FAILED, fault=fault), preview()), ADDRESSES)
    assert shown
    assert len(shown.description) == 140
