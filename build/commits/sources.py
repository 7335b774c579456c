"""Where repositories are fetched from: by which settings git goes there, and whose fault it is when it fails.

Pure: running git is `build.commits.git`'s. A token goes into git's environment, which nobody else can read: not into an
argument, an address or a file.
"""

import base64
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from binder.errors import BinderError, OperatorFault, RepositoryFault, VisitorFault, WorldFault

_SETTINGS = {
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "core.hooksPath": "/dev/null",
    "core.symlinks": "true",
    "core.autocrlf": "false",
    "core.attributesFile": "/dev/null",
    # What is larger is never held in memory as a whole.
    "core.bigFileThreshold": "32m",
    "credential.helper": "",
    "fetch.fsckObjects": "true",
    # A pack appears whole or not at all: a fetch that was killed leaves no commit without its files.
    "fetch.unpackLimit": "1",
    # What old versions of git and of its imitators wrote; it harms nobody.
    "fetch.fsck.badTimezone": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    "gc.auto": "0",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "advice.detachedHead": "false",
    "lfs.basicTransfersOnly": "true",
    "lfs.concurrentTransfers": "4",
    "lfs.transfer.maxRetries": "3",
    "lfs.dialTimeout": "15",
    "lfs.activityTimeout": "30",
}
_REFUSED = re.compile(r"^error: object [0-9a-f]+: (.*)\n(?:.*\n)*fatal: fsck error", re.MULTILINE)
_FAULTS_OF_THE_REPOSITORY = {
    ("file too large", "attempting to allocate"): (
        "The commit is larger than this service fetches. Leave large data out of the repository."
    ),
    ("died of signal 11", "segmentation fault"): "git cannot read the commit, which is broken or a trap.",
    ("not our ref", "unadvertised object", "couldn't find remote ref", "is no commit"): (
        "The commit is no longer in the repository."
    ),
}
_PACK_REFUSED = "invalid index-pack output"
_BROKEN_OFF = ("early eof", "disconnect", "rpc failed", "curl")
_NO_REPOSITORY = ("not found", "could not read username", "does not appear to be a git")


@dataclass(frozen=True)
class Source:
    """Where a repository is fetched from. `token` is None for a public one; `local` allows a folder of this machine.

    `addresses` are where git finds the host, and it goes nowhere else; empty where it may look that up itself, and
    follow where the host sends it. What is not `trusted` is a commit of somebody's who may not write to the repository:
    a fork's, which GitHub keeps in the repository that it is proposed to.
    """

    url: str
    token: str | None = None
    local: bool = False
    trusted: bool = True
    addresses: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """The address without its path: scheme, host and port."""
        return "/".join(self.url.split("/")[:3])

    @property
    def owner(self) -> str:
        """The first part of the address's path, in lower case: GitHub's owner of the repository."""
        return urlsplit(self.url).path.lstrip("/").partition("/")[0].lower()


def environment_for(source: Source, certificates: Path | None) -> dict[str, str]:
    """Return what git's environment must hold: our settings, nobody else's, and the token where there is one."""
    settings = {**_SETTINGS, "remote.origin.url": source.url}
    if source.local:
        settings["protocol.file.allow"] = "always"
    if source.addresses:
        parts = urlsplit(source.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        settings["http.curloptResolve"] = f"{parts.hostname}:{port}:{','.join(source.addresses)}"
        settings["http.followRedirects"] = "false"
    if source.token:
        credentials = base64.b64encode(f"x-access-token:{source.token}".encode()).decode()
        settings[f"http.{source.origin}/.extraHeader"] = f"Authorization: Basic {credentials}"
    pairs = list(enumerate(settings.items()))
    return {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        # A delta may say that it makes far more than was ever sent.
        "GIT_ALLOC_LIMIT": "1g",
        "GIT_CONFIG_COUNT": str(len(pairs)),
        **{f"GIT_CONFIG_KEY_{number}": key for number, (key, _) in pairs},
        **{f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in pairs},
        **({"GIT_SSL_CAINFO": str(certificates)} if certificates else {}),
    }


def fault_of(source: Source, output: str) -> BinderError:
    """Return whose fault it is that git failed, by what it said."""
    said = output.lower()
    if "no space left" in said:
        return OperatorFault("The disk of this service is full. Free some space, then try again.")
    if refused := _REFUSED.search(output):
        return RepositoryFault(f"git refuses the commit, which is broken or a trap: {refused[1]}.", step="fetch")
    for words, message in _FAULTS_OF_THE_REPOSITORY.items():
        if any(word in said for word in words):
            return RepositoryFault(message, step="fetch")
    if _PACK_REFUSED in said and not any(words in said for words in _BROKEN_OFF):
        return RepositoryFault("git cannot take in the commit, which is broken or a trap.", step="fetch")
    if any(words in said for words in _NO_REPOSITORY):
        return VisitorFault(f"There is no repository at {source.url}, or it is private.")
    last = output.strip().splitlines()[-1:] or ["it said nothing"]
    return WorldFault(f"git could not fetch from {source.url}: {last[0][:300]}")
