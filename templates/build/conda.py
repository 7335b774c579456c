"""Solves and installs Conda environments, inside of a build's container; no code of any package is run.

    conda.py solve REQUEST.json             prints the packages that satisfy a request, behind a line that says so
    conda.py install LOCK.json PREFIX CACHE puts the packages of a lock into a prefix

What goes wrong is said last, in one line of the form `binder: KIND: WHAT`, which `build.recipes.conda` reads.
"""

import asyncio
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from rattler import (
    BuildString,
    Client,
    Gateway,
    GenericVirtualPackage,
    MatchSpec,
    PackageName,
    RepoDataRecord,
    SourceConfig,
    Version,
    install,
    solve,
)
from rattler.channel import Channel, ChannelPriority
from rattler.exceptions import GatewayError, InstallerError, InvalidMatchSpecError, SolverError
from rattler.package_streaming import download_to_path

MARK = "--- conda ---"
_ARCHIVE = re.compile(r"[A-Za-z0-9_.+!-]+\.(?:conda|tar\.bz2)")
_TREE = re.compile(r"^[\s│├└─]*")
_WORDY = (
    ("Cannot solve the request because of: ", ""),
    ("The following packages are incompatible ", ""),
    ("cannot be installed because there are no viable options:", "cannot be installed:"),
    (", which conflicts with the versions reported above.", " does not go with these"),
)
_AT_ONCE = 8
_OF_THIS_RUN = ("extracted_package_dir", "link", "package_tarball_full_path", "requested_spec", "requested_specs")
# What says where it runs would make the lock depend on the machine that resolved it: any that can run the image has
# these, and the C library is the image's own.
_KERNEL = "5.10"
_ARCHITECTURES = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}

Json: TypeAlias = dict[str, Any]


class Failure(Exception):
    """What went wrong: a word that `build.recipes.conda` knows, and the rest of the sentence."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(f"binder: {kind}: {' '.join(what.split())}")


def virtual_packages(subdir: str) -> list[GenericVirtualPackage]:
    """Return what the system below the packages has, as Conda asks for it."""
    libc = (os.confstr("CS_GNU_LIBC_VERSION") or "glibc 2.17").split()[-1]
    there = [("__unix", "0", "0"), ("__linux", _KERNEL, "0"), ("__glibc", libc, "0")]
    there.append(("__archspec", "1", _ARCHITECTURES[subdir]))
    return [
        GenericVirtualPackage(PackageName(name), Version(version), BuildString(build)) for name, version, build in there
    ]


def specs_of(request: Json) -> list[MatchSpec]:
    """Return what is asked for; each is checked by itself, so that a fault names it."""
    found = []
    for asked in request["specs"]:
        text = f"{asked['channel']}::{asked['spec']}" if asked["channel"] else asked["spec"]
        try:
            found.append(MatchSpec(text))
        except InvalidMatchSpecError as error:
            raise Failure("spec", f"{asked['spec']}: {error}") from error
    return found


async def solved(request: Json, gateway: Gateway) -> list[RepoDataRecord]:
    """Return the packages that satisfy a request.

    Where the first channel that has a package has none that fits, `flexible` looks into the others, as conda does.
    """
    priorities = [ChannelPriority.Strict]
    priorities += [ChannelPriority.Disabled] if request["priority"] == "flexible" else []
    as_of = datetime.fromisoformat(request["as_of"]) if request["as_of"] else None
    specs = specs_of(request)
    for priority in priorities:
        try:
            return await solve(
                [Channel(url) for url in request["channels"]],
                specs,
                gateway=gateway,
                platforms=[request["subdir"], "noarch"],
                virtual_packages=virtual_packages(request["subdir"]),
                channel_priority=priority,
                exclude_newer=as_of,
                timestamp_policy="allow-missing",
                channel_relations="disabled",
            )
        except SolverError as error:
            if priority is priorities[-1]:
                raise await why_unsolved(request, specs, gateway, error) from error
    raise AssertionError(priorities)


async def why_unsolved(request: Json, specs: list[MatchSpec], gateway: Gateway, error: SolverError) -> Failure:
    """Return the shortest account: a package that no channel has, a version that none has, or else the solver's own."""
    for asked, spec in zip(request["specs"], specs, strict=True):
        name = spec.name.normalized
        if "://" in asked["spec"]:
            continue
        # Each name is asked for by itself: a query with several would mix their records.
        found = await gateway.query(
            request["channels"], [request["subdir"], "noarch"], [MatchSpec(name)], recursive=False
        )
        records = [record for records in found for record in records]
        if not records:
            return Failure("unknown", name)
        if not any(spec.matches(record) for record in records):
            newest_first = sorted({record.version for record in records}, reverse=True)
            return Failure("unmatched", f"{asked['spec']}: {', '.join(str(version) for version in newest_first[:8])}")
    print(error)
    return Failure("unsatisfiable", flattened(str(error)))


def flattened(tree: str) -> str:
    """Return the solver's account, which it draws as a tree, on one line."""
    rows = [(len(line) - len(text := _TREE.sub("", line)), text) for line in tree.splitlines() if line.strip()]
    account = ""
    for (depth, text), (next_depth, _) in pairwise([*rows, (0, "")]):
        account += text + (" " if next_depth > depth else "; ")
    for words, fewer in _WORDY:
        account = account.replace(words, fewer)
    return account.strip("; ")


def described(record: RepoDataRecord) -> Json:
    """Return a package as a lock names it."""
    if record.sha256 is None:
        raise Failure("unlockable", f"{record.file_name}")
    return {
        "url": record.url,
        "sha256": record.sha256.hex(),
        "name": record.name.normalized,
        "version": str(record.version),
        "build": str(record.build),
        "subdir": record.subdir,
        "size": record.size,
    }


async def print_solution(request: Json) -> None:
    """Solve a request and print its packages, sorted by name."""
    with tempfile.TemporaryDirectory() as folder:
        # Nothing is taken from earlier runs: a lock is made once, and kept.
        gateway = Gateway(cache_dir=Path(folder), default_config=SourceConfig(cache_action="no-cache"))
        try:
            records = await solved(request, gateway)
        except GatewayError as error:
            raise unreachable(str(error)) from error
    packages = sorted(map(described, records), key=lambda package: str(package["name"]))
    print(MARK)
    print(json.dumps(packages))


def unreachable(said: str) -> Failure:
    """Return the failure of a channel or a download: one that is not there, or one that cannot be reached now."""
    lines = said.splitlines()
    if missing := re.search(r"could not find subdir '[^']*' in channel '([^']*)'", lines[0]):
        return Failure("nochannel", missing[1])
    return Failure("unreachable", f"{lines[0]}: {lines[-1]}" if len(lines) > 1 else lines[0])


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def fetched(package: Json, cache: Path, client: Client, limit: asyncio.Semaphore) -> Path:
    """Return the archive of a package, from the cache or from its channel; what it holds is checked both times."""
    name = unquote(urlsplit(package["url"]).path.rpartition("/")[2])
    if not _ARCHIVE.fullmatch(name) or not re.fullmatch(r"[0-9a-f]{64}", package["sha256"]):
        raise Failure("spec", f"{package['url']} is not the address of a Conda package with a checksum")
    archive: Path = cache / package["sha256"] / name
    async with limit:
        if archive.exists() and await asyncio.to_thread(digest_of, archive) == package["sha256"]:
            return archive
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
            part = Path(folder, name)
            await download(package["url"], part, client)
            if (digest := await asyncio.to_thread(digest_of, part)) != package["sha256"]:
                raise Failure("checksum", f"{package['name']}: {package['url']} is {digest}, not {package['sha256']}")
            part.replace(archive)
    return archive


async def download(url: str, path: Path, client: Client) -> None:
    """Download a file; `file://` is a folder of the operator's that is mounted."""
    if url.startswith("file://"):
        try:
            await asyncio.to_thread(shutil.copyfile, unquote(urlsplit(url).path), path)
        except OSError as error:
            raise Failure("unreachable", f"{url}: {error.strerror}") from error
        return
    try:
        await download_to_path(client, url, path)
    except Exception as error:
        raise unreachable(f"{url}\n{error}") from error


async def install_packages(packages: Sequence[Json], prefix: Path, cache: Path) -> None:
    """Put packages into a prefix: the same packages make the same files."""
    client, limit = Client.default_client(user_agent="binder"), asyncio.Semaphore(_AT_ONCE)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fetched(package, cache, client, limit)) for package in packages]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    records = [await RepoDataRecord.from_package_archive(task.result()) for task in tasks]
    prefix.parent.mkdir(parents=True, exist_ok=True)
    # Beside the prefix, so that files can be linked, and new for each run: nobody else can have changed what is in it.
    with tempfile.TemporaryDirectory(dir=prefix.parent, prefix=".conda-") as unpacked:
        try:
            await install(
                records,
                prefix,
                cache_dir=Path(unpacked),
                installed_packages=[],
                execute_link_scripts=False,
                show_progress=False,
                client=client,
            )
        except InstallerError as error:
            raise Failure("install", str(error)) from error
    tidy(prefix, packages)


def tidy(prefix: Path, packages: Sequence[Json]) -> None:
    """Make the prefix's account of its packages say where they come from, and nothing of this run."""
    urls = {package["name"]: package["url"] for package in packages}
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        url = urls[record["name"]]
        record = {key: value for key, value in record.items() if key not in _OF_THIS_RUN}
        record |= {"url": url, "fn": url.rpartition("/")[2], "channel": url.rsplit("/", 2)[0]}
        path.write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
        path.chmod(0o644)
    (prefix / "CACHEDIR.TAG").unlink(missing_ok=True)  # it tells programs that make copies to leave the folder out


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say, and return what the process ends with."""
    asked = json.loads(Path(arguments[1]).read_text(encoding="utf-8"))
    try:
        if arguments[0] == "solve":
            asyncio.run(print_solution(asked))
        else:
            packages = asked["conda"] if isinstance(asked, dict) else asked
            asyncio.run(install_packages(packages, Path(arguments[2]), Path(arguments[3])))
    except Failure as failure:
        print(failure)
        return 1
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    # The library's threads may still be at work on what was given up: Python's own way out would crash under them.
    os._exit(status)
