"""What files and folders of a repository look like from outside."""

import base64
from urllib.parse import quote

from githubapp.sandbox.payloads import repository_url
from githubapp.sandbox.state import State
from githubapp.sandbox.values import Json, Repository, TreeEntry

_WORDS = {"tree": "dir", "blob": "file", "commit": "submodule"}


def entry(state: State, repo: Repository, ref: str, value: TreeEntry) -> Json:
    """One line of a `content-directory`."""
    url = f"{repository_url(state, repo)}/contents/{quote(value.path)}?ref={quote(ref, safe='')}"
    git = f"{repository_url(state, repo)}/git/{value.kind}s/{value.sha}"
    html = f"{state.url}/{repo.full_name}/{value.kind}/{quote(ref)}/{quote(value.path)}"
    raw = f"{state.url}/{repo.full_name}/raw/{quote(ref)}/{quote(value.path)}" if value.kind == "blob" else None
    return {
        "type": _WORDS[value.kind],
        "size": value.size,
        "name": value.path.rpartition("/")[2],
        "path": value.path,
        "sha": value.sha,
        "url": url,
        "git_url": git,
        "html_url": html,
        "download_url": raw,
        "_links": {"self": url, "git": git, "html": html},
    }


def file(state: State, repo: Repository, ref: str, value: TreeEntry, content: bytes | None) -> Json:
    """A `content-file`; without `content` it is too large to be shown, which its `encoding` says."""
    encoded = base64.encodebytes(content).decode() if content is not None else ""
    encoding = "none" if content is None else "base64"
    return {**entry(state, repo, ref, value), "encoding": encoding, "content": encoded}
