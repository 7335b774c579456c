"""`binder cluster`: what sessions run on, how much of it is taken, and how much there is."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from binder.build_words import words_of_size
from binder.cli.service import chosen_service
from binder.cli.showing import print_json, print_table


def show_cluster(*, as_json: bool) -> None:
    """Print it.

    Raises: BinderError.
    """
    said = asyncio.run(_ask())
    if as_json:
        print_json(said)
        return
    states = ", ".join(f"{count} {state}" for state, count in said["sessions"].items())
    builds = ", ".join(f"{count} {state}" for state, count in said["builds"].items() if count) or "none"
    memory, cpus = words_of_size(said["session_memory_bytes"]), said["session_cpus"]
    typer.echo(f"Engine: {said['engine']}")
    typer.echo(f"Places: {said['places_taken']} of {said['places']} taken ({states})")
    typer.echo(f"Standbys: {said['standbys']} of at most {said['standbys_at_most']}")
    typer.echo(f"Builds: {builds}, {said['builds_at_once']} at once")
    typer.echo(f"A session gets {memory} and {cpus:g} processors, where its repository asks for nothing else.")
    if said["nodes"] is None:
        typer.echo("The cluster's nodes cannot be seen from the service. Run this with its settings and a KUBECONFIG.")
        return
    columns = ("node", "ready", "processors", "memory", "free", "disk", "free", "sessions")
    print_table(columns, [_row(node) for node in said["nodes"]], nothing="The cluster has no nodes.")


async def _ask() -> Mapping[str, Any]:
    async with chosen_service() as service:
        said: Mapping[str, Any] = await service.ask("GET", "/api/cluster")
        return said


def _row(node: Mapping[str, Any]) -> Sequence[Any]:
    sizes = [node[key] for key in ("memory_bytes", "memory_free_bytes", "disk_bytes", "disk_free_bytes")]
    return (
        node["name"],
        node["is_ready"],
        f"{node['cpus']:g}",
        *(None if size is None else words_of_size(size) for size in sizes),
        node["sessions"],
    )
