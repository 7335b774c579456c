"""The client of HAProxy's runtime socket: the table of routes, and how long each session has been idle.

Owns the wire: each connection has a time limit, and many changes share one. Which routes there should be is
`proxy.routes`' question.

Source: https://docs.haproxy.org/2.6/management.html#9.3
"""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from binder.errors import OperatorFault

_ANSWER_SECONDS = 5.0
_LARGEST_ANSWER_BYTES = 64 * 2**20
# A change looks at each entry of the table (0.1 ms for 20,000): these stay far below the time limit.
_COMMANDS_AT_ONCE = 500
# A command fits a buffer of HAProxy's, of 16 KiB with 1 KiB that is kept free.
_LARGEST_PEM_BYTES = 15_000
_PROMPT = b"\n> "
_NOT_THERE = "entry not found."
IDLE_TABLE_SECONDS = 86_400
ROUTES_FILE = "routes.map"
"""The table's name, which is that of the file, in HAProxy's own folder, that it is read from at the start."""
_PID = re.compile(r"^Pid: (?P<pid>\d+)$", re.MULTILINE)
_ENTRY = re.compile(r"\bkey=(?P<session>\S+) .*?\bexp=(?P<expires_ms>\d+)")


class RuntimeApi:
    """What a running HAProxy answers. Keys and targets must be free of white space, as those of `Route` are."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def set_routes(self, routes: Mapping[str, str]) -> None:
        """Send the requests of each key to its target from now on.

        Raises: OperatorFault, where HAProxy does not answer, or takes one of them not; others may have been set then.
        """
        # `add` would add a second value to a key that is there, and the first would go on to win.
        pairs = [f"{key} {target}" for key, target in routes.items()]
        answers = await self._ask_each([f"set map {ROUTES_FILE} {pair}" for pair in pairs], "", _NOT_THERE)
        new = [pair for pair, answer in zip(pairs, answers, strict=True) if answer]
        await self._ask_each([f"add map {ROUTES_FILE} {pair}" for pair in new], "")

    async def del_routes(self, keys: Collection[str]) -> None:
        """Route nothing by these keys any more; one that is not there is no fault.

        Raises: OperatorFault, where HAProxy does not answer.
        """
        await self._ask_each([f"del map {ROUTES_FILE} {key}" for key in keys], "", "Key not found.")

    async def show_routes(self) -> dict[str, str]:
        """Return the table: key → target.

        Raises: OperatorFault, where HAProxy does not answer.
        """
        rows = (line.split(" ") for line in (await self._ask(f"show map {ROUTES_FILE}")).splitlines() if line)
        return {key: target for _, key, target in rows}

    async def idle_seconds(self, session_id: str | None = None) -> dict[str, float]:
        """Return for each session that was used since HAProxy's start, or for this one only: id → seconds since its
        last request began, or its last connection ended.

        Raises: OperatorFault, where HAProxy does not answer.
        """
        of_one = f" key {session_id}" if session_id else ""
        entries = _ENTRY.finditer(await self._ask(f"show table sessions{of_one}"))
        return {entry["session"]: IDLE_TABLE_SECONDS - int(entry["expires_ms"]) / 1000 for entry in entries}

    async def set_certificate(self, file: str, pem: str) -> None:
        """End TLS with another certificate and key from now on, in place of what HAProxy read from `file`.

        Raises: OperatorFault, where HAProxy does not answer, or does not take it.

        Source: https://docs.haproxy.org/2.6/management.html#9.3-set%20ssl%20cert
        """
        file = file.replace("\\", "\\\\").replace(" ", "\\ ")
        # An empty line ends it.
        lines = "\n".join(line for line in pem.splitlines() if line.strip())
        if len(lines) > _LARGEST_PEM_BYTES:
            raise OperatorFault(
                f"The certificate in {file} is larger than {_LARGEST_PEM_BYTES} bytes: HAProxy takes it only at its "
                "start. Restart the service."
            )
        said = await self._ask(f"set ssl cert {file} <<\n{lines}\n")
        if "Transaction " in said:
            said = await self._ask(f"commit ssl cert {file}")
            if "Success!" in said:
                return
            await self._ask(f"abort ssl cert {file}")
        raise OperatorFault(f"HAProxy does not take the certificate in {file}: {' '.join(said.split())[:500]}")

    async def open_connections(self) -> int:
        """Return how many connections of visitors are open, idle ones too.

        Raises: OperatorFault, where HAProxy does not answer.

        Source: https://docs.haproxy.org/2.6/management.html#9.1
        """
        said = await self._ask("show stat visitors 1 -1")
        names, *rows = said.removeprefix("# ").splitlines()
        if not rows:
            raise OperatorFault("HAProxy does not say how many connections there are.")
        return int(rows[0].split(",")[names.split(",").index("scur")])

    async def running_pid(self) -> int:
        """Return the process id of the HAProxy that answers.

        Raises: OperatorFault, where none does.
        """
        said = _PID.search(await self._ask("show info"))
        if not said:
            raise OperatorFault("HAProxy does not say which process it is.")
        return int(said["pid"])

    async def _ask_each(self, commands: Sequence[str], *expected: str) -> list[str]:
        """Return the answers to many commands over one connection, each one of `expected`; their order is kept."""
        answers: list[str] = []
        for first in range(0, len(commands), _COMMANDS_AT_ONCE):
            some = commands[first : first + _COMMANDS_AT_ONCE]
            async with self._connected() as (reader, writer):
                # With a prompt, HAProxy takes more than one line, and says where each answer ends.
                writer.write("\n".join(("prompt", *some, "")).encode())
                await reader.readuntil(_PROMPT)
                answers += [(await reader.readuntil(_PROMPT)).decode(errors="replace")[:-3].strip() for _ in some]
        for command, answer in zip(commands, answers, strict=True):
            if answer not in expected:
                # The command holds a token: only its first words may be shown.
                raise OperatorFault(f"HAProxy refused `{' '.join(command.split()[:2])}`: {answer[:200]}")
        return answers

    async def _ask(self, command: str) -> str:
        async with self._connected() as (reader, writer):
            writer.write(command.encode() + b"\n")
            return await _read_all(reader)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(str(self._socket))
                try:
                    yield reader, writer
                finally:
                    writer.close()
        except (OSError, EOFError, TimeoutError) as error:
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
