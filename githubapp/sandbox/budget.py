"""The rate limit: how many requests each caller has made, and the headers that say so.

Owns the count. Faults that play a spent limit are `faults`.
"""

import time
from dataclasses import dataclass, field

from githubapp.sandbox.access import Actor

REQUESTS_PER_HOUR = 5000
_WINDOW_SECONDS = 3600


@dataclass
class Budget:
    """How many requests each caller has made in the hour that runs; exceeding it refuses them.

    Source: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
    """

    limit: int = REQUESTS_PER_HOUR
    _used: dict[tuple[str, int], int] = field(default_factory=dict)

    def spend(self, actor: Actor) -> None:
        window = int(time.time()) // _WINDOW_SECONDS
        for key in [key for key in self._used if key[1] != window]:
            del self._used[key]
        self._used[actor.key, window] = self._used.get((actor.key, window), 0) + 1

    def rate(self, actor: Actor) -> dict[str, int]:
        window = int(time.time()) // _WINDOW_SECONDS
        used = self._used.get((actor.key, window), 0)
        remaining = max(0, self.limit - used)
        return {"limit": self.limit, "used": used, "remaining": remaining, "reset": (window + 1) * _WINDOW_SECONDS}

    def headers(self, actor: Actor) -> dict[str, str]:
        rate = {f"x-ratelimit-{name}": str(value) for name, value in self.rate(actor).items()}
        return {**rate, "x-ratelimit-resource": "core"}

    def is_spent(self, actor: Actor) -> bool:
        rate = self.rate(actor)
        return rate["used"] > rate["limit"]
