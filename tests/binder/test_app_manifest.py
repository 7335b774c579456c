"""What the App asks for: the same in every place that says so, and no more than it needs."""

import json
from typing import Any

import pytest

from binder.app_manifest import (
    EVENTS,
    NOBODYS_WEBHOOK,
    PERMISSIONS,
    Registration,
    Wishes,
    default_name,
    registration,
)
from binder.errors import VisitorFault
from githubapp.sandbox.sandbox import DEFAULT_EVENTS, DEFAULT_PERMISSIONS

URL = "https://binder.example.org"


def registered(
    wishes: Wishes, *, github_url: str = "https://github.com", pulls: bool = False
) -> tuple[Registration, dict[str, Any]]:
    found = registration(wishes, url=URL, github_url=github_url, pulls_deliveries=pulls)
    return found, json.loads(found.manifest)


def test_permissions_and_events_are_those_that_the_rest_is_tested_with() -> None:
    assert set(EVENTS) == set(DEFAULT_EVENTS)
    assert {one.name: one.level for one in PERMISSIONS} == DEFAULT_PERMISSIONS
    assert {one.name for one in PERMISSIONS if one.level == "write"} == {
        "statuses",
        "checks",
        "deployments",
        "pull_requests",
    }
    assert all(one.reason.endswith(".") for one in PERMISSIONS)


def test_the_manifest_leads_back_to_the_service() -> None:
    found, manifest = registered(Wishes("Binder"))
    assert found.action == "https://github.com/settings/apps/new"
    assert manifest["hook_attributes"] == {"url": f"{URL}/webhooks/github", "active": True}
    assert manifest["redirect_url"] == f"{URL}/setup/created"
    assert manifest["setup_url"] == f"{URL}/setup/installed"
    assert manifest["callback_urls"] == [f"{URL}/sign-in/github"]
    assert manifest["url"] == URL
    assert manifest["public"] is False
    assert manifest["default_events"] == list(EVENTS)


def test_an_organization_and_another_host_have_addresses_of_their_own() -> None:
    found, manifest = registered(Wishes("Binder", " jupyter-lab ", public=True), github_url="https://git.example.org")
    assert found.action == "https://git.example.org/organizations/jupyter-lab/settings/apps/new"
    assert found.owner == "jupyter-lab"
    assert manifest["public"] is True


def test_where_deliveries_are_pulled_nobody_is_delivered_to() -> None:
    _, manifest = registered(Wishes("Binder"), pulls=True)
    assert manifest["hook_attributes"] == {"url": NOBODYS_WEBHOOK, "active": True}


@pytest.mark.parametrize(
    "wishes",
    [
        Wishes(""),
        Wishes("  "),
        Wishes("x" * 35),
        Wishes("x", "../evil"),
        Wishes("x", "a--b"),
        Wishes("x", "-a"),
        Wishes("x", "a/b"),
        Wishes("x", "a" * 40),
        Wishes("x", "jup?ter"),
    ],
)
def test_names_that_cannot_be_are_refused(wishes: Wishes) -> None:
    with pytest.raises(VisitorFault):
        registered(wishes)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://binder.example.org", "Binder binder.example.org"),
        ("https://notebooks.of.a.very.long.institute.example.org", "Binder notebooks.of.a.very.long.in"),
    ],
)
def test_the_name_that_is_proposed_is_short_enough(url: str, name: str) -> None:
    assert default_name(url) == name
    assert len(name) <= 34
