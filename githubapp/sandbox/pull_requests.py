"""What people do to pull requests: open, change, comment.

Owns the rules of which pull requests there can be, `refs/pull/N/head`, and the events that follow. Pushes to their
heads are `pushes`.
"""

from dataclasses import replace

from githubapp.sandbox import events, pull_payloads
from githubapp.sandbox.access import Refusal
from githubapp.sandbox.names import is_branch
from githubapp.sandbox.values import Comment, Json, PullRequest, Repository
from githubapp.sandbox.world import World

LONGEST_BODY_CHARACTERS = 65_536
_LONGEST_LABEL_CHARACTERS = 50


async def open_pull_request(
    world: World,
    base: Repository,
    author: str,
    *,
    head: str,
    base_ref: str,
    title: str,
    body: str | None = None,
    draft: bool = False,
) -> PullRequest:
    """Open a pull request; `head` is a branch of the same repository, or `owner:branch` of a fork.

    Raises: Refusal 422, where GitHub would not open it.
    """
    source, branch = _head_of(world, base, head)
    head_sha = await _tip(world, source, branch, "head")
    base_sha = await _tip(world, base, base_ref, "base")
    _refuse_double(world, base, source, branch, base_ref)
    number = 1 + max((pull.number for pull in world.state.pulls_of(base)), default=0)
    now = world.state.now()
    pull = PullRequest(
        id=world.state.next_large_id(),
        number=number,
        repository_id=base.id,
        base_ref=base_ref,
        base_sha=base_sha,
        head_id=source.id,
        head_owner=source.owner,
        head_ref=branch,
        head_sha=head_sha,
        title=title,
        body=body,
        author=author,
        draft=draft,
        state="open",
        created_at=now,
        updated_at=now,
    )
    # Its number is taken before anything waits, so that two opened at once get one each.
    world.state.pulls[base.id, number] = pull
    try:
        await world.git.bring_commit(source.id, base.id, head_sha, f"refs/pull/{number}/head")
        await _refuse_empty(world, pull)
    except Refusal:
        del world.state.pulls[base.id, number]
        raise
    await _announce(world, pull, "opened", author)
    return pull


def _head_of(world: World, base: Repository, head: str) -> tuple[Repository, str]:
    owner, colon, branch = head.rpartition(":")
    if not colon or owner.lower() == base.owner.lower():
        return base, branch
    for repository in world.state.repositories.values():
        if repository.parent_id == base.id and repository.owner.lower() == owner.lower():
            return repository, branch
    raise _invalid("head")


async def _tip(world: World, repository: Repository, branch: str, field: str) -> str:
    if not is_branch(branch):
        raise _invalid(field)
    ref = f"refs/heads/{branch}"
    sha = (await world.git.refs(repository.id, ref)).get(ref)
    if sha is None:
        raise _invalid(field)
    return sha


def _refuse_double(world: World, base: Repository, source: Repository, branch: str, base_ref: str) -> None:
    for pull in world.state.open_pulls_with_head(source, branch):
        if pull.repository_id == base.id and pull.base_ref == base_ref:
            raise _refused(f"A pull request already exists for {source.owner}:{branch}.")


async def _refuse_empty(world: World, pull: PullRequest) -> None:
    if not await world.git.count(pull.repository_id, pull.head_sha, f"^{pull.base_sha}"):
        raise _refused(f"No commits between {pull.base_ref} and {pull.head_ref}")


def _invalid(field: str) -> Refusal:
    error: Json = {"resource": "PullRequest", "field": field, "code": "invalid"}
    return Refusal(422, "Validation Failed", errors=[error])


def _refused(message: str) -> Refusal:
    return Refusal(422, "Validation Failed", errors=[{"resource": "PullRequest", "code": "custom", "message": message}])


async def _announce(world: World, pull: PullRequest, action: str, sender: str, **more: object) -> None:
    await events.pull_request(world, pull, action, sender, **more)
    world.state.changed()


async def close_pull_request(world: World, pull: PullRequest, sender: str) -> PullRequest:
    """Close it unmerged; one that is closed stays as it is, without an event."""
    if pull.state == "closed":
        return pull
    pull = world.state.change_pull(pull, state="closed", closed_at=world.state.now())
    await _announce(world, pull, "closed", sender)
    return pull


async def reopen_pull_request(world: World, pull: PullRequest, sender: str) -> PullRequest:
    """Open it again, at today's tip of its branch.

    Raises: Refusal 422, when the branch or its repository is gone.
    """
    if pull.state == "open":
        return pull
    source = world.state.repositories.get(pull.head_id or 0)
    if source is None:
        raise _invalid("head")
    head_sha = await _tip(world, source, pull.head_ref, "head")
    await world.git.bring_commit(source.id, pull.repository_id, head_sha, f"refs/pull/{pull.number}/head")
    pull = world.state.change_pull(pull, state="open", closed_at=None, head_sha=head_sha)
    await _announce(world, pull, "reopened", sender)
    return pull


async def edit_pull_request(
    world: World, pull: PullRequest, sender: str, *, title: str | None, body: str | None, base_ref: str | None
) -> PullRequest:
    """Change what is not None; the event's `changes` says what it was before."""
    before: Json = {}
    after: dict[str, str] = {}
    if title is not None and title != pull.title:
        before["title"], after["title"] = {"from": pull.title}, title
    if body is not None and body != pull.body:
        before["body"], after["body"] = {"from": pull.body or ""}, body
    if base_ref is not None and base_ref != pull.base_ref:
        base_sha = await _tip(world, world.state.repositories[pull.repository_id], base_ref, "base")
        before["base"] = {"ref": {"from": pull.base_ref}, "sha": {"from": pull.base_sha}}
        after |= {"base_ref": base_ref, "base_sha": base_sha}
    if not after:
        return pull
    pull = world.state.change_pull(pull, **after)
    await _announce(world, pull, "edited", sender, changes=before)
    return pull


async def set_draft(world: World, pull: PullRequest, sender: str, *, draft: bool) -> PullRequest:
    """Mark it as a draft, or as ready for review."""
    if pull.draft == draft:
        return pull
    pull = world.state.change_pull(pull, draft=draft)
    await _announce(world, pull, "converted_to_draft" if draft else "ready_for_review", sender)
    return pull


async def set_label(world: World, pull: PullRequest, sender: str, name: str, *, labelled: bool) -> PullRequest:
    """Put a label on it or take it off; the repository gets a label of that name if it has none.

    Raises: Refusal 422, for a name that cannot be.
    """
    if not 0 < len(name) <= _LONGEST_LABEL_CHARACTERS:
        raise Refusal(422, "Validation Failed", errors=[{"resource": "Label", "field": "name", "code": "invalid"}])
    if (name in pull.labels) == labelled:
        return pull
    world.state.labels.setdefault((pull.repository_id, name), world.state.next_large_id())
    others = tuple(one for one in pull.labels if one != name)
    pull = world.state.change_pull(pull, labels=(*others, name) if labelled else others)
    shape = pull_payloads.label(world.state, world.state.repositories[pull.repository_id], name)
    await _announce(world, pull, "labeled" if labelled else "unlabeled", sender, label=shape)
    return pull


def add_comment(world: World, pull: PullRequest, author: str, body: str, app_id: int | None = None) -> Comment:
    """Comment on a pull request, as a person or as an App.

    Raises: Refusal 422, for no text or too much of it.
    """
    check_comment(body)
    now = world.state.now()
    number = world.state.next_large_id()
    comment = Comment(number, pull.repository_id, pull.number, author, body, now, now, app_id)
    world.state.comments[number] = comment
    _tell(world, comment, "created", author)
    return comment


def edit_comment(world: World, comment: Comment, sender: str, body: str) -> Comment:
    """Raises: Refusal 422, for no text or too much of it."""
    check_comment(body)
    edited = replace(comment, body=body, updated_at=world.state.now())
    world.state.comments[comment.id] = edited
    _tell(world, edited, "edited", sender, changes={"body": {"from": comment.body}})
    return edited


def delete_comment(world: World, comment: Comment, sender: str) -> None:
    del world.state.comments[comment.id]
    _tell(world, comment, "deleted", sender)


def check_comment(body: str) -> None:
    """Raises: Refusal 422."""
    error: Json = {"resource": "IssueComment", "field": "body"}
    if not body.strip():
        raise Refusal(422, "Validation Failed", errors=[{**error, "code": "missing_field"}])
    if len(body) > LONGEST_BODY_CHARACTERS:
        message = f"body is too long (maximum is {LONGEST_BODY_CHARACTERS} characters)"
        raise Refusal(422, "Validation Failed", errors=[{**error, "code": "custom", "message": message}])


def _tell(world: World, comment: Comment, action: str, sender: str, **more: object) -> None:
    events.issue_comment(world, comment, action, sender, **more)
    world.state.changed()
