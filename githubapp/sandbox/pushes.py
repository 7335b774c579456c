"""What follows from a push: the events of each ref that came, moved or went, and the pull requests that it touches.

Owns the comparison of refs before and after, and a push's payload. How the refs came to differ is `git_http`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from githubapp.sandbox import events, payloads
from githubapp.sandbox.names import NO_COMMIT
from githubapp.sandbox.values import GitCommit, GitPerson, Json, PullRequest, Repository
from githubapp.sandbox.world import World

# Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads#push
_MOST_COMMITS = 2048
_MOST_TAGS = 3
_MOST_BRANCHES = 5000
_MOST_KNOWN_HEADS = 500

PUSHED_REFS = ("refs/heads", "refs/tags")


@dataclass(frozen=True)
class RefChange:
    """A ref that a push changed; a sha of 40 zeros says that there was, or is, none."""

    ref: str
    before: str
    after: str

    @property
    def created(self) -> bool:
        return self.before == NO_COMMIT

    @property
    def deleted(self) -> bool:
        return self.after == NO_COMMIT

    @property
    def branch(self) -> str | None:
        return self.ref.removeprefix("refs/heads/") if self.ref.startswith("refs/heads/") else None


def ref_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[RefChange]:
    """What differs between two listings of refs, by name."""
    refs = sorted(before.keys() | after.keys())
    changes = (RefChange(ref, before.get(ref, NO_COMMIT), after.get(ref, NO_COMMIT)) for ref in refs)
    return [change for change in changes if change.before != change.after]


def announced(changes: list[RefChange]) -> list[RefChange]:
    """The changes that GitHub tells of: none at all for many tags or very many branches at once."""
    branches = [change for change in changes if change.branch]
    tags = [change for change in changes if not change.branch]
    return (branches if len(branches) <= _MOST_BRANCHES else []) + (tags if len(tags) <= _MOST_TAGS else [])


async def after_push(world: World, repository_id: int, pusher: str, before: Mapping[str, str]) -> None:
    """Do all that follows from a push by `pusher`; `before` are the refs as they were."""
    after = await world.git.refs(repository_id, *PUSHED_REFS)
    changes = ref_changes(before, after)
    if not changes:
        return
    repository = await _note_push(world, repository_id, changes, after)
    for change in announced(changes):
        await _announce(world, repository, pusher, change, before)
    for change in changes:
        if change.branch:
            await _update_pulls(world, repository, pusher, change)
    world.state.changed()


async def _note_push(
    world: World, repository_id: int, changes: list[RefChange], after: Mapping[str, str]
) -> Repository:
    """Note the time, and let the first branch be the default one where that does not exist."""
    default = world.state.repositories[repository_id].default_branch
    created = [change.branch for change in changes if change.created and change.branch]
    if f"refs/heads/{default}" not in after and created:
        default = created[0]
        await world.git.run(repository_id, "symbolic-ref", "HEAD", f"refs/heads/{default}")
    now = world.state.now()
    # Read again: it may have been renamed while git was asked.
    repository = world.state.repositories[repository_id]
    repository = replace(repository, pushed_at=now, updated_at=now, default_branch=default)
    world.state.repositories[repository_id] = repository
    return repository


async def _announce(
    world: World, repository: Repository, pusher: str, change: RefChange, before: Mapping[str, str]
) -> None:
    kind = "branch" if change.branch else "tag"
    name = change.ref.split("/", 2)[2]
    if change.created:
        more: Json = {"master_branch": repository.default_branch, "description": repository.description}
        body: Json = {"ref": name, "ref_type": kind, **more, "pusher_type": "user"}
        events.publish(world, "create", repository, pusher, body)
    if change.deleted:
        body = {"ref": name, "ref_type": kind, "pusher_type": "user"}
        events.publish(world, "delete", repository, pusher, body)
    if world.state.installations_of(repository):
        body = await push_payload(world, repository, pusher, change, before)
        events.publish(world, "push", repository, pusher, body)


async def push_payload(
    world: World, repository: Repository, pusher: str, change: RefChange, before: Mapping[str, str]
) -> Json:
    """What a `push` event says, but for its sender and installation."""
    commits = await _pushed_commits(world, repository, change, before)
    head = None if change.deleted else await world.git.commit(repository.id, change.after)
    everything = commits if head is None or head in commits else [*commits, head]
    touched = await world.git.touched_paths(repository.id, [commit.sha for commit in everything])
    shapes = {commit.sha: _commit(world, repository, commit, touched[commit.sha]) for commit in everything}
    html = f"{world.state.url}/{repository.full_name}"
    account = world.state.account(pusher)
    return {
        "ref": change.ref,
        "before": change.before,
        "after": change.after,
        "repository": payloads.push_repository(world.state, repository),
        "pusher": {"name": pusher, "email": account.email if account else None},
        "created": change.created,
        "deleted": change.deleted,
        "forced": await _is_forced(world, repository, change),
        "base_ref": None,
        "compare": f"{html}/compare/{change.before[:12]}...{change.after[:12]}",
        "commits": [shapes[commit.sha] for commit in reversed(commits)],
        "head_commit": shapes[head.sha] if head else None,
    }


async def _pushed_commits(
    world: World, repository: Repository, change: RefChange, before: Mapping[str, str]
) -> list[GitCommit]:
    """The commits that are new on a branch, newest first; a new branch's are those that no branch had."""
    if change.deleted or not change.branch:
        return []
    known = [sha for ref, sha in before.items() if ref.startswith("refs/heads/")][:_MOST_KNOWN_HEADS]
    excluded = known if change.created else [change.before]
    return await world.git.commits(repository.id, change.after, *(f"^{sha}" for sha in excluded), limit=_MOST_COMMITS)


async def _is_forced(world: World, repository: Repository, change: RefChange) -> bool:
    if change.created or change.deleted:
        return False
    return not await world.git.is_ancestor(repository.id, change.before, change.after)


def _commit(world: World, repository: Repository, commit: GitCommit, touched: Mapping[str, list[str]]) -> Json:
    return {
        "id": commit.sha,
        "tree_id": commit.tree,
        "distinct": True,
        "message": commit.message,
        "timestamp": commit.committer.date,
        "url": f"{world.state.url}/{repository.full_name}/commit/{commit.sha}",
        "author": _person(commit.author),
        "committer": _person(commit.committer),
        **touched,
    }


def _person(person: GitPerson) -> Json:
    return {"name": person.name, "email": person.email, "date": person.date}


async def _update_pulls(world: World, repository: Repository, pusher: str, change: RefChange) -> None:
    """Move the open pull requests of a branch along with it, or close them when it went."""
    for pull in world.state.open_pulls_with_head(repository, change.branch or ""):
        if change.deleted:
            await _close(world, pull, pusher)
        else:
            await _move(world, pull, pusher, change)


async def _close(world: World, pull: PullRequest, sender: str) -> None:
    closed = world.state.change_pull(pull, state="closed", closed_at=world.state.now())
    await events.pull_request(world, closed, "closed", sender)


async def _move(world: World, pull: PullRequest, sender: str, change: RefChange) -> None:
    """A push to the head of a pull request reaches the *base* repository, also from a fork."""
    refs = await world.git.refs(pull.repository_id, f"refs/heads/{pull.base_ref}")
    base_sha = refs.get(f"refs/heads/{pull.base_ref}", pull.base_sha)
    await world.git.bring_commit(pull.head_id or 0, pull.repository_id, change.after, f"refs/pull/{pull.number}/head")
    moved = world.state.change_pull(pull, head_sha=change.after, base_sha=base_sha)
    await events.pull_request(world, moved, "synchronize", sender, before=change.before, after=change.after)
