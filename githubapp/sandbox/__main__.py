"""`python -m githubapp.sandbox`: the stand-in as a process of its own.

Prints one line of JSON with its address when it is ready, and stops on SIGTERM and SIGINT.
"""

import argparse
import asyncio
import json
import signal
from pathlib import Path

from githubapp.sandbox.server import running_sandbox


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m githubapp.sandbox", description="A stand-in for GitHub.")
    parser.add_argument(
        "--listen", type=_address, default="127.0.0.1:0", metavar="HOST:PORT", help="port 0 takes any free one"
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where the git data lies meanwhile")
    parser.add_argument("--public-url", metavar="URL", help="how others reach it, if not by HOST:PORT")
    return parser.parse_args()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


async def _run(host: str, port: int, data: Path, public_url: str | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running_sandbox(data, host=host, port=port, public_url=public_url) as sandbox:
        ready = {"url": sandbox.url, "api_url": sandbox.api_url, "control_url": f"{sandbox.url}/sandbox"}
        print(json.dumps(ready), flush=True)
        await stop.wait()


def main() -> None:
    """Run until told to stop."""
    arguments = _arguments()
    host, port = arguments.listen
    arguments.data.mkdir(parents=True, exist_ok=True)
    asyncio.run(_run(host, port, arguments.data, arguments.public_url))


if __name__ == "__main__":
    main()
