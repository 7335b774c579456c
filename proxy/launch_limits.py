"""How much one address, or one visitor, may start in a while.

`spent` is pure. What is counted is kept in memory only, of so many at most, and forgotten when an hour has refilled it.
Pages that wait and ask again start nothing, and are not counted.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from starlette.requests import Request

from proxy.faults import TooManyError
from proxy.viewers import Viewer

_HOUR = 3600.0
_MOST_COUNTED = 50_000
# One who has an IPv6 address has all of these 64 bits.
_ONES_OWN_BITS = 64


@dataclass(frozen=True)
class Account:
    """What is left to start, as of `at`, in seconds of a clock that only goes on."""

    left: float
    at: float


def spent(account: Account | None, per_hour: int, now: float) -> Account:
    """Return the account after one more start; below 0 where that was one too many. It refills steadily in an hour."""
    left = per_hour if account is None else min(per_hour, account.left + (now - account.at) * per_hour / _HOUR)
    return Account(left - 1, now)


def launcher_keys(request: Request, viewer: Viewer) -> list[str]:
    """Return what a launch is counted for: the address that HAProxy saw, and the visitor."""
    hops = request.headers.get("x-forwarded-for", "").rpartition(",")
    address = hops[2].strip() or (request.client.host if request.client else "")
    visitor = [] if viewer.visitor_id is None else [f"visitor {viewer.visitor_id}"]
    return [f"address {_network(address)}", *visitor]


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    bits = 32 if parsed.version == 4 else _ONES_OWN_BITS
    return str(ipaddress.ip_network((parsed, bits), strict=False))


class LaunchLimits:
    """Counts what is started here; each replica counts for itself. With `per_hour` 0 nothing is counted."""

    def __init__(self, per_hour: int) -> None:
        self._per_hour = per_hour
        self._accounts: OrderedDict[str, Account] = OrderedDict()

    def start(self, keys: Sequence[str], now: float) -> None:
        """Count one start for each of `keys`.

        Raises: TooManyError, where that is one too many for one of them; nothing is counted then.
        """
        if not self._per_hour:
            return
        after = {key: spent(self._accounts.get(key), self._per_hour, now) for key in keys}
        lowest = min(account.left for account in after.values())
        if lowest < 0:
            seconds = ceil(-lowest * _HOUR / self._per_hour)
            raise TooManyError(
                f"From here, {self._per_hour} builds and sessions were started in the last hour, as many as this "
                "service allows. Please come back later; what is open stays open.",
                seconds,
            )
        for key, account in after.items():
            self._accounts[key] = account
            self._accounts.move_to_end(key)
        while len(self._accounts) > _MOST_COUNTED:
            self._accounts.popitem(last=False)
