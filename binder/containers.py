"""Where Buildah and podman keep what they have, and all of the settings that they read.

Both share one storage, and neither reads the system's or a user's configuration: what holds here holds on every
machine. Everything lies in `Paths.engine` and is only ever written as the account that it belongs to. How images are
made is `build`'s, how they run is `deploy`'s.
"""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path

from binder.errors import OperatorFault
from binder.hosts import DOCKER_HUB
from binder.paths import Paths
from binder.process import Account, Command, TimedOutError, run

_TIMEOUT_SECONDS = 60.0
_LONGEST_SESSION_LOG_BYTES = 2**20

# What lies in `run` is true of one boot only: the tools would take it for the present state of mounts and processes.
# Several services may share the folder, and start at the same time.
_PREPARE = """
set -eu
umask 077
exec 9>lock
flock 9
boot=$(cat /proc/sys/kernel/random/boot_id)
if [ "$(cat run/boot 2>/dev/null)" != "$boot" ]; then
    rm -rf run
    mkdir run
    echo "$boot" >run/boot
fi
mkdir -p storage tmp
[ "$1" != home ] || rm -rf "$2"
exec python3 -I -c '
import json, os, sys
for name, text in json.load(sys.stdin).items():
    path = os.path.join(sys.argv[1], name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)
' "$1"
"""

# Podman keeps a process that holds its namespaces open; "migrate" ends it, with all containers that there are, but does
# not wait for its end. A zombie is only a line in a table, until its parent reads it.
_RELEASE = """
set -eu
[ -e run/libpod/pause.pid ] || exit 0
containers=$(podman --log-level error ps --all --quiet)
[ -z "$containers" ] || exit 0
pause=$(cat run/libpod/pause.pid)
podman --log-level error system migrate
for wait in $(seq 200); do
    grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pause/status" || exit 0
    sleep 0.05
done
echo "the process $pause, which holds podman's namespaces open, does not end"
exit 1
"""


def engine_home(paths: Paths) -> Path:
    """Return the folder of the settings: its own for a service that has registries, for all others one."""
    own = paths.engine / f"home-{paths.instance}"
    return own if own.exists() else paths.engine / "home"


def engine_environment(paths: Paths, account: Account) -> dict[str, str]:
    """Return the environment in which Buildah and podman find our storage and settings, and nobody else's.

    It holds for a child that runs as `account`, and for one that is sandboxed, once the engine is prepared.
    """
    home = engine_home(paths)
    return {
        # The signature policy, caches and credentials are looked for below it; no variable names them.
        "HOME": str(home),
        "USER": account.name,
        "XDG_RUNTIME_DIR": str(paths.engine / "run"),
        "TMPDIR": str(paths.engine / "tmp"),
        "CONTAINERS_CONF": str(home / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(home / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(home / "registries.conf"),
    }


@dataclass(frozen=True)
class Registries:
    """Where images come from and go to, and by which right. `own` is `host[:port]/path`, empty for none.

    `docker_mirror` (`host[:port][/path]`) is asked first for what Dockerfiles name of Docker Hub.
    """

    own: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    plain_http: bool = False
    certificates: Path | None = None
    docker_mirror: str = ""

    @property
    def host(self) -> str:
        """The host, and its port, of our own registry."""
        return self.own.partition("/")[0]


NO_REGISTRIES = Registries()


async def prepare_engine(paths: Paths, account: Account, registries: Registries = NO_REGISTRIES) -> None:
    """Make the engine's folders and settings; nothing that runs is disturbed. Wants `Paths.make` to have been called.

    Raises: OperatorFault.
    """
    own = f"home-{paths.instance}"
    # What others who share the folder know of registries, or do not know, is not to be written over.
    home = "home" if registries == NO_REGISTRIES else own
    # Not as arguments: everybody could read the password there.
    files = json.dumps(engine_settings(paths, registries, home)).encode()
    await _run_script(paths, account, _PREPARE, home, own, stdin=files, sandboxed=True)


async def release_engine(paths: Paths, account: Account) -> None:
    """Leave nothing of the engine running, if no container is left; to be called by the last one who uses the folder.

    Raises: OperatorFault.
    """
    await _run_script(paths, account, _RELEASE, sandboxed=False)


async def _run_script(
    paths: Paths, account: Account, script: str, *arguments: str, stdin: bytes | None = None, sandboxed: bool
) -> None:
    command = Command(
        ["sh", "-c", script, "sh", *arguments],
        env=engine_environment(paths, account),
        cwd=paths.engine,
        account=account,
        sandboxed=sandboxed,
        outlives=not sandboxed,
    )
    try:
        done = await run(command, timeout_seconds=_TIMEOUT_SECONDS, stdin=stdin)
    except TimedOutError as error:
        raise OperatorFault(f"Something has held {paths.engine} for longer than {error.seconds:g} s.") from error
    if not done.ok:
        raise OperatorFault(f"The folder {paths.engine} cannot be used for containers: {done.output}")


def engine_settings(paths: Paths, registries: Registries = NO_REGISTRIES, home: str = "home") -> dict[str, str]:
    """Return the settings of Buildah and podman: path below their `home` → text.

    Source: containers.conf(5), containers-storage.conf(5), containers-registries.conf(5), containers-policy.json(5).
    """
    return {
        "containers.conf": _containers_conf(paths, home),
        "storage.conf": _toml(
            storage={
                "driver": "overlay",
                "graphroot": str(paths.engine / "storage"),
                # The same, for whoever is not root and not in a namespace of its own.
                "rootless_storage_path": str(paths.engine / "storage"),
                "runroot": str(paths.engine / "run/containers"),
            }
        ),
        "registries.conf": _registries_conf(registries),
        ".config/containers/auth.json": _auth_json(registries),
        # For what is loaded on behalf of a repository.
        "no-auth.json": "{}",
        **_certificates(registries),
        # Nothing of ours is signed yet, and nothing is pulled that was not named by its host or made here.
        ".config/containers/policy.json": json.dumps({"default": [{"type": "insecureAcceptAnything"}]}),
        "mounts.conf": "",
    }


def _registries_conf(registries: Registries) -> str:
    # A name without a host is looked for nowhere: what a Dockerfile means by it is written out before it is built.
    lines = ['unqualified-search-registries = []\nshort-name-mode = "disabled"\n']
    if registries.own and registries.plain_http:
        lines.append(f"[[registry]]\nlocation = {json.dumps(registries.host)}\ninsecure = true\n")
    if registries.docker_mirror:
        mirror = json.dumps(registries.docker_mirror)
        is_plain = registries.plain_http and registries.docker_mirror.partition("/")[0] == registries.host
        lines.append(f'[[registry]]\nprefix = "{DOCKER_HUB}"\nlocation = "{DOCKER_HUB}"\n')
        lines.append(f"[[registry.mirror]]\nlocation = {mirror}\ninsecure = {json.dumps(is_plain)}\n")
    return "\n".join(lines)


def _auth_json(registries: Registries) -> str:
    if not (registries.own and registries.username):
        return "{}"
    credentials = base64.b64encode(f"{registries.username}:{registries.password}".encode()).decode()
    return json.dumps({"auths": {registries.host: {"auth": credentials}}})


def _certificates(registries: Registries) -> dict[str, str]:
    if not (registries.own and registries.certificates):
        return {}
    try:
        text = registries.certificates.read_text(encoding="utf-8")
    except OSError as error:
        raise OperatorFault(f"BINDER_REGISTRY_CERTIFICATES: {error}.") from error
    return {f".config/containers/certs.d/{registries.host}/ca.crt": text}


def _containers_conf(paths: Paths, home: str) -> str:
    return _toml(
        containers={
            # The distribution's list would mount the host's secrets into every container.
            "default_mounts_file": str(paths.engine / home / "mounts.conf"),
            # A container learns no names and addresses of the host.
            "base_hosts_file": "none",
            "host_containers_internal_ip": "none",
            "log_driver": "k8s-file",
            "log_size_max": _LONGEST_SESSION_LOG_BYTES,
        },
        engine={
            "runtime": "runc",
            "cgroup_manager": "cgroupfs",
            "events_logger": "none",
            "hooks_dir": [],
            # Locks in shared memory are one set for an account: two storages would take each other's.
            "lock_type": "file",
            "tmp_dir": str(paths.engine / "run/libpod"),
        },
    )


def _toml(**tables: dict[str, str | int | list[str]]) -> str:
    # JSON's strings, numbers and lists are TOML's as well.
    lines = []
    for table, values in tables.items():
        lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines)
