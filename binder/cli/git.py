"""git as the person at the keyboard uses it: commits to a folder and pushes it, with no configuration but ours."""

import base64
from collections.abc import Mapping
from pathlib import Path

from binder.errors import OperatorFault
from binder.process import Command, run

_TIMEOUT_SECONDS = 60.0
_NOBODY = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def sign_in(user: str, token: str) -> dict[str, str]:
    """Return the variables that let git push over HTTP as `user`, with the token in no argument and no address."""
    credentials = base64.b64encode(f"{user}:{token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {credentials}",
    }


async def git(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run git in a folder and return what it printed.

    Raises: OperatorFault.
    """
    command = Command(["git", *arguments], {**_NOBODY, **(env or {})}, cwd=folder)
    done = await run(command, timeout_seconds=_TIMEOUT_SECONDS)
    if not done.ok:
        raise OperatorFault(f"git {arguments[0]} failed: {done.output.strip()[-300:]}")
    return done.output.strip()
