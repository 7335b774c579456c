"""What one address may start: counted, refilled, forgotten."""

from dataclasses import replace

import pytest
from starlette.requests import Request

from proxy.context import ProxyContext
from proxy.faults import TooManyError
from proxy.launch_limits import Account, LaunchLimits, launcher_keys, spent
from proxy.launches import Launches
from proxy.viewers import ANYBODY, Viewer


def request(*hops: str) -> Request:
    """Return a request that came this way."""
    headers = [(b"x-forwarded-for", ", ".join(hops).encode())] if hops else []
    return Request({"type": "http", "headers": headers, "client": ("192.0.2.9", 1)})


def test_an_account_refills_in_an_hour_and_never_holds_more() -> None:
    account = Account(60, 0)
    for _ in range(60):
        account = spent(account, 60, 0)
    assert account.left == 0
    assert spent(account, 60, 60).left == 0, "one a minute"
    assert spent(account, 60, 10_000_000).left == 59
    assert spent(None, 60, 0).left == 59


def test_who_started_too_much_is_told_when_to_come_back() -> None:
    limits = LaunchLimits(60)
    for _ in range(60):
        limits.start(["address one", "visitor 1"], 0)
    with pytest.raises(TooManyError) as refused:
        limits.start(["address one"], 30)
    assert refused.value.retry_after_seconds == 30
    with pytest.raises(TooManyError):
        limits.start(["address two", "visitor 1"], 30)
    for _ in range(60):
        limits.start(["address two"], 30)
    limits.start(["address one"], 60)


def test_there_may_be_no_limit() -> None:
    limits = LaunchLimits(0)
    for _ in range(1000):
        limits.start(["address one"], 0)


def test_the_last_hop_counts_which_haproxy_saw() -> None:
    assert launcher_keys(request("6.6.6.6", "192.0.2.1"), ANYBODY) == ["address 192.0.2.1/32"]
    assert launcher_keys(request(), Viewer(3, "bob")) == ["address 192.0.2.9/32", "visitor 3"]


def test_all_addresses_of_one_ipv6_network_count_as_one() -> None:
    one, other = (launcher_keys(request(text), ANYBODY) for text in ("2001:db8::1", "2001:db8::ffff:2"))
    assert one == other == ["address 2001:db8::/64"]
    assert launcher_keys(request("2001:db8:0:1::1"), ANYBODY) != one


async def test_what_a_stream_starts_counts_when_it_is_started(
    context: ProxyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = context.settings.model_copy(update={"launches_per_hour": 2})
    launcher = Launches(replace(context, settings=settings)).launcher(request("192.0.2.1"), ANYBODY, "ticket")
    now = [1000.0]
    monkeypatch.setattr("proxy.launches.time.monotonic", lambda: now[0])
    launcher.start()
    launcher.start()
    with pytest.raises(TooManyError):
        launcher.start()
    now[0] += 1800
    launcher.start()
