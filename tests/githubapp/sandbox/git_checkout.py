"""A working copy driven by the real git, with nothing of this machine's configuration in it."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

AUTHOR = {"NAME": "Ada", "EMAIL": "ada@example.org"}
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": os.devnull,
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in AUTHOR.items()},
}
_TIMEOUT_SECONDS = 60


class GitFailedError(Exception):
    """A git that ended with anything but 0; the message is what it said."""


async def git(folder: Path, *arguments: str) -> str:
    """Run git and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=folder,
        env=ENVIRONMENT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            output, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise GitFailedError(complaint.decode())
    return output.decode().strip()


@dataclass(frozen=True)
class Checkout:
    """A folder with a repository in it, on `main` to begin with."""

    folder: Path

    async def git(self, *arguments: str) -> str:
        return await git(self.folder, *arguments)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    async def commit(self, message: str, **files: str) -> str:
        """Write `files` (path, or name without its `.md` → text), commit them and return the sha."""
        for name, text in files.items():
            self.write(name if "." in name else f"{name}.md", text)
        await self.git("add", "--all")
        await self.git("commit", "--allow-empty", "--quiet", "-m", message)
        return await self.git("rev-parse", "HEAD")

    async def push(self, url: str, *refspecs: str) -> None:
        await self.git("push", "--quiet", url, *(refspecs or ("HEAD:refs/heads/main",)))


async def new_checkout(folder: Path) -> Checkout:
    """Make one in `folder`, which exists."""
    await git(folder, "init", "--quiet", "--initial-branch=main")
    return Checkout(folder)
