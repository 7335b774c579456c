"""`binder preview`: builds one's own repository and opens it, with no GitHub at all."""

import asyncio
import contextlib
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from binder.cli.demo import take_port
from binder.cli.git import git
from binder.cli.steps import Steps, until_interrupted
from binder.cli.visit import open_link
from binder.errors import OperatorFault, RepositoryFault, VisitorFault
from binder.lifecycle import BuildState, is_final
from binder.log import set_up_logging
from binder.loop import wait_for_hint
from binder.names import digest_of, is_sha
from binder.process import Account, find_account
from binder.service import Service, running_service
from binder.settings import Settings, read_settings
from binder.store.build_logs import StoredLog
from binder.store.queries import want_build
from binder.store.tables import Build, Preview, Repository
from build.commits.git import Source

_OPEN_SECONDS = 120.0
_TAIL_LINES = 20
_TAIL_BYTES = 2**14
HOST = "local"
"""The host that repositories of `binder preview` have in the store."""


@dataclass(frozen=True)
class Subject:
    """What is previewed: a name for it, and where it is fetched from."""

    name: str
    source: Source


def run_preview(repository: str, *, ref: str, port: int, once: bool) -> None:
    """Build a repository, print the link, and serve it until Ctrl-C.

    Raises: BinderError.
    """
    defaults = read_settings()
    port = take_port(port, "--port")
    settings = read_settings(
        state_dir=defaults.state_dir / f"preview-{digest_of(repository, ref)[:8]}",
        listen=f"127.0.0.1:{port}",
        url=f"http://127.0.0.1:{port}",
        github_app_id=None,
        log_level="error",
        log_json=False,
    )
    set_up_logging(settings.log_level, as_json=False)
    steps = Steps(Console(file=sys.stdout))
    asyncio.run(until_interrupted(_preview(settings, repository, ref, steps, once=once), steps))


async def _preview(settings: Settings, repository: str, ref: str, steps: Steps, *, once: bool) -> None:
    account = find_account(settings.build_account)
    async with _folder(settings.state_dir), contextlib.AsyncExitStack() as stack:
        async with steps.step("The service starts"):
            service = await stack.enter_async_context(running_service(settings, ephemeral=True))
        async with steps.step(f"{repository} is found at {ref}"):
            subject, sha = await _find(service, settings, account, repository, ref, steps)
        async with steps.step(f"Commit {sha[:7]} is built, and its notebook server started"):
            await _built(service, await _want(service, subject, sha), steps)
        link = f"{settings.url}/v2/{HOST}/preview/{subject.name}/{sha}?urlpath=lab"
        if once:
            async with steps.step("The link opens JupyterLab"):
                await open_link(link, timeout_seconds=_OPEN_SECONDS)
            return
        steps.invite("Open this in a browser; Ctrl-C stops it", {f"{subject.name} at {sha[:7]}": link})
        await service.until_broken_or(asyncio.Event())


@asynccontextmanager
async def _folder(home: Path) -> AsyncIterator[None]:
    """See that what the preview keeps is gone after the block."""
    try:
        yield
    finally:
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


async def _find(
    service: Service, settings: Settings, account: Account, repository: str, ref: str, steps: Steps
) -> tuple[Subject, str]:
    if "://" in repository:
        name = Path(urlsplit(repository).path).name.removesuffix(".git")
        subject = Subject(_slug(name), Source(repository))
        sha = ref if is_sha(ref) else await service.git.resolve(subject.source, ref)
        if sha is None:
            raise VisitorFault(f"{repository} has no branch, tag or commit {ref!r}.")
        return subject, sha
    return await _mirror(Path(repository), ref, settings.state_dir / "mirror.git", account, steps)


async def _mirror(folder: Path, ref: str, mirror: Path, account: Account, steps: Steps) -> tuple[Subject, str]:
    """Copy a commit of a folder to where the build account can read it."""
    top, sha = await commit_in(folder, ref)
    if ref == "HEAD" and await git(top, "status", "--porcelain"):
        steps.note("There are changes that are not committed: they are not part of the preview.")
    return Subject(_slug(top.name), await copy_commit(top, sha, mirror, account)), sha


async def commit_in(folder: Path, ref: str) -> tuple[Path, str]:
    """Return the repository that a folder is of, and the sha of one of its refs.

    Raises: VisitorFault.
    """
    if not await asyncio.to_thread(folder.is_dir):
        raise VisitorFault(f"{folder} is neither a folder nor an address (https://…).")
    try:
        top = Path(await git(folder, "rev-parse", "--show-toplevel"))
        return top, await git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    except OperatorFault as error:
        raise VisitorFault(f"{folder} is not a git repository that has {ref!r}; what is built is a commit.") from error


async def copy_commit(top: Path, sha: str, mirror: Path, account: Account) -> Source:
    """Copy a commit of a repository to `mirror`, where the build account can read it, and return that source."""
    await git(top, "init", "--quiet", "--bare", str(mirror))
    giving = "git -c uploadpack.allowAnySHA1InWant=true upload-pack"
    fetch = ["fetch", "--quiet", "--depth=1", f"--upload-pack={giving}"]
    await git(mirror, *fetch, f"file://{top}", f"{sha}:refs/heads/it")
    if account.is_other:
        await asyncio.to_thread(_give, mirror, account)
    return Source(f"file://{mirror}", local=True)


def _give(folder: Path, account: Account) -> None:
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, account.uid, account.gid)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:100] or "repository"


async def _want(service: Service, subject: Subject, sha: str) -> int:
    """Queue the build, and keep a session ready for it."""
    async with service.store.write() as session:
        repository = Repository(host=HOST, owner="preview", name=subject.name, clone_url=subject.source.url)
        session.add(repository)
        await session.flush()
        kept = Preview(repository_id=repository.id, kind="branch", ref="preview", head_sha=sha)
        session.add(kept)
        await session.flush()
        build = await want_build(session, repository_id=repository.id, sha=sha, preview_id=kept.id)
        return build.id


async def _built(service: Service, build_id: int, steps: Steps) -> None:
    """Wait until the build has ended well.

    Raises: RepositoryFault, OperatorFault: what was wrong with it, and the end of its log.
    """
    changed = service.store.changed.subscribe()
    log = StoredLog(service.store, build_id)
    while True:
        changed.clear()
        async with service.store.read() as session:
            build = await session.get_one(Build, build_id)
        if is_final(build.state):
            break
        steps.detail(await _last_line(log))
        await wait_for_hint(changed, 0.2)
    if build.state is not BuildState.SUCCEEDED:
        fault = build.fault or {"party": "operator", "message": f"The build was {build.state}."}
        steps.note(await _tail(log))
        kind = RepositoryFault if fault["party"] == "repository" else OperatorFault
        raise kind(fault["message"])


async def _tail(log: StoredLog) -> str:
    size = await log.size()
    text = (await log.read(max(0, size - _TAIL_BYTES), _TAIL_BYTES)).decode(errors="replace")
    return "\n".join(text.splitlines()[-_TAIL_LINES:])


async def _last_line(log: StoredLog) -> str:
    return (await _tail(log)).rpartition("\n")[2]
