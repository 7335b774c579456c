"""Who may see what: the one place that decides it. Pure.

A public repository is anybody's. A private one is for those whom GitHub shows it, asked with the visitor's own sign-in,
and asked again after some minutes or once access may have been withdrawn. Who asks is `proxy.access`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from binder.store.tables import Grant, Repository

GRANTED_FOR = timedelta(minutes=5)


@dataclass(frozen=True)
class Viewer:
    """Who looks: a visitor who is signed in with GitHub, or (both None) anybody."""

    visitor_id: int | None = None
    login: str | None = None


ANYBODY = Viewer()


def decide(
    repository: Repository | None, viewer: Viewer, grant: Grant | None, now: datetime
) -> Literal["yes", "no", "ask"]:
    """Return whether a viewer may see a repository; one that is not known (None) is asked for like a private one."""
    if repository and not repository.private:
        return "yes"
    if viewer.visitor_id is None:
        return "no"
    return "yes" if repository and grant and is_good(grant, repository, now) else "ask"


def is_good(grant: Grant, repository: Repository, now: datetime) -> bool:
    """Whether what GitHub granted still counts."""
    return grant.epoch == repository.access_epoch and grant.asked_at <= now < grant.asked_at + GRANTED_FOR


def is_operator(viewer: Viewer, operators: Sequence[str]) -> bool:
    """Whether a viewer is one of the logins that the operator named. GitHub's logins have no case."""
    return viewer.login is not None and viewer.login.lower() in {login.lower() for login in operators}
