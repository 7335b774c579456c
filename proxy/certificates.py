"""The certificates that HAProxy ends TLS with: read where the operator keeps them, and again when they were renewed.

HAProxy gets copies, for keys are mostly root's. How it takes another one while it runs is `proxy.haproxy`'s.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from binder.errors import OperatorFault
from binder.log import logger

log = logger(__name__)

_EVERY_SECONDS = 60.0


def read_certificates(given: Path) -> dict[str, str]:
    """Return the PEM files that an operator gives, one or those of a folder: name → text.

    Raises: OperatorFault.
    """
    try:
        files = [file for file in given.iterdir() if file.is_file()] if given.is_dir() else [given]
        texts = {file.name: file.read_text(encoding="ascii") for file in files}
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorFault(f"BINDER_CERTIFICATES: {given} cannot be read: {error}.") from error
    if not texts:
        raise OperatorFault(f"BINDER_CERTIFICATES: there is no file in {given}.")
    return texts


class Renewals:
    """Looks at the files once a minute, and has those served that changed; a file that is new waits for a restart.

    `served` are the texts by name, `serve` takes one in place of that of the same name, or raises OperatorFault: then
    the one before goes on, and the new one is tried again at the next look.
    """

    def __init__(
        self,
        given: Path,
        served: dict[str, str],
        serve: Callable[[str, str], Awaitable[None]],
        *,
        every_seconds: float = _EVERY_SECONDS,
    ) -> None:
        self._given = given
        self._served = served
        self._serve = serve
        self._every_seconds = every_seconds
        self._due_at = 0.0

    async def step(self) -> bool:
        """Look, if it is time to."""
        if time.monotonic() < self._due_at:
            return False
        self._due_at = time.monotonic() + self._every_seconds
        try:
            found = await asyncio.to_thread(read_certificates, self._given)
        except OperatorFault as error:
            log.warning("certificates_not_read", reason=error.message)
            return False
        for name, text in found.items():
            if name in self._served and text != self._served[name]:
                await self._renew(name, text)
        return False

    async def _renew(self, name: str, text: str) -> None:
        try:
            await self._serve(name, text)
        except OperatorFault as error:
            log.warning("certificate_not_renewed", file=name, reason=error.message)
            return
        self._served[name] = text
        log.info("certificate_renewed", file=name)
