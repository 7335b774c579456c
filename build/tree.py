"""The files of a commit, as git lists them: what recipes, the planner and the content layer are decided from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A file of a commit: git's mode (`100755` executable, `120000` a link, `160000` a submodule), bytes, object id."""

    mode: str
    size: int
    object_id: str = ""
