"""Holds the heads of one repository against what is kept of it: what differs is to be looked at again.

`differences` is pure. It is right to find too much: whoever looks asks GitHub once more, about that one ref.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from binder.lifecycle import DeliveryState
from binder.log import logger
from binder.settings import Settings
from binder.store import Store
from binder.store.tables import Preview
from githubapp.decisions import Cause
from githubapp.events import Kind, Look, RepositoryLook
from githubapp.looks import Finding, Looker
from githubapp.lookups import Lookups
from githubapp.records import MovedError
from githubapp.reports import Addresses
from githubapp.repositories import record_repository, unseen
from githubapp.values import PullRequest, RepositoryFacts

log = logger(__name__)

_MOST_LOOKS = 50


def differences(
    repository: RepositoryFacts,
    branches: Sequence[tuple[str, str]],
    pulls: Sequence[PullRequest],
    known: Sequence[Preview],
) -> list[Look]:
    """Return the refs to look at: tracked ones whose head is another one, the default branch, open pull requests."""
    heads, opened = dict(branches), {str(pull.number): pull for pull in pulls}
    kept = {(one.kind, one.ref): one for one in known}
    wanted = {ref for kind, ref in kept if kind == "branch"} | {repository.default_branch} & heads.keys()
    looks = [_look(repository, "branch", ref, heads.get(ref)) for ref in sorted(wanted) if _moved(ref, heads, kept)]
    numbers = {ref for kind, ref in kept if kind == "pull"} | opened.keys()
    for number in sorted(numbers, key=int):
        pull = opened.get(number)
        if _differs(pull, kept.get(("pull", number))):
            looks.append(_look(repository, "pull", number, pull.head_sha if pull else None))
    return looks


def _moved(ref: str, heads: Mapping[str, str], kept: Mapping[tuple[str, str], Preview]) -> bool:
    return heads.get(ref) != _head_of(kept.get(("branch", ref)))


def _differs(pull: PullRequest | None, preview: Preview | None) -> bool:
    if pull is None or preview is None or pull.head_sha != _head_of(preview):
        return (pull and pull.head_sha) != _head_of(preview)
    told = (pull.base_ref, pull.draft, list(pull.labels))
    return told != tuple((preview.facts or {}).get(key) for key in ("base_ref", "draft", "labels"))


def _head_of(preview: Preview | None) -> str | None:
    """Return the head that is known: one that its owners want no preview of is known too, one that ended is not."""
    return preview.head_sha if preview and (preview.live or preview.held) else None


def _look(repository: RepositoryFacts, kind: Kind, ref: str, sha: str | None) -> Look:
    place = repository.place
    return Look(kind, ref, sha, place.repository_id, place.installation_id)


class Comparer:
    """Compares repositories, one at a time."""

    def __init__(self, store: Store, github: Lookups, looker: Looker, settings: Settings) -> None:
        self._store = store
        self._github = github
        self._looker = looker
        self._host = settings.github_host
        self._signs_in = settings.signs_in
        self._addresses = Addresses(settings.url, settings.github_url)

    async def look(self, look: RepositoryLook, cause: Cause) -> Finding:
        """Look at a repository and at all of its refs that differ; return what becomes of the event."""
        facts = await self._looker.repository(look.repository_id, look.installation_id)
        if isinstance(facts, str):
            ended = self._looker.ends(look.repository_id, facts)
            return Finding(DeliveryState.ACTED, ended.reason, ended.write)
        if unseen(facts, signs_in=self._signs_in):
            return self._looker.hides(facts)
        count = await self.compare(facts, cause)
        return Finding(DeliveryState.ACTED, f"{count} of its heads were looked at again" if count else None)

    async def compare(self, facts: RepositoryFacts, cause: Cause) -> int:
        """Look at all refs of a repository that differ, and return how many did."""
        async with self._store.write() as session:
            row = await record_repository(session, self._host, facts, self._addresses)
        branches = await self._github.branches(facts.place)
        pulls = await self._github.open_pull_requests(facts.place)
        async with self._store.read() as session:
            known = list(await session.scalars(select(Preview).where(Preview.repository_id == row.id)))
        looks = differences(facts, branches.items, pulls.items, known)
        for look in looks[:_MOST_LOOKS]:
            await self._make(look, cause)
        if looks:
            log.info("heads_compared", repository=row.full_name, differed=len(looks), cause=cause.kind)
        return len(looks)

    async def _make(self, look: Look, cause: Cause) -> None:
        try:
            await self._looker.write(await self._looker.look(look), cause)
        except MovedError:
            log.info("head_moved_while_compared", ref=look.ref)  # whoever moved it has looked
