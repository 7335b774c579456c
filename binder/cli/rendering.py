"""`binder render`: the manifests that a session of a binder would be started with, without their secrets."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Literal

import typer

from binder.cli.deploying import parameters_in
from binder.cli.service import chosen_service, named


def render_binder(
    what: str,
    *,
    ref: str,
    engine: str,
    mode: str | None,
    parameters: Sequence[str],
    shape: Literal["json", "yaml"],
) -> None:
    """Print the manifests: a list of Kubernetes's in JSON, or documents of YAML.

    Raises: BinderError.
    """
    manifests = asyncio.run(_ask(what, ref, {"engine": engine, "mode": mode, "parameters": parameters_in(parameters)}))
    if shape == "json":
        typer.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}, indent=2))
        return
    import yaml  # noqa: PLC0415

    typer.echo(yaml.safe_dump_all(manifests, sort_keys=False, explicit_start=True), nl=False)


async def _ask(what: str, ref: str, asked: dict[str, Any]) -> list[Any]:
    async with chosen_service() as service:
        if what.isascii() and what.isdigit():
            body = {**asked, "build": int(what)}
        else:
            name, at = await named(service, what, ref)
            body = {**asked, "repository": name, "ref": at}
        manifests: list[Any] = (await service.ask("POST", "/api/render", body))["manifests"]
        return manifests
