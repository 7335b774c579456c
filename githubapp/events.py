"""What GitHub's events mean here: a payload in, a hint out, nothing read and nothing sent.

Owns which part of a payload is kept, and what each event hints at. An event is only a hint to look there again:
nothing that it says is believed, and what its actor may do is asked of GitHub. What is then done is left to `previews`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from binder.errors import VisitorFault
from binder.names import is_ref, is_sha

# What stands for the commit of a ref that was deleted.
NO_COMMIT = "0" * 40
_ABOUT_RIGHTS = ("member", "membership", "organization", "team", "github_app_authorization")
URGENT_EVENTS = ("installation", "installation_repositories", "repository", *_ABOUT_RIGHTS)
"""Acted on before all others: they are rare, and may take away somebody's right to see something."""

Kind: TypeAlias = Literal["branch", "pull"]
Word: TypeAlias = Literal["ok-to-test", "build", "cancel", "stop"]
ButtonAction: TypeAlias = Literal["rerun", "approve", "cancel"]

_BRANCHES = "refs/heads/"
_COMMAND = re.compile(r"/(?:(ok-to-test)(?:[ \t]+([0-9a-fA-F]{7,40}))?|binder[ \t]+(build|cancel|stop))[ \t\r]*")
# Event → its actions that are acted on; None stands for events that have none.
_ACTED_ON: Mapping[str, frozenset[str | None]] = {
    "push": frozenset({None}),
    "create": frozenset({None}),
    "delete": frozenset({None}),
    "pull_request": frozenset(
        {
            *("opened", "reopened", "synchronize", "edited", "closed"),
            *("ready_for_review", "converted_to_draft", "labeled", "unlabeled"),
        }
    ),
    "issue_comment": frozenset({"created"}),
    "check_run": frozenset({"rerequested", "requested_action"}),
    "check_suite": frozenset({"rerequested"}),
    "repository": frozenset(
        {"renamed", "transferred", "privatized", "publicized", "archived", "unarchived", "deleted", "edited"}
    ),
    "installation": frozenset({"created", "deleted", "suspend", "unsuspend", "new_permissions_accepted"}),
    "installation_repositories": frozenset({"added", "removed"}),
    "installation_target": frozenset({"renamed"}),
    "member": frozenset({"removed", "edited"}),
    "membership": frozenset({"removed"}),
    "organization": frozenset({"member_removed"}),
    "team": frozenset({"removed_from_repository", "edited", "deleted"}),
    "github_app_authorization": frozenset({"revoked"}),
}


class Refusal(VisitorFault):
    """A delivery that is not taken; `status` is the HTTP status of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Look:
    """A ref to look at again. `sha` is the head that the event told of, None where it told of the end of the ref.

    `sha_known` is False where the event named no commit at all. `installation_id` is None where the payload has none,
    as many have not, and `actor`, the login of whoever caused the event, is None where nobody is named.
    """

    kind: Kind
    ref: str
    sha: str | None
    repository_id: int
    installation_id: int | None
    actor: str | None = None
    sha_known: bool = True


@dataclass(frozen=True)
class RepositoryLook:
    """A repository to look at again; `action` is GitHub's word for what happened to it."""

    repository_id: int
    installation_id: int | None
    action: str


@dataclass(frozen=True)
class InstallationLook:
    """An installation, and the repositories that it covers, to look at again; `action` is GitHub's word."""

    installation_id: int
    action: str


@dataclass(frozen=True)
class AccessLook:
    """Somebody may have lost the right to read a repository, or (None) any of `owner`'s."""

    repository_id: int | None
    owner: str | None


@dataclass(frozen=True)
class SignInRevoked:
    """A person, by GitHub's number, does not let the App act for them any more."""

    user_id: int


@dataclass(frozen=True)
class Command:
    """What somebody wants, by a comment on pull request `number`.

    `argument` is a commit's sha, 7 characters or more, where one is given: only behind `ok-to-test`.
    """

    word: Word
    argument: str | None
    number: int
    comment_id: int
    actor: str
    repository_id: int
    installation_id: int | None


@dataclass(frozen=True)
class Button:
    """What somebody wants, by a button on our check run of the commit `sha`."""

    action: ButtonAction
    sha: str
    actor: str
    repository_id: int
    installation_id: int | None


@dataclass(frozen=True)
class Ignored:
    """An event that changes nothing here, and why."""

    reason: str


Hint: TypeAlias = Look | RepositoryLook | InstallationLook | AccessLook | SignInRevoked | Command | Button | Ignored

_NOT_A_BRANCH = Ignored("only branches are built, no tags or other refs")


def kept(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a payload that is kept: what this module reads. What has another shape is left out."""
    return _pick(payload, _KEPT)


def _pick(value: Mapping[str, Any], shape: Mapping[str, Any]) -> dict[str, Any]:
    picked: dict[str, Any] = {}
    for key, below in shape.items():
        part = value.get(key)
        if callable(below):
            part = below(part)
        if isinstance(below, dict):
            if isinstance(part, dict):
                picked[key] = _pick(part, below)
        elif isinstance(part, str | int):
            picked[key] = part
    return picked


def _command_line(body: object) -> str | None:
    """Return the first line of a comment if it is a command: nothing else that people write is kept."""
    line = body.partition("\n")[0] if isinstance(body, str) else ""
    return line if _COMMAND.fullmatch(line) else None


# The shape of what is kept: an empty object says only that something was there.
_KEPT: Mapping[str, Any] = {
    **dict.fromkeys(("action", "ref", "ref_type", "after", "deleted", "number")),
    "repository": {"id": None},
    "installation": {"id": None},
    "sender": {"login": None, "type": None, "id": None},
    "organization": {"login": None},
    "pull_request": {"head": {"sha": None}},
    "changes": {"base": {}, "default_branch": {}},
    "issue": {"number": None, "pull_request": {}},
    "comment": {"id": None, "body": _command_line},
    "check_run": {"head_sha": None, "app": {"id": None}},
    "check_suite": {"head_sha": None, "app": {"id": None}},
    "requested_action": {"identifier": None},
}


def hint_of(name: str, payload: Mapping[str, Any], app_id: int) -> Hint:
    """Return what the event `name` hints at; `payload` is what is kept of it, `app_id` our App's number.

    Raises: Refusal 400, where a field is missing that it takes to know where to look.
    """
    action: Any = payload.get("action")
    if action not in _ACTED_ON.get(name, ()):
        return Ignored(f"{name}.{action} is not acted on" if isinstance(action, str) else f"{name} is not acted on")
    if name in _ABOUT_RIGHTS:
        return _hint_of_rights(payload, name)
    hint: Hint
    match name:
        case "push":
            hint = _hint_of_push(payload)
        case "create" | "delete":
            hint = _hint_of_branch(payload, ended=name == "delete")
        case "pull_request":
            hint = _hint_of_pull_request(payload, action)
        case "issue_comment":
            hint = _hint_of_comment(payload)
        case "check_run" | "check_suite":
            hint = _hint_of_button(payload, name, app_id)
        case "repository":
            hint = _hint_of_repository(payload, action)
        case _:
            hint = InstallationLook(_number(payload, "installation"), action)
    return hint


def _hint_of_push(payload: Mapping[str, Any]) -> Hint:
    ref, after = payload.get("ref"), payload.get("after")
    if not isinstance(ref, str) or not isinstance(after, str) or not is_sha(after):
        raise Refusal(400, "The push names no ref or no commit.")
    branch = ref.removeprefix(_BRANCHES)
    if not ref.startswith(_BRANCHES) or not is_ref(branch):
        return _NOT_A_BRANCH
    ended = payload.get("deleted") is True or after == NO_COMMIT
    return _look(payload, "branch", branch, None if ended else after)


def _hint_of_branch(payload: Mapping[str, Any], *, ended: bool) -> Hint:
    ref = payload.get("ref")
    if not isinstance(ref, str):
        raise Refusal(400, "The event names no ref.")
    if payload.get("ref_type") != "branch" or not is_ref(ref):
        return _NOT_A_BRANCH
    return _look(payload, "branch", ref, None, sha_known=ended)


def _hint_of_pull_request(payload: Mapping[str, Any], action: str) -> Hint:
    number = payload.get("number")
    if not isinstance(number, int):
        raise Refusal(400, "The event names no pull request.")
    if action == "edited" and "base" not in payload.get("changes", {}):
        return Ignored("the pull request was edited, but not its base")
    sha = _sha(payload.get("pull_request", {}).get("head", {}).get("sha"))
    return _look(payload, "pull", str(number), None if action == "closed" else sha)


def _hint_of_comment(payload: Mapping[str, Any]) -> Hint:
    issue, comment = payload.get("issue", {}), payload.get("comment", {})
    if "pull_request" not in issue:
        return Ignored("only comments on pull requests can be commands")
    if (said := _COMMAND.fullmatch(comment.get("body", ""))) is None:
        return Ignored("the comment is no command")
    if payload.get("sender", {}).get("type") != "User":
        return Ignored("commands are taken from people only, and this one came from an App")
    if not isinstance(issue.get("number"), int) or not isinstance(comment.get("id"), int):
        raise Refusal(400, "The event names no pull request or no comment.")
    word: Any = said[1] or said[3]
    argument = said[2].lower() if said[2] else None
    where = _number(payload, "repository"), _covered(payload)
    return Command(word, argument, issue["number"], comment["id"], _actor(payload), *where)


def _hint_of_button(payload: Mapping[str, Any], name: str, app_id: int) -> Hint:
    checked = payload.get(name, {})
    if checked.get("app", {}).get("id") != app_id:
        return Ignored(f"the {name.replace('_', ' ')} is another App's")
    pressed = payload["action"]
    action: Any = "rerun" if pressed == "rerequested" else payload.get("requested_action", {}).get("identifier")
    if action not in get_args(ButtonAction):
        return Ignored("there is no such button")
    sha = _sha(checked.get("head_sha"))
    return Button(action, sha, _actor(payload), _number(payload, "repository"), _covered(payload))


def _hint_of_repository(payload: Mapping[str, Any], action: str) -> Hint:
    if action == "edited" and "default_branch" not in payload.get("changes", {}):
        return Ignored("the repository was edited, but not its default branch")
    return RepositoryLook(_number(payload, "repository"), _covered(payload), action)


def _hint_of_rights(payload: Mapping[str, Any], name: str) -> Hint:
    if name == "github_app_authorization":
        return SignInRevoked(_number(payload, "sender"))
    if name == "member":
        return AccessLook(_number(payload, "repository"), None)
    return AccessLook(None, _organization(payload))


def _look(payload: Mapping[str, Any], kind: Kind, ref: str, sha: str | None, *, sha_known: bool = True) -> Look:
    login = payload.get("sender", {}).get("login")
    actor = login if isinstance(login, str) else None
    return Look(kind, ref, sha, _number(payload, "repository"), _covered(payload), actor, sha_known)


def _sha(value: object) -> str:
    if not isinstance(value, str) or not is_sha(value):
        raise Refusal(400, "The event names no commit.")
    return value


def _number(payload: Mapping[str, Any], of: str) -> int:
    number = payload.get(of, {}).get("id")
    if not isinstance(number, int):
        raise Refusal(400, f"The event names no {of}.")
    return number


def _organization(payload: Mapping[str, Any]) -> str:
    login = payload.get("organization", {}).get("login")
    if not isinstance(login, str):
        raise Refusal(400, "The event names no organization.")
    return login


def _covered(payload: Mapping[str, Any]) -> int | None:
    installation = payload.get("installation", {}).get("id")
    return installation if isinstance(installation, int) else None


def _actor(payload: Mapping[str, Any]) -> str:
    login = payload.get("sender", {}).get("login")
    if not isinstance(login, str):
        raise Refusal(400, "The event does not say who caused it.")
    return login
