"""A watch on what kmock says in the API server's place: whatever happens to the connection, what is known is right."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import kmock as server_of_tests
import pytest
from kubernetes.aio.client import ApiClient, Configuration

from binder import cluster_watch
from binder.cluster_watch import LONGEST_PAUSE_SECONDS, ClusterWatch, Object, pause_after
from binder.errors import OperatorFault, WorldFault

_LOOKS, _LOOK_SECONDS = 1000, 0.01
_PATH = "/api/v1/namespaces/sessions/pods"


_GONE = server_of_tests.KubernetesError(status=410, reason="Expired")
_FORBIDDEN = server_of_tests.KubernetesError(status=403, reason="Forbidden", message="pods is forbidden")


class Speaker:
    """Answers in the API server's place: lists what is in `pods`, and says what a test tells it in a watch."""

    def __init__(self, server: server_of_tests.KubernetesEmulator) -> None:
        self.pods: dict[str, Object] = {}
        self.version = 1
        self.asked: list[dict[str, str]] = []
        self.late = asyncio.Event()
        self.late.set()
        self.refuses: Exception | None = None
        self._watches: asyncio.Queue[asyncio.Queue[Any]] = asyncio.Queue()
        answers: Any = server
        answers[server_of_tests.action.LIST] << self._list
        answers[server_of_tests.action.WATCH] << self._watch

    def put(self, name: str, uid: str, note: str = "") -> Object:
        """Have one more pod, or another in its place, and return it."""
        self.version += 1
        metadata = {"name": name, "uid": uid, "resourceVersion": str(self.version), "annotations": {"note": note}}
        self.pods[name] = {"metadata": metadata}
        return self.pods[name]

    def take(self, name: str) -> Object:
        """Have a pod no more, and return it as it was."""
        self.version += 1
        gone = self.pods.pop(name)
        return {"metadata": {**gone["metadata"], "resourceVersion": str(self.version)}}

    async def watched(self) -> "asyncio.Queue[Any]":
        """Wait for the next watch, and return where what it says is put: events, or what is done to the request."""
        return await asyncio.wait_for(self._watches.get(), 10)

    async def was_asked(self, times: int) -> None:
        """Wait until so many questions came."""
        for _ in range(_LOOKS):
            if len(self.asked) >= times:
                return
            await asyncio.sleep(_LOOK_SECONDS)
        raise AssertionError(f"it was asked {len(self.asked)} times")

    async def _list(self, request: server_of_tests.Request) -> object:
        self.asked.append(dict(request.params))
        found = [*self.pods.values()]  # of this moment, however late the answer comes
        version = str(self.version)
        await self.late.wait()
        begin = int(request.params.get("continue", "0"))
        end = begin + int(request.params["limit"])
        more = {"continue": str(end)} if end < len(found) else {}
        return {"metadata": {"resourceVersion": version, **more}, "items": found[begin:end] or None}

    async def _watch(self, request: server_of_tests.Request) -> AsyncIterator[object]:
        self.asked.append(dict(request.params))
        if self.refuses:
            raise self.refuses
        told: asyncio.Queue[Any] = asyncio.Queue()
        self._watches.put_nowait(told)
        yield b""
        while (event := await told.get()) is not None:
            if callable(event):
                event(request)
            else:
                yield event


def _cut(request: server_of_tests.Request) -> None:
    """Let the connection of a watch drop."""
    raw = request._raw_request
    assert raw
    assert raw.transport
    raw.transport.abort()


def _note(known: Object) -> str:
    return str(known["metadata"]["annotations"]["note"])


@pytest.fixture
def speaker(kmock: server_of_tests.KubernetesEmulator) -> Speaker:
    return Speaker(kmock)


@pytest.fixture
async def watch(speaker: Speaker, kmock: server_of_tests.KubernetesEmulator) -> AsyncIterator[ClusterWatch[str]]:
    async with ApiClient(Configuration(host=str(kmock.url).rstrip("/"))) as connection:
        watch = ClusterWatch(connection, _PATH, _note, selector="binder.instance=0123abcd")
        running = asyncio.create_task(watch.run())
        yield watch
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _until(watch: ClusterWatch[str], known: dict[str, str]) -> None:
    """Wait until this is what is known."""
    for _ in range(_LOOKS):
        if await watch.known() == known:
            return
        await asyncio.sleep(_LOOK_SECONDS)
    assert await watch.known() == known


async def test_what_is_there_is_known_and_what_changes(speaker: Speaker, watch: ClusterWatch[str]) -> None:
    speaker.put("a", "1", "old")
    told = await speaker.watched()
    assert await watch.known() == {"a": "old"}
    told.put_nowait({"type": "MODIFIED", "object": speaker.put("a", "1", "new")})
    told.put_nowait({"type": "ADDED", "object": speaker.put("b", "2")})
    await _until(watch, {"a": "new", "b": ""})
    told.put_nowait({"type": "DELETED", "object": speaker.take("a")})
    await _until(watch, {"b": ""})
    assert {query["labelSelector"] for query in speaker.asked} == {"binder.instance=0123abcd"}


async def test_a_long_list_comes_in_pages(speaker: Speaker, watch: ClusterWatch[str]) -> None:
    for number in range(600):
        speaker.put(f"pod-{number}", str(number))
    await speaker.watched()
    assert len(await watch.known()) == 600
    assert [query.get("continue") for query in speaker.asked] == [None, "250", "500", None]


async def test_a_watch_that_ends_goes_on_from_its_last_bookmark(speaker: Speaker, watch: ClusterWatch[str]) -> None:
    speaker.put("a", "1")
    told = await speaker.watched()
    told.put_nowait({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "77"}}})
    told.put_nowait(None)
    await speaker.watched()
    assert [query.get("resourceVersion") for query in speaker.asked] == [None, "2", "77"]
    assert all(query.get("allowWatchBookmarks") for query in speaker.asked[1:])
    assert await watch.known() == {"a": ""}


async def test_a_connection_that_drops_is_made_anew_from_where_it_was(
    speaker: Speaker, watch: ClusterWatch[str]
) -> None:
    told = await speaker.watched()
    told.put_nowait({"type": "ADDED", "object": speaker.put("a", "1")})
    await _until(watch, {"a": ""})
    told.put_nowait(_cut)
    told = await speaker.watched()
    assert [query.get("resourceVersion") for query in speaker.asked] == [None, "1", "2"]
    told.put_nowait({"type": "DELETED", "object": speaker.take("a")})
    await _until(watch, {})


def _expires(told: "asyncio.Queue[Any]", _speaker: Speaker) -> None:
    told.put_nowait({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})


def _expires_at_the_next(told: "asyncio.Queue[Any]", speaker: Speaker) -> None:
    speaker.refuses = _GONE
    told.put_nowait(None)


@pytest.mark.parametrize("expires", [_expires, _expires_at_the_next])
async def test_where_the_place_is_forgotten_all_is_listed_again(
    speaker: Speaker, watch: ClusterWatch[str], expires: Callable[["asyncio.Queue[Any]", Speaker], None]
) -> None:
    speaker.put("goes", "1")
    speaker.put("stays", "2", "old")
    told = await speaker.watched()
    assert await watch.known() == {"goes": "", "stays": "old"}
    speaker.take("goes")
    speaker.put("stays", "2", "new")
    speaker.put("comes", "3")
    expires(told, speaker)
    await _until(watch, {"stays": "new", "comes": ""})
    speaker.refuses = None
    await speaker.watched()


async def test_who_is_sent_away_again_and_again_comes_ever_more_rarely(
    speaker: Speaker, watch: ClusterWatch[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[int] = []
    enough = asyncio.Event()

    def count(number: int) -> float:
        failures.append(number)
        if number == 5:
            enough.set()
        return 0.0

    monkeypatch.setattr(cluster_watch, "pause_after", count)
    speaker.refuses = _GONE
    await asyncio.wait_for(enough.wait(), 10)
    speaker.refuses = None
    told = await speaker.watched()
    assert failures[:6] == [0, 1, 2, 3, 4, 5], "a list that succeeds between is no success"
    told.put_nowait({"type": "ADDED", "object": speaker.put("a", "1")})
    await _until(watch, {"a": ""})
    told.put_nowait(None)
    await speaker.watched()
    assert failures[-1] == 0


def test_pauses_grow_and_have_a_bound() -> None:
    longest = [max(pause_after(failures) for _ in range(50)) for failures in (0, 2, 4, 6)]
    assert longest == sorted(longest)
    assert all(0 < pause_after(failures) <= LONGEST_PAUSE_SECONDS for failures in (0, 1, 10, 10_000))


async def test_what_we_made_is_known_at_once_and_what_was_heard_of_it_is_newer(
    speaker: Speaker, watch: ClusterWatch[str]
) -> None:
    told = await speaker.watched()
    made = speaker.put("a", "1", "made")
    watch.made(made)
    assert await watch.known() == {"a": "made"}
    told.put_nowait({"type": "MODIFIED", "object": speaker.put("a", "1", "runs")})
    await _until(watch, {"a": "runs"})
    watch.made(made)
    assert await watch.known() == {"a": "runs"}


async def test_what_we_removed_is_gone_at_once_and_what_comes_late_about_it_is_old(
    speaker: Speaker, watch: ClusterWatch[str]
) -> None:
    known = speaker.put("a", "1")
    told = await speaker.watched()
    watch.removed("a", "1")
    assert await watch.known() == {}
    watch.made(speaker.put("a", "2", "again"))
    told.put_nowait({"type": "MODIFIED", "object": known})
    told.put_nowait({"type": "DELETED", "object": known})
    told.put_nowait({"type": "ADDED", "object": speaker.put("b", "3")})
    await _until(watch, {"a": "again", "b": ""})
    assert watch.uid_of("a") == "2"


async def test_a_list_that_comes_late_does_not_undo_what_was_done_meanwhile(
    speaker: Speaker, watch: ClusterWatch[str]
) -> None:
    speaker.put("ends", "1")
    told = await speaker.watched()
    assert await watch.known() == {"ends": ""}
    speaker.late.clear()
    _expires(told, speaker)
    await speaker.was_asked(3)
    watch.removed("ends", "1")
    speaker.take("ends")
    watch.made(speaker.put("begins", "2"))
    speaker.late.set()
    told = await speaker.watched()
    assert await watch.known() == {"begins": ""}
    told.put_nowait({"type": "DELETED", "object": speaker.take("begins")})
    await _until(watch, {})


async def test_changes_of_one_come_until_it_is_gone(speaker: Speaker, watch: ClusterWatch[str]) -> None:
    told = await speaker.watched()
    changes = watch.changes("a")
    assert await anext(changes) is None
    told.put_nowait({"type": "ADDED", "object": speaker.put("a", "1", "new")})
    assert await asyncio.wait_for(anext(changes), 10) == "new"
    told.put_nowait({"type": "DELETED", "object": speaker.take("a")})
    assert await asyncio.wait_for(anext(changes), 10) is None
    await changes.aclose()


async def test_who_may_not_look_is_told_so_and_not_for_ever(
    speaker: Speaker, watch: ClusterWatch[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker.put("a", "1")
    told = await speaker.watched()
    assert await watch.known() == {"a": ""}
    speaker.refuses = _FORBIDDEN
    told.put_nowait(None)
    await speaker.was_asked(3)
    assert await watch.known() == {"a": ""}, "what is known is good for a while"
    monkeypatch.setattr(cluster_watch, "TOLERATED_SECONDS", 0.0)
    with pytest.raises(OperatorFault, match="pods is forbidden"):
        await _until(watch, {})
    speaker.refuses = None
    await speaker.watched()
    assert await watch.known() == {"a": ""}


async def test_nobody_waits_for_ever_for_a_server_that_is_not_there() -> None:
    async with ApiClient(Configuration(host="http://127.0.0.1:1")) as connection:
        watch = ClusterWatch(connection, _PATH, _note)
        running = asyncio.create_task(watch.run())
        with pytest.raises(WorldFault, match="does not answer"):
            await watch.known()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
