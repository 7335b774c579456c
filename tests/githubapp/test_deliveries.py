"""GitHub's protocol for deliveries: signatures and headers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from githubapp.deliveries import parse, verify
from githubapp.events import Refusal
from tests.githubapp import payloads
from tests.githubapp.payloads import REPOSITORY_ID, SHA

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


def test_event_names_may_have_digits() -> None:
    assert read("projects_v2_item", {"action": "created"}).name == "projects_v2_item"


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
