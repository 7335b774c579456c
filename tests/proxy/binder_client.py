"""The client of BinderHub's own pages, as it is published, run by node against our build API."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.npm_packages import NpmPackage, installed, tool

_PACKAGES = (
    NpmPackage(
        "@jupyterhub/binderhub-client", "0.5.0", "eebdb4a0e0621736d8d770781977b9528b83586fafe47920028209b99b07e10d"
    ),
    NpmPackage(
        "@microsoft/fetch-event-source", "2.0.1", "86d544f5565bbbd4193d17d0f5a97ee531eb63fd322f1e1063733b47f1352fac"
    ),
    NpmPackage("event-iterator", "2.0.0", "dba57f4a53f0347506f589aa530182388e0d1d8490837ef24ad3971b6a51e9e1"),
)
_SCRIPT = Path(__file__).with_suffix(".mjs")


async def launched_by_client(url: str, spec: str) -> list[dict[str, Any]]:
    """Return what the client yields of a launch of `<provider>/<spec>`, until it fails or is ready."""
    folder = await asyncio.to_thread(installed, _PACKAGES, "binderhub-client")
    process = await asyncio.create_subprocess_exec(
        *(tool("node"), str(_SCRIPT), str(folder), f"{url}/build/", spec),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, said = await asyncio.wait_for(process.communicate(), 30)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, said.decode()
    return [json.loads(line) for line in output.splitlines()]
