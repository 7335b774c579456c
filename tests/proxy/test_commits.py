"""Which commit a link means, and to whom a repository does not exist."""

import asyncio

import pytest
from sqlalchemy import select

from binder.errors import VisitorFault
from binder.store import Store
from binder.store.tables import Repository
from proxy.access import Access
from proxy.commits import CommitFinder
from proxy.context import ProxyContext
from proxy.links import Link
from proxy.providers import Named
from tests.proxy.fakes import FakeResolver
from tests.proxy.rows import SHA, add_build, add_preview, add_repository

GITHUB = "https://github.com"
CLONE_URL = f"{GITHUB}/ada/notebooks.git"
OTHER_SHA = "f" * 40


def link(ref: str = "HEAD", *, provider: str = "gh") -> Link:
    """Return a link to ada/notebooks."""
    return Link(provider, Named("ada", "notebooks"), ref)


@pytest.fixture
def finder(context: ProxyContext, resolver: FakeResolver) -> CommitFinder:
    """A finder of github.com's commits."""
    return finder_at(context, GITHUB, resolver)


def finder_at(context: ProxyContext, github_url: str, resolver: FakeResolver) -> CommitFinder:
    """Return a finder of the commits of a host."""
    settings = context.settings.model_copy(update={"github_url": github_url})
    return CommitFinder(context.store, resolver, settings, Access(context), context.sign_in)


async def repositories_in(store: Store) -> list[Repository]:
    """Return all repositories."""
    async with store.read() as session:
        return list((await session.scalars(select(Repository))).all())


class TestOtherHosts:
    URL = "https://git.example/Ada/x"
    LINK = Link("git", Named("Ada", "x", "https://git.example"), "main")

    async def test_they_are_rows_of_their_own_that_nobody_trusts(
        self, store: Store, finder: CommitFinder, resolver: FakeResolver
    ) -> None:
        resolver.refs[self.URL, "main"] = SHA
        commit = await finder.find(self.LINK)
        assert (commit.sha, commit.untrusted) == (SHA, True)
        assert (commit.repository.host, commit.repository.clone_url) == ("https://git.example", self.URL)
        assert (await finder.find(self.LINK)).repository.id == commit.repository.id
        resolver.refs[self.URL.lower(), "main"] = OTHER_SHA
        other = await finder.find(Link("git", Named("ada", "x", "https://git.example"), "main"))
        assert (other.sha, other.repository.id == commit.repository.id) == (OTHER_SHA, False)

    async def test_what_is_private_on_github_is_so_by_its_address(self, store: Store, finder: CommitFinder) -> None:
        await add_repository(store, private=True)
        with pytest.raises(VisitorFault, match="that you may see"):
            await finder.find(Link("git", Named("ada", "notebooks.git", GITHUB), SHA))

    async def test_where_nothing_of_strangers_is_built_they_are_refused(
        self, context: ProxyContext, resolver: FakeResolver
    ) -> None:
        resolver.refs[self.URL, "main"] = SHA
        settings = context.settings.model_copy(update={"fork_builds_at_once": 0})
        own = CommitFinder(context.store, resolver, settings, Access(context), context.sign_in)
        with pytest.raises(VisitorFault, match="other hosts than GitHub"):
            await own.find(self.LINK)


class TestKnownRepositories:
    async def test_a_sha_is_itself(self, store: Store, finder: CommitFinder, resolver: FakeResolver) -> None:
        repository = await add_repository(store)
        commit = await finder.find(link(SHA))
        assert (commit.repository.id, commit.sha, resolver.asked) == (repository.id, SHA, [])

    async def test_a_live_preview_knows_its_head(
        self, store: Store, finder: CommitFinder, resolver: FakeResolver
    ) -> None:
        repository = await add_repository(store, default_branch="trunk")
        await add_preview(store, repository, "trunk")
        assert (await finder.find(link("trunk"))).sha == SHA
        assert (await finder.find(link("HEAD"))).sha == SHA
        assert resolver.asked == []

    async def test_a_branch_whose_head_is_held_stands_for_the_last_one_that_can_be_opened(
        self, store: Store, finder: CommitFinder
    ) -> None:
        repository = await add_repository(store)
        branch = await add_preview(store, repository, "trunk", held="no path of it is among those of binder.yml")
        assert (await finder.find(link("trunk"))).sha == SHA
        await add_build(store, repository, sha=OTHER_SHA, preview_id=branch.id)
        assert (await finder.find(link("trunk"))).sha == OTHER_SHA
        assert (await finder.find(link(SHA))).sha == SHA

    async def test_the_server_is_asked_for_what_no_preview_knows(
        self, store: Store, finder: CommitFinder, resolver: FakeResolver
    ) -> None:
        repository = await add_repository(store)
        await add_preview(store, repository, "gone", live=False)
        resolver.refs[CLONE_URL, "gone"] = OTHER_SHA
        assert (await finder.find(link("gone"))).sha == OTHER_SHA

    @pytest.mark.parametrize("ref", ["master", "main"])
    async def test_an_old_default_falls_back_to_todays(
        self, store: Store, finder: CommitFinder, resolver: FakeResolver, ref: str
    ) -> None:
        await add_repository(store)
        resolver.refs[CLONE_URL, "HEAD"] = SHA
        assert (await finder.find(link(ref))).sha == SHA

    async def test_another_branch_does_not(self, store: Store, finder: CommitFinder, resolver: FakeResolver) -> None:
        await add_repository(store)
        resolver.refs[CLONE_URL, "HEAD"] = SHA
        with pytest.raises(VisitorFault, match="no branch, tag or commit 'typo'"):
            await finder.find(link("typo"))

    async def test_the_name_is_found_in_any_case(self, store: Store, finder: CommitFinder) -> None:
        repository = await add_repository(store, owner="Ada", name="Notebooks")
        assert (await finder.find(link(SHA))).repository.id == repository.id


class TestForks:
    """GitHub gives out the commits of all forks as if they were the repository's own."""

    async def test_a_sha_that_no_ref_of_the_repository_showed_may_be_a_forks(
        self, store: Store, finder: CommitFinder
    ) -> None:
        repository = await add_repository(store, installation_id=5)
        assert (await finder.find(link(SHA))).untrusted
        await add_preview(store, repository, "2", kind="pull", from_fork=True, approved_sha=SHA)
        assert (await finder.find(link(SHA))).untrusted
        await add_preview(store, repository, "main")
        assert not (await finder.find(link(SHA))).untrusted

    async def test_a_branch_or_tag_is_the_repositorys(
        self, store: Store, finder: CommitFinder, resolver: FakeResolver
    ) -> None:
        await add_repository(store, installation_id=5)
        resolver.refs[CLONE_URL, "v1"] = SHA
        assert not (await finder.find(link("v1"))).untrusted

    async def test_where_the_app_is_not_installed_nothing_is_trusted_more(
        self, store: Store, finder: CommitFinder
    ) -> None:
        await add_repository(store)
        assert not (await finder.find(link(SHA))).untrusted


class TestUnknownRepositories:
    @pytest.mark.parametrize(("ref", "sha"), [("HEAD", OTHER_SHA), ("main", OTHER_SHA), (SHA, SHA)])
    async def test_a_public_one_is_remembered_once_it_was_found(
        self, store: Store, finder: CommitFinder, resolver: FakeResolver, ref: str, sha: str
    ) -> None:
        resolver.refs[CLONE_URL, "HEAD"] = OTHER_SHA
        assert (await finder.find(link(ref))).sha == sha
        (row,) = await repositories_in(store)
        assert (row.host, row.full_name, row.clone_url) == ("github.com", "ada/notebooks", CLONE_URL)

    @pytest.mark.parametrize("ref", ["HEAD", "main", SHA])
    async def test_one_that_is_not_there_is_not(self, store: Store, finder: CommitFinder, ref: str) -> None:
        with pytest.raises(VisitorFault):
            await finder.find(link(ref))
        assert await repositories_in(store) == []

    async def test_many_clicks_ask_once_and_store_once(
        self, store: Store, finder: CommitFinder, resolver: FakeResolver
    ) -> None:
        resolver.refs[CLONE_URL, "HEAD"] = SHA
        commits = await asyncio.gather(*(finder.find(link()) for _ in range(10)))
        assert len({commit.repository.id for commit in commits}) == 1
        assert len(resolver.asked) <= 4
        asked = len(resolver.asked)
        await finder.find(link())
        assert len(resolver.asked) == asked


class TestPrivateRepositories:
    @pytest.mark.parametrize("ref", ["HEAD", "main", SHA])
    async def test_it_does_not_exist_even_where_the_server_would_answer(
        self, store: Store, finder: CommitFinder, resolver: FakeResolver, context: ProxyContext, ref: str
    ) -> None:
        repository = await add_repository(store, private=True, default_branch="main")
        await add_preview(store, repository, "main")
        resolver.refs[CLONE_URL, "HEAD"] = resolver.refs[CLONE_URL, "main"] = SHA
        with pytest.raises(VisitorFault) as private:
            await finder.find(link(ref))
        elsewhere = finder_at(context, "https://elsewhere.example", FakeResolver())
        with pytest.raises(VisitorFault) as missing:
            await elsewhere.find(link(ref))
        assert private.value.message == missing.value.message
        assert len(await repositories_in(store)) == 1


class TestLocalRepositories:
    async def test_it_is_found_in_the_store(self, store: Store, finder: CommitFinder) -> None:
        repository = await add_repository(store, host="local")
        assert (await finder.find(link(SHA, provider="local"))).repository.id == repository.id

    async def test_its_branch_is_what_was_built_here(
        self, store: Store, finder: CommitFinder, resolver: FakeResolver
    ) -> None:
        await add_preview(store, await add_repository(store, host="local"), "preview")
        assert (await finder.find(link("preview", provider="local"))).sha == SHA
        with pytest.raises(VisitorFault):
            await finder.find(link("main", provider="local"))
        assert resolver.asked == []

    async def test_none_is_made_for_a_link(self, store: Store, finder: CommitFinder, resolver: FakeResolver) -> None:
        with pytest.raises(VisitorFault, match="on this machine"):
            await finder.find(link(SHA, provider="local"))
        assert (await repositories_in(store), resolver.asked) == ([], [])
