"""What a cluster has of one kind, known here all the time: by one list, and one watch that goes on from it.

Owns how a watch is kept up: it goes on where it was once its connection drops, lists again where the API server has
forgotten that place, and waits longer after each failure. Of each object no more is kept than its owner makes of it.
What we write ourselves is told (`made`, `removed`), so that whoever asks afterwards sees it. Who runs it, sees to its
end. Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from aiohttp import ClientError, ClientResponse, ClientTimeout
from kubernetes.aio.client import ApiClient, ApiException

from binder.cluster import FOUND, REQUEST_SECONDS, fault_of, read_answer
from binder.errors import BinderError, WorldFault
from binder.log import logger

log = logger(__name__)

Object: TypeAlias = Mapping[str, Any]
T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
# How long it may be out of touch before whoever asks is told so.
TOLERATED_SECONDS = 10.0

_GONE = 410
_PATIENCE = 5
_PAGE = 250
_WATCH_SECONDS = (240, 300)
# A bookmark comes each minute, whatever else does not.
_SILENCE = ClientTimeout(total=None, sock_connect=REQUEST_SECONDS, sock_read=100)
_FORMS = {
    False: ("application/json", "application/json"),
    True: (
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    ),
}
"""How a list and the events of a watch are asked for: whole, or with nothing of objects but their metadata."""


class _Kept(NamedTuple, Generic[T]):
    """What is known of an object; `round`: after how many lists were begun it was told of."""

    uid: str
    value: T
    round: int


class ClusterWatch(Generic[T]):
    """Objects of one kind by their names, and `keep` of each. `path` is their collection's, as `/api/v1/nodes`.

    `taken` is told what an object was like in the end that is gone, and that we did not remove.
    """

    def __init__(
        self,
        connection: ApiClient,
        path: str,
        keep: Callable[[Object], T],
        *,
        selector: str = "",
        only_metadata: bool = False,
        taken: Callable[[Object], None] | None = None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._keep = keep
        self._taken = taken
        self._query = [("labelSelector", selector)] if selector else []
        self._forms = _FORMS[only_metadata]
        self._kept: dict[str, _Kept[T]] = {}
        self._removed: dict[str, int] = {}
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._news = asyncio.Event()
        self._is_listed = False
        self._version = ""
        self._round = 0
        self._failures = 0
        self._heard_at = time.monotonic()
        self._fault: BinderError | None = None

    async def run(self) -> None:
        """Keep it up, until it is cancelled."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._follow()
            except ApiException as error:
                self._failed(error)
            except (ClientError, TimeoutError):
                self._fault = WorldFault("The cluster's API server does not answer.")
            except Exception as error:
                log.exception("cluster_watch_broke", path=self._path)
                self._version, self._fault = "", WorldFault(f"The cluster's API server cannot be understood: {error}")
            self._news.set()
            await asyncio.sleep(pause_after(self._failures))
            self._failures += 1

    def _failed(self, error: ApiException) -> None:
        if error.status != _GONE:
            self._fault = fault_of(error)
        if error.status == _GONE or self._failures >= _PATIENCE:
            self._version = ""  # the place that we know is none any more: a server may have been set back

    async def known(self) -> Mapping[str, T]:
        """Return what there is: name → what is kept of it.

        Raises: OperatorFault; WorldFault: it is out of touch, and has been for a while.
        """
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                while not self._is_listed and not self._fault:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            raise WorldFault("The cluster's API server does not answer.") from error
        self.check()
        return {name: kept.value for name, kept in self._kept.items()}

    def check(self) -> None:
        """See that it is in touch.

        Raises: OperatorFault; WorldFault.
        """
        if self._fault and not (self._is_listed and time.monotonic() - self._heard_at < TOLERATED_SECONDS):
            raise self._fault

    def __contains__(self, name: str) -> bool:
        return name in self._kept

    async def changes(self, name: str) -> AsyncGenerator[T | None]:
        """Give what is kept of one object as it is, and again after each change, without end; None: it is not there."""
        event = asyncio.Event()
        self._waiting[name].add(event)
        try:
            while True:
                event.clear()
                kept = self._kept.get(name)
                yield kept and kept.value
                await event.wait()
        finally:
            self._waiting[name].discard(event)
            if not self._waiting[name]:
                del self._waiting[name]

    def made(self, created: Object) -> None:
        """Take in what we made, as the API server gave it back; what was heard of it meanwhile is newer."""
        name, uid = created["metadata"]["name"], created["metadata"]["uid"]
        if name not in self._kept or self._kept[name].uid != uid:
            self._put(created)

    def uid_of(self, name: str) -> str | None:
        """Return the uid of an object; None: it is not there."""
        kept = self._kept.get(name)
        return kept and kept.uid

    def removed(self, name: str, uid: str) -> None:
        """Take in that we removed an object; what is still on its way about it is old."""
        self._removed[uid] = self._round
        if self.uid_of(name) == uid:
            self._drop(name)

    async def _list(self) -> None:
        """Take in all that there is, and from where a watch goes on."""
        self._round += 1
        found: set[str] = set()
        place = ""
        while True:
            page = await self._read_page(place)
            for item in page["items"] or ():
                self._put(item)
                found.add(item["metadata"]["name"])
            place = page["metadata"].get("continue", "")
            if not place:
                break
        # What we made while it was listed need not be in the list; what we removed before, cannot.
        for name in [name for name, kept in self._kept.items() if name not in found and kept.round < self._round]:
            self._drop(name)
        self._removed = {uid: round_ for uid, round_ in self._removed.items() if round_ == self._round}
        self._version = page["metadata"]["resourceVersion"]
        self._heard()
        self._is_listed = True
        self._news.set()

    async def _read_page(self, place: str) -> Any:
        query = [("limit", str(_PAGE)), ("continue", place)] if place else [("limit", str(_PAGE))]
        answer = await self._ask(self._forms[0], query, ClientTimeout(total=REQUEST_SECONDS))
        _, page = await read_answer(answer)
        return page

    async def _follow(self) -> None:
        """Take in what changes, until the API server ends it or the connection drops."""
        query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self._version),
            ("timeoutSeconds", str(random.randint(*_WATCH_SECONDS))),  # noqa: S311 - spreads load
        ]
        answer = await self._ask(self._forms[1], query, _SILENCE)
        try:
            if answer.status != FOUND:
                await read_answer(answer)
            self._heard()
            began = self._heard_at
            async for line in answer.content:
                self._take(json.loads(line))
                self._failures = 0
            if time.monotonic() - began > LONGEST_PAUSE_SECONDS:
                self._failures = 0
        finally:
            self._heard_at = time.monotonic()
            answer.close()

    async def _ask(self, form: str, query: Iterable[tuple[str, str]], limit: ClientTimeout) -> ClientResponse:
        request: Any = await self._connection.param_serialize(
            "GET",
            self._path,
            query_params=[*self._query, *query],
            header_params={"Accept": form},
            auth_settings=["BearerToken"],
        )
        call: Any = self._connection.call_api
        response: ClientResponse = (await call(*request, _request_timeout=limit)).response
        return response

    def _take(self, event: Object) -> None:
        """Take in an event of the watch.

        Raises: ApiException, where it says that there is no more.
        """
        known = event["object"]
        if event["type"] == "ERROR":
            raise ApiException(status=known["code"], reason=known.get("reason"), body=json.dumps(known))
        if event["type"] == "DELETED":
            name, uid = known["metadata"]["name"], known["metadata"]["uid"]
            self._removed.pop(uid, None)
            if self.uid_of(name) == uid:
                if self._taken:
                    self._taken(known)
                self._drop(name)
        elif event["type"] != "BOOKMARK":
            self._put(known)
        self._version = known["metadata"]["resourceVersion"]

    def _heard(self) -> None:
        self._heard_at, self._fault = time.monotonic(), None

    def _put(self, known: Object) -> None:
        name, uid = known["metadata"]["name"], known["metadata"]["uid"]
        if uid in self._removed:
            return
        self._kept[name] = _Kept(uid, self._keep(known), self._round)
        self._tell(name)

    def _drop(self, name: str) -> None:
        del self._kept[name]
        self._tell(name)

    def _tell(self, name: str) -> None:
        for event in self._waiting.get(name, ()):
            event.set()


def pause_after(failures: int) -> float:
    """Return how many seconds to wait before the next attempt; not all who failed together come back together."""
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 20))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load
