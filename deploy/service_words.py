"""What is said of the services of a session, in sentences for its visitor and its author. Pure."""

from collections.abc import Mapping
from typing import Any

from binder.errors import OperatorFault, RepositoryFault
from deploy.engine import ServiceState
from modules.services import Services

_LONGEST_QUOTE = 600


def said_of_end(code: int, ran_out_of_memory: bool) -> str:
    """Return why a service ended."""
    return "It ran out of memory." if ran_out_of_memory and code else f"It ended with exit code {code}."


def too_slow(title: str, seconds: float) -> str:
    """Return that a service cannot be used."""
    return f"{title} did not become ready within {seconds:g} s."


def does_not_stay(title: str, reason: str) -> str:
    """Return that a service does not stay up."""
    return f"{title} did not start. {reason}"


def not_up(sentence: str, log: str) -> RepositoryFault:
    """Return the fault of a service that does not come up, with the last lines of its log."""
    return RepositoryFault(_quoting(sentence, log), step="modules")


def not_reached(output: str) -> OperatorFault:
    """Return the fault of a cluster that keeps a session's notebook from its own services."""
    sentence = "The notebook does not reach its services, which run. The cluster's names or network policies fail."
    return OperatorFault(_quoting(sentence, output))


def failed_seed(title: str, file: str, code: int, output: str) -> RepositoryFault:
    """Return the fault of a seed that fails."""
    sentence = f"The seed {file} of {title} failed with exit code {code}."
    return RepositoryFault(_quoting(sentence, output), file=file, step="seed")


def slow_seed(title: str, file: str, seconds: float) -> RepositoryFault:
    """Return the fault of a seed that does not end."""
    return RepositoryFault(f"The seed {file} of {title} did not end within {seconds:g} s.", file=file, step="seed")


def kept_at_start(services: Services) -> dict[str, Any] | None:
    """Return what a session's row keeps of its services once it is ready: all are ready then; None: it has none.

    {`services`: name → {`title`, `ready`, `restarts`, `reason`, `gave_up`}, `links`: [{`title`, `path`}]}
    """
    if not services.services:
        return None
    states = {one.name: {"title": one.title, **_state(ServiceState(ready=True))} for one in services.services}
    links = [
        {"title": f"{services.titles.get(link.module, link.module)}: {link.title}", "path": link.path}
        for link in services.links
    ]
    return {"services": states, "links": links}


def kept_after(kept: Mapping[str, Any], seen: Mapping[str, ServiceState]) -> dict[str, Any]:
    """Return what a session's row keeps of its services, now that an engine sees them so: of one that it does not see
    there is nothing at this moment.
    """
    known: Mapping[str, Mapping[str, Any]] = kept["services"]
    states = {
        name: {**one, **_state(seen.get(name, ServiceState(ready=False, restarts=one["restarts"])))}
        for name, one in known.items()
    }
    return {**kept, "services": states}


def sentence_of(kept: Mapping[str, Any]) -> str:
    """Return what a visitor is told of a service (what a row keeps of it); empty: it is as it should be."""
    if kept["ready"]:
        return ""
    if kept["gave_up"]:
        return f"{kept['title']} ended too often, and cannot be used. {kept['reason'] or ''}".rstrip()
    return f"{kept['title']} ended and is being started again."


def _state(state: ServiceState) -> dict[str, Any]:
    return {"ready": state.ready, "restarts": state.restarts, "reason": state.reason, "gave_up": state.gave_up}


def _quoting(sentence: str, output: str) -> str:
    text = output.strip()
    quote = text if len(text) <= _LONGEST_QUOTE else "…" + text[-_LONGEST_QUOTE:]
    return f"{sentence} Its last lines: {quote}" if quote else sentence
