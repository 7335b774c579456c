"""What a session is to run, decided: from what its build keeps and the operator's settings. Pure."""

from collections.abc import Callable, Sequence

from binder.session_resources import Resources
from binder.settings import Settings
from deploy.engine import SessionSpec
from modules.bound import Bound
from modules.services import NO_SERVICES, services_of


def spec_of(
    settings: Settings,
    asked: Resources,
    modules: Sequence[Bound],
    *,
    session_id: str,
    image: str,
    token: str,
    host_of: Callable[[str], str] | None = None,
) -> SessionSpec:
    """Return what a session is to run; `asked` is what its repository asks for, within what the settings allow.

    `host_of` says where a component with pods of its own is reached; without it, none has.
    """
    given = asked.within(settings.session_resources, settings.session_resources_at_most)
    return SessionSpec(
        id=session_id,
        image=image,
        token=token,
        memory_bytes=given.memory_bytes or settings.session_memory_bytes,
        cpus=given.cpus or settings.session_cpus,
        pids=settings.session_pids,
        gpus=given.gpus or 0,
        services=services_of(modules, token, host_of) if modules else NO_SERVICES,
        seed_seconds=settings.seed_seconds,
    )
