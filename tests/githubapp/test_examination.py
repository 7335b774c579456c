"""What an operator is told of the App: what it lacks, and that GitHub does not get through."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from binder.app_manifest import EVENTS, PERMISSIONS
from binder.errors import OperatorFault
from githubapp.examination import Examined, complaints_about, examine_app
from githubapp.values import AppFacts, HookDelivery
from tests.githubapp.workshop import Workshop

NOW = datetime(2026, 3, 1, tzinfo=UTC)
APP = AppFacts("https://github.com/apps/binder", {one.name: one.level for one in PERMISSIONS}, EVENTS)
GOOD = HookDelivery(2, "good", "push", NOW, "OK", 202)
LOST = HookDelivery(1, "lost", "push", NOW, "timed out", 0)


def told(app: AppFacts = APP, *deliveries: HookDelivery, pulls: bool = False) -> str:
    return "\n".join(
        complaints_about(Examined(app, deliveries), url="https://binder.example.org", pulls_deliveries=pulls)
    )


def test_where_all_is_well_nothing_is_said() -> None:
    assert told() == told(APP, GOOD) == told(APP, LOST, GOOD) == ""
    more = replace(APP, permissions={**APP.permissions, "contents": "write", "members": "read"})
    assert told(more) == ""


def test_what_is_lacking_is_named() -> None:
    weaker = {**APP.permissions, "checks": "read"}
    del weaker["issues"]
    said = told(replace(APP, permissions=weaker, events=["push"]))
    assert "lacks permissions: Checks: write, Issues: read." in said
    assert "create, delete, pull_request" in said
    assert "https://github.com/apps/binder" in said


def test_a_webhook_that_is_not_reached_is_said_unless_deliveries_are_pulled() -> None:
    said = told(APP, *[LOST] * 10, GOOD)
    assert "timed out" in said
    assert "https://binder.example.org/webhooks/github" in said
    assert told(APP, LOST, pulls=True) == ""


async def test_it_is_asked_of_github(workshop: Workshop) -> None:
    app = workshop.sandbox.world.state.apps[workshop.app.app_id]
    assert await examine_app(workshop.settings) == []
    workshop.sandbox.world.state.apps[app.id] = replace(app, events=("create",))
    (complaint,) = await examine_app(workshop.settings)
    assert "push" in complaint


async def test_an_app_that_github_does_not_know_is_said(workshop: Workshop) -> None:
    stranger = workshop.settings.model_copy(update={"github_app_id": 999_999})
    with pytest.raises(OperatorFault, match="does not accept the App's credentials"):
        await examine_app(stranger)
