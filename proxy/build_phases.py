"""What the build API tells of a launch, in the phases and fields that its clients know. Pure.

Each message ends with a line end, and clients print them one after another.
Source: https://binderhub.readthedocs.io/en/latest/api.html
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from binder.errors import BinderError
from binder.lifecycle import BuildState
from binder.store.tables import Build, Repository, Session
from proxy.answers import WHOSE_FAULT, status_of
from proxy.links import Link
from proxy.providers import Place, provider_of
from proxy.providers.interface import without_git

Event = Mapping[str, Any]

_BEFORE_THE_IMAGE: Final[Mapping[BuildState, Event]] = {
    BuildState.QUEUED: {"phase": "waiting", "message": "Waiting for the build to start...\n"},
    BuildState.FETCHING: {"phase": "fetching", "message": "Fetching the commit...\n"},
    BuildState.BUILDING: {"phase": "building", "message": "Building the environment...\n"},
    BuildState.PUSHING: {"phase": "pushing", "message": "Storing the image...\n", "progress": {}},
}
_NOTEBOOKS: Final[Event] = {"phase": "building", "message": "Built the image, running its notebooks...\n"}


def busy(position: int, of: int) -> Event:
    """Return what is to be told while all places are taken, and anew whenever the place in the queue changes."""
    message = f"All places are taken. You are number {position} of {of} waiting for one to become free...\n"
    return {"phase": "waiting", "message": message}


def said(event: Event) -> str:
    """Return an event as it is sent."""
    return f"data: {json.dumps(event)}\n\n"


def is_in_work(build: Build) -> bool:
    """Whether there is more to come of a build's log."""
    return build.state in _BEFORE_THE_IMAGE or (build.awaits_check and build.state is BuildState.CHECKING)


def phases_at(build: Build) -> tuple[Event, ...]:
    """Return what is to be told once a build has come this far, and has not failed."""
    if is_in_work(build):
        return (_BEFORE_THE_IMAGE.get(build.state, _NOTEBOOKS),)
    image = (build.result or {}).get("image") or ""
    return (
        {"phase": "built", "imageName": image, "message": "Built the image, launching...\n"},
        {"phase": "launching", "message": "Launching the server...\n"},
    )


def log_events(lines: Iterable[str]) -> list[Event]:
    """Return the lines of a build's log."""
    return [{"phase": "building", "message": f"{line}\n"} for line in lines]


def ready(link: Link, build: Build, repository: Repository, session: Session, address: str, url: str) -> Event:
    """Return where the session is (`address`), and what a client may say of it; `url` is the service's own address."""
    provider = provider_of(repository)
    place = Place(repository.host, repository.owner, repository.name, repository.clone_url)
    page = provider.commit_page(place, build.sha)
    return {
        "phase": "ready",
        "message": f"The server runs at {address}\n",
        "url": address,
        "token": session.token,
        "image": session.image,
        # A record has no other page than that of its version, and a folder of this machine none.
        "repo_url": without_git(repository.clone_url) if provider.has_refs and page else page,
        "binder_ref_url": page,
        "binder_launch_host": f"{url}/",
        "binder_request": link.request,
        "binder_persistent_request": link.at(build.sha).request,
    }


def failed(error: BinderError) -> Event:
    """Return why there will be no session."""
    return {
        "phase": "failed",
        "status_code": status_of(error),
        "message": f"{WHOSE_FAULT[error.party]} {error.message}\n",
    }


def build_failed(build: Build, url: str) -> Event:
    """Return whose fault it is that a build failed, where, and where its log is; `url` is the service's own address."""
    fault = build.fault or {}
    whose = WHOSE_FAULT.get(fault.get("party", "operator"), WHOSE_FAULT["operator"])
    line = f" line {fault['line']}" if fault.get("line") else ""
    place = f" ({fault['file']}{line})" if fault.get("file") else ""
    message = f"{whose} {fault.get('message') or 'The build failed.'}{place} More: {url}/builds/{build.id}\n"
    return {"phase": "failed", "message": message}
