"""What programs are told of the service, in the form that BinderHub gives it."""

import re

import httpx

from proxy.about_service import offered_providers
from proxy.links import parse_link

RECORDS = ("zenodo", "figshare", "dataverse", "hydroshare", "ckan")


async def test_the_version_has_the_names_that_clients_know(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.get("/versions")
    told = answer.json()
    assert set(told) == {"builder", "binderhub"}
    assert told["builder"] == f"binder {told['binderhub']}"
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_form_can_be_drawn_of_what_is_offered(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.get("/api/repoproviders")
    assert answer.headers["access-control-allow-origin"] == "*"
    told = answer.json()
    assert [one["id"] for one in told] == ["gh", "gist", "gl", "git", *RECORDS]
    for one in told:
        assert set(one) == {"id", "displayName", "spec", "detect", "repo", "ref"}
        assert set(one["repo"]) == {"label", "placeholder"}
        has_refs = {"enabled": True, "default": "HEAD"}
        assert one["ref"] == ({"enabled": False} if one["id"] in RECORDS else has_refs)


def test_what_a_pattern_takes_is_a_link() -> None:
    examples = {
        "gh": "ada/x/main",
        "gist": "ada/0123456789abcdef/main",
        "gl": "group%2Fproject/main",
        "git": "https%3A%2F%2Fgit.example.org%2Fa/main",
        "zenodo": "10.5281/zenodo.3242074",
        "figshare": "10.6084/m9.figshare.9782777.v1",
        "dataverse": "10.7910/DVN/TJCLKP",
        "hydroshare": "0a" * 16,
        "ckan": "https%3A%2F%2Fdata.example.org%2Fdataset%2Fa",
    }
    for one in offered_providers(()):
        assert re.fullmatch(one["spec"]["validateRegex"], examples[one["id"]])
        assert parse_link(one["id"], examples[one["id"]], {}).ref == ("HEAD" if one["id"] in RECORDS else "main")


def test_an_address_is_recognised_by_its_host() -> None:
    detecting = {one["id"]: one["detect"].get("regex") for one in offered_providers(())}
    found = re.match(detecting["gh"].replace("?<", "?P<"), "https://github.com/ada/x/")
    assert found
    assert found["repo"] == "ada/x"
    found = re.match(detecting["zenodo"].replace("?<", "?P<"), "https://doi.org/10.5281/zenodo.1")
    assert found
    assert found["repo"] == "10.5281/zenodo.1"
    assert detecting["git"] is None


def test_git_servers_are_not_offered_where_none_may_be_named() -> None:
    assert not {"git", "ckan"} & {one["id"] for one in offered_providers(("none",))}
