"""Builds the programs of a cluster from Go modules, once for each version of `binaries/`, into the cache folder.

Owns how they are built and where they are kept. Which versions they have, `binaries/` says: a module for each program
whose dependencies would otherwise be made to agree with another's.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.reasons import CannotRun, last_words

_MODULES = Path(__file__).parent / "binaries"
_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")
_PROGRAMS: Mapping[str, Mapping[str, str]] = {
    "kubernetes": {name: f"k8s.io/kubernetes/cmd/{name}" for name in _KUBERNETES},
    "etcd": {"etcd": "go.etcd.io/etcd/server/v3"},
    "coredns": {"coredns": "."},
    "kube-router": {"kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"},
    "helm": {"helm": "helm.sh/helm/v4/cmd/helm"},
    "pause": {"pause": "."},
    "kwok": {"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
}
"""Folder of a module → program → package of Go's that it is made of."""
OF_CLUSTER = ("kubernetes", "etcd", "coredns", "kube-router", "pause")
OF_SIMULATION = ("kubernetes", "etcd", "kwok")

# Kubernetes says which version it is by what the linker writes into it, and its parts hold each other to that.
_LINKING = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.2"
_DOWNLOAD_SECONDS = 600
_BUILD_SECONDS = 3600


def build_programs(cache: Path, modules: Sequence[str] = OF_CLUSTER) -> Mapping[str, Path]:
    """Return where the programs are: name → file. What is not in the cache folder yet is built: for ten minutes.

    Raises: CannotRun.
    """
    folder = cache / "cluster"
    with alone(folder / "building"):
        return {name: path for module in modules for name, path in _build_module(module, folder).items()}


def build_program(cache: Path, name: str) -> Path:
    """Return where one program is that needs no others; it is built where it is not in the cache folder yet.

    Raises: CannotRun.
    """
    folder = cache / "cluster"
    with alone(folder / "building"):
        return _build_module(name, folder)[name]


def _build_module(module: str, folder: Path) -> dict[str, Path]:
    place = folder / f"{module}-{_key_of(module)}"
    if not place.is_dir():
        go = _bring_go(folder)
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            for name, package in _PROGRAMS[module].items():
                print(f"cluster: building {name}", file=sys.stderr)
                argv = [str(go), "build", "-ldflags", _LINKING, "-o", f"{unfinished}/made/{name}", package]
                _run(argv, _BUILD_SECONDS, cwd=_MODULES / module, env=os.environ | _SETTINGS)
            Path(unfinished, "made").rename(place)
    return {name: place / name for name in _PROGRAMS[module]}


# Static programs, the same on every machine; which proxy and which checksums are asked is the machine's choice.
_SETTINGS = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-trimpath -buildvcs=false -mod=readonly"}


def _key_of(module: str) -> str:
    """Return a digest of all that a module's programs are made of, and by what."""
    files = sorted(path for path in (_MODULES / module).iterdir() if path.is_file())
    digest = hashlib.sha256(repr((_PROGRAMS[module], _LINKING, sorted(_SETTINGS.items()))).encode())
    for path in (_MODULES / "go.txt", *files):
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _bring_go(folder: Path) -> Path:
    """Return Go's compiler, of the one version that `go.txt` names."""
    requirements = _MODULES / "go.txt"
    place = folder / f"go-{hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]}"
    if not place.is_dir():
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            _run(
                [*pip, "--target", f"{unfinished}/made", "--require-hashes", "-r", str(requirements)], _DOWNLOAD_SECONDS
            )
            Path(unfinished, "made").rename(place)
    return place / "go/bin/go"


def _run(
    argv: Sequence[str], timeout_seconds: float, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> None:
    try:
        done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, check=False, timeout=timeout_seconds)
    except subprocess.TimeoutExpired as error:
        raise CannotRun(f"{' '.join(argv[:2])} did not end within {timeout_seconds:g} s.") from error
    if done.returncode:
        raise CannotRun(f"{' '.join(argv)} failed: {last_words(done.stderr)}")


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until nobody else is in such a block with that lock."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
