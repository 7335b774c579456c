"""The questions that we ask GitHub: what there is, and who may do what, each in a line or two of PyGithub.

Decides nothing. Lists are read to a bound, and say where they are not whole.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, TypeVar

from github import Github
from github.ContentFile import ContentFile
from github.NamedUser import NamedUser
from github.PullRequest import PullRequest as RemotePull
from github.Repository import Repository as RemoteRepository

from githubapp.calls import GONE, Calls, unless_gone
from githubapp.values import Commit, InstallationFacts, Listed, Place, PullRequest, RepositoryFacts

Item = TypeVar("Item")

_EMPTY = 409
# Source: https://docs.github.com/en/rest/commits/commits#compare-two-commits
_MOST_COMPARED_FILES = 300
_MOST_LISTED = 1000
_MOST_REPOSITORIES = 10_000
_MOST_FILES = 300


class Lookups(Calls):
    """What GitHub says when it is asked. Every method may raise what `Connection.call` raises."""

    async def installation_of(self, repository_id: int) -> int | None:
        """Return the installation that covers a repository, or None where the App is not installed on it."""
        answer = await unless_gone(self._as_app("GET", f"/repositories/{repository_id}/installation"))
        return int(answer["id"]) if answer else None

    async def installation(self, installation_id: int) -> InstallationFacts | None:
        """Return an installation, or None where it was ended."""
        answer = await unless_gone(self._as_app("GET", f"/app/installations/{installation_id}"))
        return _installation(answer) if answer else None

    async def installations(self) -> Listed[InstallationFacts]:
        """Return the installations of the App, the first thousand."""

        def ask(github: Github) -> Listed[InstallationFacts]:
            found: list[Mapping[str, Any]] = []
            for page in range(1, _MOST_LISTED // 100 + 1):
                address = f"/app/installations?per_page=100&page={page}"
                _, answer = github.requester.requestJsonAndCheck("GET", address)
                found += answer
                if len(answer) < 100:
                    return Listed([_installation(one) for one in found], is_whole=True)
            return Listed([_installation(one) for one in found], is_whole=False)

        return await self._sign_in.app.call(ask)

    async def covered(self, installation_id: int) -> Listed[RepositoryFacts]:
        """Return the repositories that an installation covers now, the first ten thousand."""
        self._sign_in.renew(installation_id)

        def ask(github: Github) -> Listed[RepositoryFacts]:
            found: list[RepositoryFacts] = []
            for page in range(1, _MOST_REPOSITORIES // 100 + 1):
                address = f"/installation/repositories?per_page=100&page={page}"
                _, answer = github.requester.requestJsonAndCheck("GET", address)
                found += [_repository(installation_id, one) for one in answer["repositories"]]
                if len(answer["repositories"]) < 100:
                    return Listed(found, is_whole=True)
            return Listed(found, is_whole=False)

        return await self._as_installation(installation_id, ask)

    async def allowance(self, installation_id: int) -> float:
        """Return which part of this hour's requests is left, as far as answers told: nothing is asked."""

        def ask(github: Github) -> float:
            left, limit = github.requester.rate_limiting
            return left / limit if limit > 0 else 1.0

        return await self._as_installation(installation_id, ask)

    async def repository(
        self, installation_id: int, repository_id: int, *, anew: bool = False
    ) -> RepositoryFacts | None:
        """Return a repository by GitHub's number, or None where the installation cannot see it.

        `anew`: with a new token, since an old one may not cover what was added later.
        """
        if anew:
            self._sign_in.renew(installation_id)

        def ask(github: Github) -> RepositoryFacts:
            return _repository(installation_id, github.get_repo(repository_id).complete().raw_data)

        return await unless_gone(self._as_installation(installation_id, ask))

    async def branch(self, place: Place, branch: str) -> Commit | None:
        """Return the commit that a branch is at, or None where there is no such branch."""

        def ask(repository: RemoteRepository) -> Commit | None:
            found = repository.get_branch(branch)
            # One that was renamed leads on to its new name.
            return Commit(found.commit.sha, found.commit.commit.message) if found.name == branch else None

        return await unless_gone(self._at(place, ask), GONE | {_EMPTY})

    async def branches(self, place: Place) -> Listed[tuple[str, str]]:
        """Return the names of branches with the commits that they are at, the first thousand."""
        return await self._listed(
            place, lambda repository: ((one.name, one.commit.sha) for one in repository.get_branches())
        )

    async def pull_request(self, place: Place, number: int) -> PullRequest | None:
        """Return a pull request, or None where there is none of that number."""
        return await unless_gone(self._at(place, lambda repository: _pull(repository.get_pull(number).complete())))

    async def open_pull_requests(self, place: Place) -> Listed[PullRequest]:
        """Return the pull requests that are open, the first thousand."""
        return await self._listed(place, lambda repository: (_pull(one) for one in repository.get_pulls(state="open")))

    async def changed_by_pull(self, place: Place, number: int) -> Listed[str]:
        """Return the paths that a pull request adds or changes, the first three hundred."""

        def ask(repository: RemoteRepository) -> Iterable[str]:
            return (one.filename for one in repository.get_pull(number).get_files() if one.status != "removed")

        return await self._listed(place, ask, _MOST_FILES)

    async def commit_message(self, place: Place, sha: str) -> str:
        """Return the message of a commit."""
        return await self._at(place, lambda repository: repository.get_commit(sha).commit.message)

    async def changed_since(self, place: Place, base: str, head: str) -> list[str] | None:
        """Return the paths that `head` changes of `base`, old names too.

        None where that is not known: `head` does not come after `base`, one of them is gone, or there are too many.
        """

        def ask(repository: RemoteRepository) -> list[str] | None:
            found = repository.compare(base, head)
            files = found.files
            if found.status not in {"ahead", "identical"} or len(files) >= _MOST_COMPARED_FILES:
                return None
            return [path for one in files for path in (one.filename, one.previous_filename) if path]

        return await unless_gone(self._at(place, ask))

    async def folder(self, place: Place, path: str, ref: str) -> list[str]:
        """Return the names in a folder at a branch, a tag or a commit; none where there is no such folder."""

        def ask(repository: RemoteRepository) -> list[str]:
            found = repository.get_contents(path, ref)
            return [one.name for one in found] if isinstance(found, list) else []

        return await unless_gone(self._at(place, ask)) or []

    async def file(self, place: Place, path: str, ref: str, *, most_bytes: int) -> bytes | None:
        """Return what is in a file, or None where there is no file of at most so many bytes."""

        def ask(repository: RemoteRepository) -> bytes | None:
            found = repository.get_contents(path, ref)
            is_shown = isinstance(found, ContentFile) and found.encoding == "base64" and found.size <= most_bytes
            return found.decoded_content if is_shown else None  # type: ignore[union-attr]

        return await unless_gone(self._at(place, ask))

    async def may_write(self, place: Place, login: str) -> bool:
        """Whether somebody has the right to write, now; GitHub folds `maintain` into it, and `triage` into `read`."""

        def ask(repository: RemoteRepository) -> str:
            return repository.get_collaborator_permission(login)

        return await unless_gone(self._at(place, ask)) in {"write", "admin"}

    async def _listed(
        self, place: Place, ask: Callable[[RemoteRepository], Iterable[Item]], most: int = _MOST_LISTED
    ) -> Listed[Item]:
        found = await self._at(place, lambda repository: list(islice(ask(repository), most + 1)))
        return Listed(found[:most], is_whole=len(found) <= most)


def _installation(answer: Mapping[str, Any]) -> InstallationFacts:
    account = answer.get("account") or {}
    # An enterprise has no login.
    login = account.get("login") or account.get("slug") or ""
    return InstallationFacts(int(answer["id"]), str(login), answer.get("suspended_at") is not None)


def _repository(installation_id: int, answer: Mapping[str, Any]) -> RepositoryFacts:
    return RepositoryFacts(
        Place(installation_id, int(answer["id"])),
        owner=answer["owner"]["login"],
        name=answer["name"],
        private=answer["private"],
        default_branch=answer["default_branch"],
        archived=answer.get("archived", False),
        owner_id=answer["owner"].get("id"),
    )


def _pull(found: RemotePull) -> PullRequest:
    head, base = found.head, found.base
    return PullRequest(
        number=found.number,
        is_open=found.state == "open",
        head_sha=head.sha,
        head_repository_id=_id_of(head.repo),
        base_repository_id=base.repo.id,
        author=_login_of(found.user),
        base_ref=base.ref,
        base_sha=base.sha,
        draft=bool(found.draft),
        labels=tuple(label.name for label in found.labels),
    )


def _login_of(user: NamedUser | None) -> str:
    """PyGithub's types do not say that somebody's account may be gone; GitHub shows another one's name then."""
    return "ghost" if user is None else user.login


def _id_of(repository: RemoteRepository | None) -> int | None:
    """PyGithub's types do not say that the repository of a head may be gone."""
    return None if repository is None else repository.id
