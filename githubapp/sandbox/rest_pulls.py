"""The REST calls about pull requests and the comments on them.

Source: https://docs.github.com/en/rest/pulls, https://docs.github.com/en/rest/issues/comments
"""

from starlette.responses import JSONResponse, Response

from githubapp.sandbox import commit_payloads, pull_payloads, pull_requests
from githubapp.sandbox.access import Refusal, may, not_found
from githubapp.sandbox.events import diff_of
from githubapp.sandbox.rest import Call, Rule
from githubapp.sandbox.rest_bodies import invalid, text
from githubapp.sandbox.rest_lists import page
from githubapp.sandbox.values import Comment, PullRequest

_MOST_FILES = 3000


async def list_pulls(call: Call) -> Response:
    """Open ones, newest first, if nothing else is asked for; `head` is `owner:branch`."""
    query = call.request.query_params
    state, head, base = query.get("state", "open"), query.get("head"), query.get("base")
    if state not in {"open", "closed", "all"}:
        raise invalid("PullRequest", "state", "invalid")
    found = [
        pull
        for pull in call.state.pulls_of(call.repository)
        if state in {"all", pull.state} and base in {None, pull.base_ref} and head in {None, _head(pull)}
    ]
    if query.get("direction") == "asc":
        found.reverse()
    shown, headers = page(call, found)
    return JSONResponse([pull_payloads.pull_request(call.state, pull) for pull in shown], headers=headers)


def _head(pull: PullRequest) -> str:
    return f"{pull.head_owner}:{pull.head_ref}"


async def get_pull(call: Call) -> Response:
    pull = call.pull("number")
    return JSONResponse(pull_payloads.full_pull_request(call.state, pull, await diff_of(call.world, pull)))


async def list_files(call: Call) -> Response:
    pull = call.pull("number")
    diff = await diff_of(call.world, pull)
    shown, headers = page(call, diff.files[:_MOST_FILES])
    shapes = [commit_payloads.file_change(call.state, call.repository, pull.head_sha, change) for change in shown]
    return JSONResponse(shapes, headers=headers)


async def list_comments(call: Call) -> Response:
    pull = call.pull("number")
    shown, headers = page(call, call.state.comments_of(call.repository, pull.number))
    return JSONResponse([pull_payloads.comment(call.state, comment) for comment in shown], headers=headers)


async def create_comment(call: Call) -> Response:
    pull, writer = call.pull("number"), call.writing_app
    body = text(call.body, "body", "IssueComment")
    comment = pull_requests.add_comment(call.world, pull, call.login, body, writer.id if writer else None)
    shape = pull_payloads.comment(call.state, comment)
    return JSONResponse(shape, 201, {"location": str(shape["url"])})


def _comment(call: Call) -> Comment:
    found = call.state.comments.get(call.number("comment_id"))
    if found is None or found.repository_id != call.repository.id:
        raise not_found()
    return found


def _own_comment(call: Call) -> Comment:
    """A comment that the caller may change: their own, or anybody's in a repository that they may write to.

    Raises: Refusal 403.
    """
    comment = _comment(call)
    if comment.author != call.login and not may(call.state, call.actor, call.repository, "contents", "write"):
        raise Refusal(403, "You cannot change somebody else's comment")
    return comment


async def get_comment(call: Call) -> Response:
    return JSONResponse(pull_payloads.comment(call.state, _comment(call)))


async def update_comment(call: Call) -> Response:
    body = text(call.body, "body", "IssueComment")
    comment = pull_requests.edit_comment(call.world, _own_comment(call), call.login, body)
    return JSONResponse(pull_payloads.comment(call.state, comment))


async def delete_comment(call: Call) -> Response:
    pull_requests.delete_comment(call.world, _own_comment(call), call.login)
    return Response(status_code=204)


_HERE = "/repos/{owner}/{repo}"
# A pull request is an issue too: either permission is enough for its comments.
_TALK = ("issues", "pull_requests")

RULES = [
    Rule("GET", f"{_HERE}/pulls", list_pulls, ("pull_requests",)),
    Rule("GET", f"{_HERE}/pulls/{{number:int}}", get_pull, ("pull_requests",)),
    Rule("GET", f"{_HERE}/pulls/{{number:int}}/files", list_files, ("pull_requests",)),
    Rule("GET", f"{_HERE}/issues/{{number:int}}/comments", list_comments, _TALK),
    Rule("POST", f"{_HERE}/issues/{{number:int}}/comments", create_comment, _TALK),
    Rule("GET", f"{_HERE}/issues/comments/{{comment_id:int}}", get_comment, _TALK),
    Rule("PATCH", f"{_HERE}/issues/comments/{{comment_id:int}}", update_comment, _TALK),
    Rule("DELETE", f"{_HERE}/issues/comments/{{comment_id:int}}", delete_comment, _TALK),
]
