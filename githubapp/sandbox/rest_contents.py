"""The REST calls about what is in a repository: files, folders, and how one commit differs from another.

Source: https://docs.github.com/en/rest/repos/contents, https://docs.github.com/en/rest/commits/commits#compare-two-commits
"""

from starlette.responses import JSONResponse, Response

from githubapp.sandbox import commit_payloads, content_payloads
from githubapp.sandbox.access import Refusal, not_found
from githubapp.sandbox.rest import Call, Rule
from githubapp.sandbox.rest_lists import page
from githubapp.sandbox.rest_repositories import resolve
from githubapp.sandbox.values import TreeEntry

# Source: https://docs.github.com/en/rest/repos/contents#get-repository-content
_LARGEST_SHOWN_BYTES = 1024 * 1024
_LARGEST_FILE_BYTES = 100 * 1024 * 1024
_MOST_COMMITS = 10_000
_MOST_FILES = 300


async def get_contents(call: Call) -> Response:
    """A file with its bytes in Base64, or a folder as a list; one too large to be shown comes with none of them."""
    ref = call.request.query_params.get("ref", call.repository.default_branch)
    sha = await resolve(call.world, call.repository, ref)
    if sha is None:
        raise Refusal(404, f"No commit found for the ref {ref}")
    path = call.path("path").rstrip("/")
    entry = await _entry(call, sha, path)
    if entry is None or entry.kind == "tree":
        entries = await call.world.git.tree(call.repository.id, sha, f"{path}/" if path else None)
        return JSONResponse([content_payloads.entry(call.state, call.repository, ref, one) for one in entries])
    if entry.kind == "commit":
        raise not_found()
    if entry.size > _LARGEST_FILE_BYTES:
        raise Refusal(403, "This API returns blobs up to 100 MB in size.")
    content = await call.world.git.file(call.repository.id, sha, path, largest_bytes=_LARGEST_SHOWN_BYTES)
    return JSONResponse(content_payloads.file(call.state, call.repository, ref, entry, content))


async def _entry(call: Call, sha: str, path: str) -> TreeEntry | None:
    """What lies at a path; None stands for the top folder.

    Raises: Refusal 404.
    """
    if not path:
        return None
    parts = path.split("/")
    if "\0" in path or any(part in {"", ".", ".."} for part in parts):
        raise not_found()
    found = [one for one in await call.world.git.tree(call.repository.id, sha, path) if one.path == path]
    if not found:
        raise not_found()
    return found[0]


async def compare(call: Call) -> Response:
    """What `head` has that `base` has not, oldest commit first; the files stand on the first page only."""
    base_name, dots, head_name = call.path("basehead").partition("...")
    base, head = await _side(call, base_name), await _side(call, head_name)
    start = await call.world.git.merge_base(call.repository.id, base, head) if dots else None
    if start is None:
        raise Refusal(404, f"No common ancestor between {base_name} and {head_name}.")
    commits = await call.world.git.commits(call.repository.id, head, f"^{start}", limit=_MOST_COMMITS)
    commits.reverse()
    shown, headers = page(call, commits)
    is_first = call.request.query_params.get("page", "1") == "1"
    files = await call.world.git.changed_files(call.repository.id, start, head) if is_first else []
    body = commit_payloads.comparison(
        call.state,
        call.repository,
        base=await call.world.git.commit(call.repository.id, base),
        start=await call.world.git.commit(call.repository.id, start),
        head=head,
        ahead=len(commits),
        behind=await call.world.git.count(call.repository.id, base, f"^{start}"),
        commits=shown,
        files=files[:_MOST_FILES],
    )
    return JSONResponse(body, headers=headers)


async def _side(call: Call, name: str) -> str:
    """The commit of one side, which the same repository must have.

    Raises: Refusal 404.
    """
    sha = await resolve(call.world, call.repository, name)
    if sha is None:
        raise not_found()
    return sha


_HERE = "/repos/{owner}/{repo}"

RULES = [
    Rule("GET", f"{_HERE}/contents/{{path:path}}", get_contents, ("contents",)),
    Rule("GET", f"{_HERE}/compare/{{basehead:path}}", compare, ("contents",)),
]
