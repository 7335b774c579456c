"""`binder deploy`: a session of a binder for whoever asks, with modes and parameters of their own."""

import asyncio
import contextlib
import re
import signal
from collections.abc import Mapping, Sequence

import httpx
import typer

from binder.cli.following import Progress, fault_of, followed_build, started_session
from binder.cli.service import Alone, Service, chosen_service, named, remove_pods
from binder.cli.showing import print_json
from binder.errors import OperatorFault, VisitorFault, WorldFault

_PARAMETER = re.compile(r"([a-z][a-z0-9-]*)\.([a-z][a-z0-9_]*)=(.*)", re.DOTALL)
_MOST_BUILDS = 2
_MOST_LOOKS, _LOOK_SECONDS = 120, 0.25


def deploy_binder(repository: str, *, ref: str, mode: str | None, parameters: Sequence[str], as_json: bool) -> None:
    """Start a session and print its link; alone, serve it until Ctrl-C.

    Raises: BinderError.
    """
    asyncio.run(_deploy(repository, ref, mode, parameters_in(parameters), as_json=as_json))


def parameters_in(texts: Sequence[str]) -> dict[str, str]:
    """Return parameters as they were typed: `module.name` → value.

    Raises: VisitorFault.
    """
    found: dict[str, str] = {}
    for text in texts:
        match = _PARAMETER.fullmatch(text)
        if match is None:
            raise VisitorFault(f"{text!r} is no parameter: give it as MODULE.NAME=VALUE, like postgres.database=shop.")
        found[f"{match[1]}.{match[2]}"] = match[3]
    return found


async def _deploy(repository: str, ref: str, mode: str | None, parameters: dict[str, str], *, as_json: bool) -> None:
    async with chosen_service(works=True, serves=True) as service:
        name, at = await named(service, repository, ref)
        body = {"repository": name, "ref": at, "mode": mode, "parameters": parameters}
        async with Progress().shown() as progress:
            session_id = await _wanted(service, body, progress)
            row = await started_session(service, session_id, progress)
        if isinstance(service, Alone):
            await _until_it_leads_there(row["link"])
        if as_json:
            print_json(row)
        else:
            typer.echo(row["link"])
        if isinstance(service, Alone) and service.loops:
            await _serve(service, session_id)


async def _wanted(service: Service, body: Mapping[str, object], progress: Progress) -> str:
    """Have the commit built where it is not, and return the session that was wanted then."""
    for _ in range(_MOST_BUILDS):
        said = await service.ask("POST", "/api/sessions", body)
        if said["session"]:
            return str(said["session"]["session"])
        ended = await followed_build(service, said["build"], progress)
        if error := await fault_of(service, ended):
            raise error
    raise OperatorFault("The image of this commit was built, and is gone again. Please try once more.")


async def _until_it_leads_there(link: str) -> None:
    """Wait until the proxy has the way to a session that has just opened.

    Raises: WorldFault.
    """
    async with httpx.AsyncClient(follow_redirects=True, timeout=10) as client:
        for _ in range(_MOST_LOOKS):
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(link)).status_code == 200:
                    return
            await asyncio.sleep(_LOOK_SECONDS)
    raise WorldFault(f"The session runs, but {link.partition('?')[0]} does not lead to it.")


async def _serve(service: Alone, session_id: str) -> None:
    """Serve a session of this process's own until Ctrl-C, and end it."""
    typer.echo("No other service runs here: this one serves the session until Ctrl-C.", err=True)
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    waits = [asyncio.create_task(interrupted.wait()), asyncio.create_task(service.until_broken_or_cancelled())]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task
    finally:
        for task in waits:
            task.cancel()
        with contextlib.suppress(VisitorFault):  # it may have ended by itself
            await service.ask("POST", "/api/stop", {"session": session_id})
        await remove_pods(service, [session_id])
