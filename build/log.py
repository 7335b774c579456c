"""The log of one build: lines that grow while it works and are kept afterwards, without the secrets that we know of."""

from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from binder.store.tables import utc_now

_MASK = "***"
_SHORTEST_SECRET = 6


class BuildLog:
    """Appends to the log of a build until it is full; the owner closes it."""

    def __init__(self, path: Path, *, secrets: Iterable[str], most_bytes: int) -> None:
        self.path = path
        self._secrets: list[str] = []
        self._left = most_bytes
        self._file: TextIO = path.open("a", encoding="utf-8", errors="replace")
        for secret in secrets:
            self.add_secret(secret)

    def add_secret(self, secret: str) -> None:
        """Mask one more secret from now on; one that is so short that ordinary words hold it is let be."""
        if len(secret) >= _SHORTEST_SECRET:
            # The longest first: it may hold another one, of which masking would leave the rest.
            self._secrets = sorted({*self._secrets, secret}, key=len, reverse=True)

    def masked(self, text: str) -> str:
        """Return `text` without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return text

    def heading(self, text: str) -> None:
        """Begin a step."""
        self.line(f"==> {text}  [{utc_now():%H:%M:%S}]")

    def line(self, text: str) -> None:
        """Write a line, at once readable by others."""
        if self._left <= 0:
            return
        text = self.masked(text)
        self._left -= len(text.encode(errors="replace")) + 1
        if self._left <= 0:
            text = "==> The log is full: what came after this is not kept."
        self._keep(text)

    def _keep(self, text: str) -> None:
        self._file.write(text + "\n")
        self._file.flush()

    async def take(self, text: str) -> None:
        """Write a line that a child printed."""
        self.line(text)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
