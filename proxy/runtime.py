"""The client of HAProxy's runtime socket: the table of routes, and how long each session has been idle.

Owns the wire: one connection a command, each with a time limit. Which routes there should be is `proxy.routes`'
question.

Source: https://docs.haproxy.org/2.6/management.html#9.3
"""

import asyncio
import re
from pathlib import Path

from binder.errors import OperatorFault

_ANSWER_SECONDS = 5.0
_LARGEST_ANSWER_BYTES = 64 * 2**20
IDLE_TABLE_SECONDS = 86_400
ROUTES_FILE = "routes.map"
"""The table's name, which is that of the file, in HAProxy's own folder, that it is read from at the start."""
_PID = re.compile(r"^Pid: (?P<pid>\d+)$", re.MULTILINE)
_ENTRY = re.compile(r"\bkey=(?P<session>\S+) .*?\bexp=(?P<expires_ms>\d+)")


class RuntimeApi:
    """What a running HAProxy answers. Keys and targets must be free of white space, as those of `Route` are."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def set_route(self, key: str, target: str) -> None:
        """Send a key's requests to `target` from now on.

        Raises: OperatorFault, where HAProxy does not answer.
        """
        # `add` would add a second value to a key that is there, and the first would go on to win.
        if "not found" in await self._ask(f"set map {ROUTES_FILE} {key} {target}"):
            await self._expect(f"add map {ROUTES_FILE} {key} {target}", "")

    async def del_route(self, key: str) -> None:
        """Route nothing by this key any more.

        Raises: OperatorFault, where HAProxy does not answer.
        """
        await self._expect(f"del map {ROUTES_FILE} {key}", "", "Key not found.")

    async def show_routes(self) -> dict[str, str]:
        """Return the table: key → target.

        Raises: OperatorFault, where HAProxy does not answer.
        """
        rows = (line.split(" ") for line in (await self._ask(f"show map {ROUTES_FILE}")).splitlines() if line)
        return {key: target for _, key, target in rows}

    async def idle_seconds(self) -> dict[str, float]:
        """Return for each session that was used since HAProxy's start: id → seconds since its last request began, or
        its last connection ended.

        Raises: OperatorFault, where HAProxy does not answer.
        """
        entries = _ENTRY.finditer(await self._ask("show table sessions"))
        return {entry["session"]: IDLE_TABLE_SECONDS - int(entry["expires_ms"]) / 1000 for entry in entries}

    async def running_pid(self) -> int:
        """Return the process id of the HAProxy that answers.

        Raises: OperatorFault, where none does.
        """
        said = _PID.search(await self._ask("show info"))
        if not said:
            raise OperatorFault("HAProxy does not say which process it is.")
        return int(said["pid"])

    async def _expect(self, command: str, *answers: str) -> None:
        answer = await self._ask(command)
        if answer not in answers:
            # The command holds a token: only its first words may be shown.
            raise OperatorFault(f"HAProxy refused `{' '.join(command.split()[:2])}`: {answer[:200]}")

    async def _ask(self, command: str) -> str:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(str(self._socket))
                try:
                    writer.write(command.encode() + b"\n")
                    return await _read_all(reader)
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            raise OperatorFault("HAProxy does not answer on its runtime socket.") from error


async def _read_all(reader: asyncio.StreamReader) -> str:
    parts: list[bytes] = []
    size = 0
    while part := await reader.read(2**18):
        parts.append(part)
        size += len(part)
        if size > _LARGEST_ANSWER_BYTES:
            raise OperatorFault("HAProxy's answer has no end.")
    return b"".join(parts).decode(errors="replace").strip("\n")
