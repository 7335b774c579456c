"""What a repository's page tells of its previews and builds, in words; `rows_of` reads the store, all else is pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from binder.build_words import words_of_time
from binder.errors import VisitorFault
from binder.store.queries import has_lost_its_image
from binder.store.tables import Build, Preview, Repository
from proxy.build_facts import facts_of
from proxy.build_pages import start_again
from proxy.links import Link, link_to
from proxy.progress import words_of_state
from proxy.providers import named_of, provider_of

MOST_PREVIEWS: Final = 50
MOST_BUILDS: Final = 20


@dataclass(frozen=True)
class PreviewFacts:
    """A preview: `state` is a sentence or a word of its head's build, None where that is not built."""

    name: str
    sha: str
    state: str
    build: Build | None
    link: Link


@dataclass(frozen=True)
class BuildLine:
    """A build in a list: how it ended, and what it did; words that are empty are not known."""

    build: Build
    state: str
    way: str
    reused: str
    took: str


async def rows_of(
    session: AsyncSession, repository: Repository
) -> tuple[Sequence[Preview], Mapping[str, Build], Sequence[Build]]:
    """Return a repository's live previews, the newest build of each of their heads by its sha, and the last builds."""
    live = select(Preview).where(Preview.repository_id == repository.id, Preview.live)
    previews = (await session.scalars(live.order_by(Preview.updated_at.desc()).limit(MOST_PREVIEWS))).all()
    of_repository = Build.repository_id == repository.id
    heads = {preview.head_sha for preview in previews}
    newest = select(func.max(Build.id)).where(of_repository, Build.sha.in_(heads)).group_by(Build.sha)
    of_heads = await session.scalars(select(Build).where(Build.id.in_(newest)))
    last = select(Build).where(of_repository).order_by(Build.id.desc()).limit(MOST_BUILDS)
    return previews, {build.sha: build for build in of_heads}, (await session.scalars(last)).all()


def preview_facts(repository: Repository, preview: Preview, build: Build | None) -> PreviewFacts:
    """Return what is told of a preview whose head has this build."""
    name = preview.ref if preview.kind == "branch" else f"pull request {preview.ref}"
    return PreviewFacts(name, preview.head_sha, _state_of(preview, build), build, _link_to(repository, preview))


def _state_of(preview: Preview, build: Build | None) -> str:
    if preview.held:
        return preview.held
    return state_words(build) if build else "Not built yet"


def _link_to(repository: Repository, preview: Preview) -> Link:
    """Return the link to a branch; to the head where it is a pull request's, or the branch's name fits no link."""
    if preview.kind == "branch":
        try:
            return link_to(provider_of(repository).id, named_of(repository), preview.ref, {})
        except VisitorFault:
            pass
    return start_again(repository, preview.head_sha)


def state_words(build: Build) -> str:
    """Return how a build stands; one whose image is gone is built again when somebody opens it."""
    return "Succeeded, image removed since" if has_lost_its_image(build) else words_of_state(build)


def build_line(build: Build) -> BuildLine:
    """Return a build's line of a list."""
    facts = facts_of(build)
    began, ended = build.started_at, build.finished_at
    took = words_of_time((ended - began).total_seconds()) if began and ended else ""
    return BuildLine(build, state_words(build), facts.way, facts.reused, took)
