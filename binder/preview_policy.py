"""What binder.yml says of previews: which commits get one, and what GitHub is shown of them; pure.

previews:
  branches: [main, "release/*"]   # default: all
  pull_requests: labeled          # or true, or false
  labels: [preview]               # with `labeled`: any of these
  drafts: false                   # default: drafts get previews too
  paths: ["*.ipynb", data/]       # only commits that change one of these are built
  forks: never                    # default: approval, asked for each commit
comment: false                    # no comment on pull requests
deployments: false

Both who builds and who decides what is built read it: a wrong file fails the build, and previews go on with defaults.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

from binder.errors import RepositoryFault
from binder.plain_yaml import Node, Text, is_nothing, line_of, read_yaml

LARGEST_BYTES = 2**16
TOP_KEYS = ("previews", "comment", "deployments")

PullRequests: TypeAlias = Literal["all", "labeled", "none"]
Forks: TypeAlias = Literal["approval", "never"]

_MOST_PATTERNS = 50
_LONGEST_PATTERN = 200
_FLAGS = {"true": True, "false": False}
_PULL_REQUESTS: Mapping[str, PullRequests] = {"true": "all", "labeled": "labeled", "false": "none"}
_FORKS: Mapping[str, Forks] = {"approval": "approval", "never": "never"}


@dataclass(frozen=True)
class PreviewPolicy:
    """Which commits of a repository get previews. `branches` and `paths` are patterns; None: all."""

    branches: tuple[str, ...] | None = None
    pull_requests: PullRequests = "all"
    labels: tuple[str, ...] = ()
    drafts: bool = True
    paths: tuple[str, ...] | None = None
    forks: Forks = "approval"
    comment: bool = True
    deployments: bool = True

    def wants_branch(self, branch: str) -> bool:
        """Whether a branch of this name gets a preview."""
        return self.branches is None or any(is_matched(branch, pattern) for pattern in self.branches)

    def wants_change(self, paths: Iterable[str]) -> bool:
        """Whether a change of these files is one to build."""
        patterns = self.paths
        return patterns is None or any(is_matched(path, pattern) for path in paths for pattern in patterns)


def read_policy(path: str, text: str) -> PreviewPolicy:
    """Read the part of a binder.yml that is about previews; the rest is left to builds.

    Raises: RepositoryFault, with the line.
    """
    if len(text) > LARGEST_BYTES:
        raise RepositoryFault(f"{path} is larger than 64 KiB.", file=path)
    root = read_yaml(path, text)
    if is_nothing(root):
        return PreviewPolicy()
    if not isinstance(root, dict):
        raise _fault(path, root, f"{path} must be a table.")
    return policy_of(path, root)


def policy_of(path: str, root: Mapping[Text, Node]) -> PreviewPolicy:
    """Return what the table of a binder.yml says of previews.

    Raises: RepositoryFault, with the line.
    """
    found: dict[str, Any] = {}
    for key, value in root.items():
        if key == "previews":
            found |= _previews(path, key, value)
        elif key in TOP_KEYS:
            found[key] = _one_of(path, key, value, _FLAGS)
    policy = PreviewPolicy(**found)
    if bool(policy.labels) != (policy.pull_requests == "labeled"):
        allowed = f"`labels` and `pull_requests: labeled` in {path} go together: write both, or none of them."
        raise _fault(path, next(key for key in root if key == "previews"), allowed)
    return policy


def _previews(path: str, key: Text, value: Node) -> dict[str, Any]:
    known = ", ".join(f"`{name}`" for name in _READERS)
    if not isinstance(value, dict):
        raise _fault(path, _placed(value, key), f"`previews` in {path} must be a table. It may say {known}.")
    found: dict[str, Any] = {}
    for name, inner in value.items():
        read = _READERS.get(name)
        if read is None:
            raise _fault(path, name, f"`previews` in {path} does not know `{name[:60]}`. It may say {known}.")
        found[name] = read(path, name, inner)
    return found


def _one_of(path: str, key: Text, value: Node, choices: Mapping[str, Any]) -> Any:
    if isinstance(value, Text) and value in choices:
        return choices[value]
    allowed = " or ".join(f"`{word}`" for word in choices)
    raise _fault(path, _placed(value, key), f"`{key}` in {path} must be {allowed}.")


def _patterns(path: str, key: Text, value: Node) -> tuple[str, ...]:
    if isinstance(value, list) and 0 < len(value) <= _MOST_PATTERNS and all(_is_pattern(one) for one in value):
        return tuple(str(one) for one in value)
    wrong = next((one for one in value if not _is_pattern(one)), value) if isinstance(value, list) else value
    allowed = (
        f"`{key}` in {path} must be a list of 1 to {_MOST_PATTERNS} texts of at most {_LONGEST_PATTERN} characters, "
        "none of which begins with `!`."
    )
    raise _fault(path, _placed(wrong, key), allowed)


def _is_pattern(value: Node) -> bool:
    return isinstance(value, Text) and 0 < len(value) <= _LONGEST_PATTERN and not value.startswith("!")


_READERS: Mapping[str, Callable[[str, Text, Node], Any]] = {
    "branches": _patterns,
    "pull_requests": lambda path, key, value: _one_of(path, key, value, _PULL_REQUESTS),
    "labels": _patterns,
    "drafts": lambda path, key, value: _one_of(path, key, value, _FLAGS),
    "paths": _patterns,
    "forks": lambda path, key, value: _one_of(path, key, value, _FORKS),
}


def is_matched(name: str, pattern: str) -> bool:
    """Whether a name fits: `*` is any text, with slashes too, and a pattern that ends with a slash is a folder."""
    if pattern.endswith("/"):
        pattern += "*"
    # fnmatch never goes back over what it has matched, so that no pattern of a stranger's takes long.
    return fnmatchcase(name, pattern) or fnmatchcase(name, pattern.removeprefix("**/"))


def _placed(value: Node, key: Text) -> Node:
    return key if line_of(value) is None else value


def _fault(path: str, node: Node, message: str) -> RepositoryFault:
    return RepositoryFault(message, file=path, line=line_of(node))
