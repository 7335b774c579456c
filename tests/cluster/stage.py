"""The whole system on a cluster: the chart's release, the stand-in for GitHub on this machine, and who pushes to it."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any

from binder.cli.git import git, sign_in
from binder.cli.registration import App, register_app
from build.host import find_host_settings
from githubapp.sandbox.sandbox import Sandbox
from githubapp.sandbox.server import running_sandbox
from githubapp.sandbox.values import Status
from tests.cluster.given import Cluster, Namespace
from tests.cluster.installed import Installed, release

PERSON = "ada"
REPOSITORY = "ada/notes"
# The first build makes an environment of nothing, on a machine that runs the cluster too.
_FIRST_SECONDS = 900.0
# Places of this machine, which no pod has.
_NOT_PASSED_ON = ("cert", "find-links")


@dataclass
class ClusterStage:
    """A stand-in for GitHub with one repository, and a release that is its App."""

    sandbox: Sandbox
    installed: Installed
    url: str
    folder: Path
    git_environment: Mapping[str, str]

    @property
    def sessions(self) -> Namespace:
        """The namespace in which sessions run."""
        return replace(self.installed.namespace, name=f"{self.installed.name}-sessions")

    @property
    def builds(self) -> Namespace:
        """The namespace in which builds run."""
        return replace(self.installed.namespace, name=f"{self.installed.name}-builds")

    async def push(self, files: Mapping[str, str], *, branch: str = "main", executable: str | None = None) -> str:
        """Write files, commit and push them; a new branch begins at main. Returns the commit's sha."""
        if branch != "main":
            known = await git(self.folder, "branch", "--list", branch)
            await git(self.folder, "checkout", "--quiet", *([branch] if known else ["-b", branch, "main"]))
        for path, text in files.items():
            (self.folder / path).write_text(text, encoding="utf-8")
        if executable:
            (self.folder / executable).chmod(0o755)
        await git(self.folder, "add", "--all")
        await git(self.folder, "commit", "--quiet", "--message", "A change")
        await git(self.folder, "push", "--quiet", "origin", branch, env=self.git_environment)
        sha = await git(self.folder, "rev-parse", "HEAD")
        if branch != "main":
            await git(self.folder, "checkout", "--quiet", "main")
        return sha

    async def rows(self, query: str) -> list[list[str]]:
        """Return the rows of a query of the service's store, asked in the database's own pod."""
        database = self.installed.namespace.known(f"{self.installed.name}-database-0")
        psql = "PGPASSWORD=$(cat /run/password/password) psql -h 127.0.0.1 -U binder -d binder -AtF '\t' -c"
        said = await asyncio.to_thread(database.execute, "sh", "-c", f"{psql} {quote(query)}")
        return [line.split("\t") for line in said.splitlines()]

    async def until(self, query: str, *, timeout_seconds: float = 120) -> list[list[str]]:
        """Wait until a query of the service's store returns rows, and return them."""
        async with asyncio.timeout(timeout_seconds):
            while not (rows := await self.rows(query)):  # noqa: ASYNC110
                await asyncio.sleep(0.3)
            return rows

    async def left(self) -> list[str]:
        """Return what there is on the cluster of builds and sessions that no row of the store asks for."""
        live = "select id from sessions where state in ('wanted', 'starting', 'standby', 'open')"
        wanted = {session_id for (session_id,) in await self.rows(live)}
        api, sessions, builds = self.installed.namespace.cluster.api, self.sessions, self.builds
        of_sessions = [*sessions.list("pods"), *sessions.list("secrets")]
        lost = [one for one in of_sessions if one["metadata"].get("labels", {}).get("binder.session", "") not in wanted]
        jobs = api.list(f"/apis/batch/v1/namespaces/{builds.name}/jobs")
        if not await self.rows("select 1 from builds where state in ('fetching', 'building', 'pushing')"):
            lost += [*jobs, *builds.list("pods"), *builds.list("secrets")]
        return [one["metadata"]["name"] for one in lost]

    async def final_status(self, sha: str, *, timeout_seconds: float = _FIRST_SECONDS) -> Status:
        """Return a commit's status as soon as it is final."""
        async with asyncio.timeout(timeout_seconds):
            while True:
                with suppress(TimeoutError):  # the stand-in waits for a few minutes at most
                    return await self.sandbox.wait_for_status(REPOSITORY, sha=sha, context="binder", timeout_seconds=60)


@asynccontextmanager
async def running_cluster_stage(cluster: Cluster, home: Path, **values: Any) -> AsyncIterator[ClusterStage]:
    """Set the stage in an empty folder; `values` of the chart win over the usual ones. It is gone after the block."""
    (home / "github").mkdir()
    (home / "helm").mkdir()
    known = await _mirrors()
    async with running_sandbox(home / "github", host=cluster.host) as sandbox:
        # helm and Buildah wait for long: not in this loop, which serves the stand-in.
        releasing = release(cluster, home / "helm", mirrors=known, **values)
        installed = await asyncio.to_thread(releasing.__enter__)
        try:
            yield await _install(sandbox, cluster, installed, home)
        finally:
            await asyncio.to_thread(releasing.__exit__, *sys.exc_info())


async def _install(sandbox: Sandbox, cluster: Cluster, installed: Installed, home: Path) -> ClusterStage:
    """Install the release twice: its address is known only after the first time."""
    nothing = {"replicas": 0}
    rest = {**installed.values["proxy"], **nothing}
    await asyncio.to_thread(installed.upgrade, url="http://binder.test", proxy=rest, controller=nothing)
    url = f"http://{cluster.service_address(installed.name, installed.name)}"
    app = await register_app(sandbox, owner=PERSON, url=url)
    await sandbox.create_repository(REPOSITORY)
    known = {"url": url, "github": _github(app), "settings": _settings(sandbox, cluster)}
    await asyncio.to_thread(installed.upgrade, **known)
    folder = home / "notes"
    folder.mkdir()
    await git(folder, "init", "--quiet", "--initial-branch=main")
    await git(folder, "remote", "add", "origin", f"{sandbox.url}/{REPOSITORY}.git")
    token = sandbox.world.account(PERSON).token or ""
    installed = Installed(installed.helm, installed.namespace, {**installed.values, **known})
    return ClusterStage(sandbox, installed, url, folder, sign_in(PERSON, token))


def _github(app: App) -> dict[str, Any]:
    return {
        "appId": str(app.id),
        "privateKey": app.private_key,
        "webhookSecrets": [app.webhook_secret],
        "clientId": app.client_id,
        "clientSecret": app.client_secret,
    }


def _settings(sandbox: Sandbox, cluster: Cluster) -> dict[str, Any]:
    """Return settings for a small cluster, on which builds reach this machine and the registry."""
    return {
        "github_url": sandbox.url,
        "github_api_url": sandbox.api_url,
        "builder_networks": [f"{cluster.host}/32", f"{cluster.registry.partition(':')[0]}/32"],
        "build_memory_bytes": 2 * 2**30,
        "session_memory_bytes": 512 * 2**20,
        "session_memory_at_most_bytes": 2**30,
        "standbys_at_most": 2,
    }


async def _mirrors() -> dict[str, str]:
    """Return the chart's values for what this machine knows of packages: pods of its cluster reach the same places."""
    host = await find_host_settings()
    listed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    options = (
        line.partition("=")[::2] for line in listed.stdout.splitlines() if line.startswith(("global.", ":env:."))
    )
    pip = {key.rpartition(".")[2]: value.strip("'") for key, value in options}
    lines = [f"{key} = {value}" for key, value in pip.items() if key not in _NOT_PASSED_ON]
    return {
        "certificates": host.certificates.read_text(encoding="utf-8") if host.certificates else "",
        "pip": "\n".join(["[global]", *lines, ""]),
        "apt": _deb822(host.sources["bookworm"]),
    }


def _deb822(lines: str) -> str:
    """Return apt's sources in its newer form; what signs them is Debian's own key, which images have."""
    stanzas = []
    for line in lines.splitlines():
        uri, suite, *components = line.partition("] ")[2].split() or line.split()[1:]
        stanzas.append(
            f"Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: {' '.join(components)}\n"
            "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        )
    return "\n".join(stanzas)
