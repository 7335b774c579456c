"""Reads what a repository's binder.yml says of previews, from GitHub, at the branch that has the say.

That is the base of a pull request, and the default branch for all branches: who proposes a change does not change the
rules that it is judged by.
"""

from binder.errors import RepositoryFault
from binder.preview_policy import LARGEST_BYTES, PreviewPolicy, read_policy
from githubapp.lookups import Lookups
from githubapp.values import Place

_NAME = "binder.yml"
_FOLDERS = ("binder", ".binder")


async def policy_at(github: Lookups, place: Place, ref: str) -> tuple[PreviewPolicy, str | None]:
    """Return the policy, and where its file is wrong a sentence that says so: previews go on with the defaults."""
    try:
        return await _read(github, place, ref), None
    except RepositoryFault as fault:
        where = f"{fault.place}: " if fault.line else ""
        return PreviewPolicy(), f"{where}{fault.message} Previews go on with the defaults."


async def _read(github: Lookups, place: Place, ref: str) -> PreviewPolicy:
    path = await _find(github, place, ref)
    if path is None:
        return PreviewPolicy()
    content = await github.file(place, path, ref, most_bytes=LARGEST_BYTES)
    if content is None:
        raise RepositoryFault(f"{path} is no file of at most {LARGEST_BYTES // 1024} KiB.", file=path)
    try:
        return read_policy(path, content.decode())
    except UnicodeDecodeError as error:
        raise RepositoryFault(f"{path} is not UTF-8.", file=path) from error


async def _find(github: Lookups, place: Place, ref: str) -> str | None:
    """Return where the file is, as builds look for it."""
    names = await github.folder(place, "", ref)
    if _NAME in names:
        return _NAME
    for folder in _FOLDERS:
        if folder in names and _NAME in await github.folder(place, folder, ref):
            return f"{folder}/{_NAME}"
    return None
