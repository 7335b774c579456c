"""GitHub's protocol for deliveries: signatures, headers, and what each event asks for."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from githubapp.events import Ignored, Look, Refusal, look_of, parse, verify
from tests.githubapp import payloads
from tests.githubapp.payloads import INSTALLATION_ID, REPOSITORY_ID, SHA

# Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
VECTOR_SECRET = "It's a Secret to Everybody"
VECTOR_BODY = b"Hello, World!"
VECTOR_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def test_the_documented_vector_passes() -> None:
    assert verify(VECTOR_BODY, VECTOR_SIGNATURE, [VECTOR_SECRET])


def test_a_secret_that_is_being_retired_still_signs() -> None:
    assert verify(VECTOR_BODY, VECTOR_SIGNATURE, ["the new one", VECTOR_SECRET])


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "sha256=",
        VECTOR_SIGNATURE[:-1],
        VECTOR_SIGNATURE[:-1] + "8",
        VECTOR_SIGNATURE.upper(),
        VECTOR_SIGNATURE.removeprefix("sha256="),
        "sha1=757107ea0eb2509fc211221cce984b8a37570b6d",
        "sha256=ünïcödé",
        "sha256=\udc80",
    ],
)
def test_any_other_signature_is_refused(signature: str | None) -> None:
    assert not verify(VECTOR_BODY, signature, [VECTOR_SECRET])


def test_nothing_is_signed_without_a_secret() -> None:
    assert not verify(VECTOR_BODY, payloads.signature(VECTOR_BODY, ""), [])
    assert not verify(VECTOR_BODY, payloads.signature(VECTOR_BODY, ""), [""])


@given(st.binary(max_size=200), st.text(min_size=1, max_size=50).filter(str.isprintable))
def test_what_is_signed_is_verified_and_nothing_else(body: bytes, secret: str) -> None:
    signature = payloads.signature(body, secret)
    assert verify(body, signature, ["other", secret])
    assert not verify(body + b" ", signature, [secret])


def read(event: str, payload: object, **headers: str) -> Any:
    body, sent = payloads.signed(event, payload, "secret")
    return parse({**sent, **headers}, body)


def test_a_delivery_is_read_and_cut_down_to_what_is_needed() -> None:
    event = read("push", payloads.push(pusher={"email": "ada@example.org"}, commits=[{"message": "private"}]))
    assert (event.name, event.guid) == ("push", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
    assert event.payload == {
        "ref": "refs/heads/main",
        "after": SHA,
        "deleted": False,
        "repository": {"id": REPOSITORY_ID},
    }


def test_header_names_have_no_case_and_the_media_type_may_have_parameters() -> None:
    body, sent = payloads.signed("push", payloads.push(), "secret")
    headers = {name.title(): value for name, value in sent.items()}
    assert parse({**headers, "Content-Type": "Application/JSON; charset=utf-8"}, body).name == "push"


@pytest.mark.parametrize(
    ("payload", "headers", "status"),
    [
        (payloads.push(), {"content-type": "application/x-www-form-urlencoded"}, 415),
        (payloads.push(), {"content-type": ""}, 415),
        (payloads.push(), {"x-github-event": ""}, 400),
        (payloads.push(), {"x-github-event": "push; drop"}, 400),
        (payloads.push(), {"x-github-delivery": ""}, 400),
        (payloads.push(), {"x-github-delivery": "x" * 101}, 400),
        (b"", {}, 400),
        (b"{", {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"[]", {}, 400),
        (b'"push"', {}, 400),
        (b"[" * 100_000, {}, 400),
    ],
)
def test_what_is_no_delivery_is_refused(payload: object, headers: dict[str, str], status: int) -> None:
    with pytest.raises(Refusal) as refused:
        read("push", payload, **headers)
    assert refused.value.status == status


BRANCH = Look("branch", "main", SHA, REPOSITORY_ID, None)
PULL = Look("pull", "7", SHA, REPOSITORY_ID, INSTALLATION_ID)
PULL_ENDED = Look("pull", "7", None, REPOSITORY_ID, INSTALLATION_ID)
FORK = {"id": 9, "fork": True}


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("push", payloads.push(), BRANCH),
        ("push", payloads.push("refs/heads/feature/ünï"), Look("branch", "feature/ünï", SHA, REPOSITORY_ID, None)),
        (
            "push",
            payloads.push(**payloads.installation()),
            Look("branch", "main", SHA, REPOSITORY_ID, INSTALLATION_ID),
        ),
        ("push", payloads.deletion(), Look("branch", "main", None, REPOSITORY_ID, None)),
        ("push", payloads.push(deleted=None), BRANCH),
        ("pull_request", payloads.pull_request("opened", head_repository=payloads.repository()), PULL),
        ("pull_request", payloads.pull_request("reopened", head_repository=FORK), PULL),
        ("pull_request", payloads.pull_request("synchronize", head_repository=None), PULL),
        ("pull_request", payloads.pull_request("closed"), PULL_ENDED),
    ],
)
def test_an_event_says_which_ref_to_look_at(name: str, payload: dict[str, Any], expected: Look) -> None:
    assert look_of(name, read(name, payload).payload) == expected


@pytest.mark.parametrize(
    ("name", "payload", "reason"),
    [
        ("push", payloads.push("refs/tags/v1"), "only branches are built, no tags or other refs"),
        ("push", payloads.deletion("refs/tags/v1"), "only branches are built, no tags or other refs"),
        ("push", payloads.push("refs/heads/../x"), "only branches are built, no tags or other refs"),
        ("pull_request", payloads.pull_request("edited"), "pull_request.edited is not acted on"),
        ("pull_request", payloads.pull_request("labeled"), "pull_request.labeled is not acted on"),
        ("installation", {"action": "created", **payloads.installation()}, "installation.created is not acted on"),
        ("installation_repositories", {"action": "added"}, "installation_repositories.added is not acted on"),
        ("repository", {"action": "renamed"}, "repository.renamed is not acted on"),
        ("ping", {"zen": "Design for failure.", "hook_id": 1}, "ping is not acted on"),
        ("some_event_of_tomorrow", {"action": {"not": "text"}}, "some_event_of_tomorrow is not acted on"),
    ],
)
def test_all_other_events_are_ignored_with_a_reason(name: str, payload: dict[str, Any], reason: str) -> None:
    assert look_of(name, read(name, payload).payload) == Ignored(reason)


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("push", {"ref": "refs/heads/main", "after": SHA}),
        ("push", {"ref": "refs/heads/main", "after": SHA, "repository": {"id": "1"}}),
        ("push", {"ref": "refs/heads/main", "after": SHA, "repository": []}),
        ("push", {"ref": "refs/heads/main", "after": "abc", "repository": {"id": 1}}),
        ("push", {"after": SHA, "repository": {"id": 1}}),
        ("pull_request", {"action": "opened", "number": 7, "repository": {"id": 1}}),
        ("pull_request", {"action": "opened", "number": "7", "pull_request": {"head": {"sha": SHA}}}),
        ("pull_request", {"action": "opened", "number": 7, "pull_request": None}),
    ],
)
def test_an_event_that_names_nothing_is_refused(name: str, payload: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        look_of(name, read(name, payload).payload)
    assert refused.value.status == 400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        name: json_values | st.just(payloads.push().get(name, SHA))
        for name in ("action", "ref", "after", "deleted", "number", "repository", "installation", "pull_request")
    },
)


@given(st.sampled_from(["push", "pull_request", "ping"]), fields)
def test_no_payload_leads_to_anything_but_an_answer_or_a_refusal(name: str, payload: dict[str, Any]) -> None:
    kept = read(name, payload).payload
    assert json.loads(json.dumps(kept)) == kept
    with contextlib.suppress(Refusal):
        assert isinstance(look_of(name, kept), Look | Ignored)
