"""Which sessions there should be, decided: from what the store and the engine have to the next things to do.

Pure. Carrying it out is `deploy.keeper`'s; which free session a visitor gets is the proxy's.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from binder.lifecycle import BuildState, SessionState, is_final
from deploy.engine import Running
from deploy.facts import BuildFact, Ending, Kind, Patience, PoolFacts, PoolPlan, PreviewFact, SessionFact
from deploy.lifetime import words_of

# Whoever asked for a session is about to claim it.
CLAIM_WITHIN = timedelta(seconds=60)
LINK_STANDBY_LASTS = timedelta(minutes=10)
# Of what is not clicked on, a reviewer's link is the likeliest to be, and a badge leads to the default branch.
_PULL_COUNTS = 3
_DEFAULT_COUNTS = 2
# An image whose sessions fail is tried again, but not in a circle.
FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=10)

_READY = frozenset({SessionState.STANDBY, SessionState.OPEN})
_GIVEN_UP = frozenset({BuildState.FAILED, BuildState.SUPERSEDED, BuildState.CANCELLED})


def decide_pool(facts: PoolFacts, now: datetime) -> PoolPlan:
    """Return what to do next; once that is done and nothing else happened, there is nothing left to do."""
    dead = _dead(facts)
    live = _without(dead, [row for row in facts.sessions if not is_final(row.state)])
    aged = _aged(live, facts.patience, now)
    live = _without(aged, live)
    succeed, fail = _judged(facts, live)
    checking = [build for build in facts.builds if _is_checked(build) and build.id not in fail]
    kept = _affordable(facts, live, {build.kind for build in checking}, now)
    surplus = _surplus(facts.builds, live, {build.kind for build in (*checking, *kept)}, now)
    live = _without(surplus, live)
    room = _places(facts) - len(live)
    free = {row.kind for row in live if row.state is not SessionState.OPEN}
    needed = _missing((build for build in checking if build.id not in succeed), free)
    there = free | {build.kind for build in needed}
    spare = [build for build in _worth_trying(kept, facts.sessions, now) if build.kind not in there]
    ends = (*dead, *aged, *surplus, *_crowding(live, [build.kind for build in kept], -room, now))
    start = _startable(live, facts.sessions_at_most)
    return PoolPlan(
        succeed=tuple(succeed),
        fail=fail,
        want=(*needed, *spare[: max(0, room - len(needed))]),
        start=tuple(start),
        again=tuple(row.id for row in live if row.state is SessionState.STARTING and not row.is_held),
        end=ends,
        idle=_idle(live, facts.patience, now),
        remove=tuple(sorted(_orphans(facts) - {*start, *(ending.session_id for ending in ends)})),
    )


def kept_builds(previews: Iterable[PreviewFact], builds: Iterable[BuildFact]) -> list[BuildFact]:
    """Return the build that each live preview shows: that of its head, or else its newest, if it succeeded.

    The head may have been built for another preview: a branch and its pull request share a commit. The likeliest to be
    opened comes first; of those that are alike, the newest.
    """
    ready = sorted((one for one in builds if one.state is BuildState.SUCCEEDED and one.image), key=lambda one: one.id)
    at_head = {(one.repository_id, one.sha): one for one in ready}
    own = {one.preview_id: one for one in ready}
    kept: dict[Kind, BuildFact] = {}
    counts: Counter[Kind] = Counter()
    for preview in previews:
        build = at_head.get((preview.repository_id, preview.head_sha)) or own.get(preview.id)
        if build:
            kept[build.kind] = max(build, kept.get(build.kind, build), key=lambda one: one.id)
            counts[build.kind] += likelihood(preview)
    return sorted(kept.values(), key=lambda one: (-counts[one.kind], -one.id))


def likelihood(preview: PreviewFact) -> int:
    """Return how likely it is that somebody opens a preview next, in clicks."""
    return preview.opened + _PULL_COUNTS * preview.is_pull + _DEFAULT_COUNTS * preview.is_default


def _places(facts: PoolFacts) -> int:
    # One place is left to visitors of what the pool has no standby for.
    return facts.sessions_at_most - min(1, facts.sessions_at_most - 1)


def _affordable(
    facts: PoolFacts, live: Sequence[SessionFact], checked: Collection[Kind], now: datetime
) -> list[BuildFact]:
    """Return the builds that a standby is kept of: the likeliest to be opened, as many as the budget and the places
    that others leave allow.
    """
    there = {row.kind for row in live}
    kept = kept_builds(facts.previews, facts.builds)
    worth = {build.id for build in _worth_trying(kept, facts.sessions, now)}
    kept = [build for build in kept if build.id in worth or build.kind in there]
    others = sum(row.state is SessionState.OPEN for row in live) + len(set(checked) - {build.kind for build in kept})
    return kept[: max(0, min(facts.standbys_at_most, _places(facts) - others))]


def may_try_again(failures: Sequence[datetime], now: datetime) -> bool:
    """Whether it is time to start another session of a kind, others of which failed at these times."""
    if not failures:
        return True
    pause: timedelta = min(FIRST_PAUSE * 2 ** min(len(failures) - 1, 10), LONGEST_PAUSE)
    return now - max(failures) >= pause


def _is_checked(build: BuildFact) -> bool:
    return build.state is BuildState.CHECKING and build.image is not None and not build.awaits_check


def _without(endings: Iterable[Ending], rows: Iterable[SessionFact]) -> list[SessionFact]:
    gone = {ending.session_id for ending in endings}
    return [row for row in rows if row.id not in gone]


def _judged(facts: PoolFacts, live: Iterable[SessionFact]) -> tuple[list[int], dict[int, str]]:
    """Return the builds being checked of which a session works, and those of which one failed: id → its reason."""
    working = {row.kind for row in live if row.state in _READY}
    failed = {row.build_id: row.reason or "" for row in facts.sessions if row.state is SessionState.FAILED}
    checked = [build for build in facts.builds if _is_checked(build)]
    succeed = [build.id for build in checked if build.kind in working]
    return succeed, {one.id: failed[one.id] for one in checked if one.id in failed and one.id not in succeed}


def _missing(builds: Iterable[BuildFact], there: Collection[Kind]) -> list[BuildFact]:
    """Return a build of each kind that is not there, the newest first."""
    found = {build.kind: build for build in sorted(builds, key=lambda one: one.id) if build.kind not in there}
    return sorted(found.values(), key=lambda build: -build.id)


def _worth_trying(builds: Iterable[BuildFact], sessions: Iterable[SessionFact], now: datetime) -> list[BuildFact]:
    failures: dict[Kind, list[datetime]] = defaultdict(list)
    for row in sessions:
        if row.state is SessionState.FAILED and row.ended_at:
            failures[row.kind].append(row.ended_at)
    return [build for build in builds if may_try_again(failures[build.kind], now)]


def _startable(live: Iterable[SessionFact], sessions_at_most: int) -> list[str]:
    waiting = [row for row in live if row.state is SessionState.WANTED and not row.is_held]
    running = sum(1 for row in live) - len(waiting)
    waiting.sort(key=lambda row: (row.created_at, row.id))
    return [row.id for row in waiting[: max(0, sessions_at_most - running)]]


def _dead(facts: PoolFacts) -> list[Ending]:
    """Return the sessions that should be running and are not."""
    if facts.pods is None:
        return []
    return [_death(row, facts.pods.get(row.id)) for row in facts.sessions if _is_dead(row, facts.pods)]


def _is_dead(row: SessionFact, pods: Mapping[str, Running]) -> bool:
    return row.state in _READY and not (row.id in pods and pods[row.id].alive)


def _death(row: SessionFact, pod: Running | None) -> Ending:
    # No fault of the image's: the machine was restarted, say, or a visitor shut the server down.
    if pod is None:
        return Ending(row.id, row.state, SessionState.ENDED, "Its container is gone.")
    if pod.taken:
        return Ending(row.id, row.state, SessionState.ENDED, pod.reason or "It was taken away.")
    if row.state is SessionState.OPEN and pod.exit_code == 0:
        return Ending(row.id, row.state, SessionState.ENDED, "The notebook server was shut down.")
    return Ending(row.id, row.state, SessionState.FAILED, pod.reason or "It stopped running.")


def _surplus(
    builds: Iterable[BuildFact], live: Iterable[SessionFact], needed: Collection[Kind], now: datetime
) -> list[Ending]:
    """Return the sessions that nobody opened, and that nobody needs, or needs no more than one of."""
    by_id = {build.id: build for build in builds}
    standbys: dict[Kind, list[SessionFact]] = defaultdict(list)
    useless: list[SessionFact] = []
    for row in live:
        if row.state is SessionState.STANDBY:
            standbys[row.kind].append(row)
        elif row.state is not SessionState.OPEN and row.kind not in needed and _is_given_up(by_id.get(row.build_id)):
            useless.append(row)
    for kind, rows in standbys.items():
        # Visitors are given the oldest first.
        extra = sorted(rows, key=_readiness)[1 if kind in needed else 0 :]
        useless += [row for row in extra if now - _ready_at(row) >= _lasts(row, by_id, kind in needed)]
    return [Ending(row.id, row.state, SessionState.ENDED, "It was not needed any more.") for row in useless]


def _is_given_up(build: BuildFact | None) -> bool:
    return build is None or build.state in _GIVEN_UP


def _lasts(row: SessionFact, builds: Mapping[int, BuildFact], needed: bool) -> timedelta:
    of_link = row.build_id in builds and builds[row.build_id].preview_id is None
    return LINK_STANDBY_LASTS if of_link and not needed else CLAIM_WITHIN


def _crowding(live: Iterable[SessionFact], likely: Sequence[Kind], excess: int, now: datetime) -> list[Ending]:
    """Return the standbys, the least likely first, that make place for sessions that are waited for."""
    settled = [row for row in live if row.state is SessionState.STANDBY and now - _ready_at(row) >= CLAIM_WITHIN]
    rank = {kind: number for number, kind in enumerate(likely)}
    settled.sort(key=lambda row: (-rank.get(row.kind, len(rank)), _readiness(row)))
    leaving = settled[: max(0, excess)]
    return [Ending(row.id, row.state, SessionState.ENDED, "It made place for another session.") for row in leaving]


def _ready_at(row: SessionFact) -> datetime:
    return row.ready_at or row.created_at


def _readiness(row: SessionFact) -> tuple[datetime, str]:
    return (_ready_at(row), row.id)


def _idle(live: Iterable[SessionFact], patience: Patience, now: datetime) -> tuple[Ending, ...]:
    opened = [row for row in live if row.state is SessionState.OPEN]
    unused = [row for row in opened if now - (row.activity_at or _ready_at(row)) >= patience.idle]
    reason = f"Nobody used it for {words_of(patience.idle)}."
    return tuple(Ending(row.id, row.state, SessionState.ENDED, reason) for row in unused)


def _aged(live: Iterable[SessionFact], patience: Patience, now: datetime) -> list[Ending]:
    opened = [row for row in live if row.state is SessionState.OPEN]
    old = [row for row in opened if now - (row.opened_at or _ready_at(row)) >= patience.age]
    reason = f"It was open for {words_of(patience.age)}, the longest that a session may be."
    return [Ending(row.id, row.state, SessionState.ENDED, reason) for row in old]


def _orphans(facts: PoolFacts) -> set[str]:
    """Return the pods that no session has; one that is still wanted has none yet."""
    live = (row for row in facts.sessions if not is_final(row.state))
    return set(facts.pods or ()) - {row.id for row in live if row.state is not SessionState.WANTED or row.is_held}
