"""The script that solves and installs Conda environments, run for real: on this host, and once in a container."""

import asyncio
import hashlib
import json
import ssl
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from binder.errors import BinderError, RepositoryFault, WorldFault
from binder.process import Command, capture
from build.rattler import write_conda_library
from build.recipes.conda import CondaChannels, conda_request, explain_conda, request_json
from templates import source_path
from tests.build.conda_channel import DEBIANS_PYTHON, PYTHON_VERSION, make_channel, served, write_certificate
from tests.builds import Builder

_SCRIPT = source_path("build/conda.py")
_MARK = "--- conda ---\n"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("python")
    write_conda_library(folder)
    return folder


@pytest.fixture(scope="module")
def channel(reachable_root: Path) -> Path:
    folder = reachable_root / "channel"
    make_channel(folder)
    return folder


@pytest.fixture(scope="module")
def address(channel: Path) -> Iterator[str]:
    with served(channel) as address:
        yield address


@dataclass(frozen=True)
class Script:
    """The script as a build runs it, but on this machine. `certificates` are those that it trusts."""

    folder: Path
    library: Path
    channels: CondaChannels
    certificates: Path | None = None

    async def run(self, *arguments: str) -> tuple[int, str]:
        env = {"PYTHONPATH": str(self.library)}
        env |= {"SSL_CERT_FILE": str(self.certificates)} if self.certificates else {}
        command = Command([str(DEBIANS_PYTHON), "-B", str(_SCRIPT), *arguments], env, self.folder)
        code, output = await capture(command, timeout_seconds=60, most_bytes=2**24)
        return code, output.decode()

    async def solve(self, *specs: str, newest: str | None = None, top: str = "") -> list[dict[str, Any]]:
        request = conda_request("environment.yml", f"{top}\nchannels: [here, nodefaults]\ndependencies: {list(specs)}")
        path = self.folder / "request.json"
        path.write_text(request_json(request, self.channels, newest), encoding="utf-8")
        code, output = await self.run("solve", str(path))
        if code:
            raise explain_conda(output, request) or AssertionError(output)
        packages: list[dict[str, Any]] = json.loads(output.partition(_MARK)[2])
        return packages

    async def install(self, packages: list[dict[str, Any]], prefix: Path) -> None:
        path = self.folder / "lock.json"
        path.write_text(json.dumps({"conda": packages, "pypi": ""}), encoding="utf-8")
        code, output = await self.run("install", str(path), str(prefix), str(self.folder / "cache"))
        if code:
            raise explain_conda(output, None) or AssertionError(output)

    async def refusal(self, *specs: str, newest: str | None = None) -> BinderError:
        with pytest.raises(BinderError) as caught:
            await self.solve(*specs, newest=newest)
        return caught.value


@pytest.fixture
def script(tmp_path: Path, library: Path, address: str) -> Script:
    return Script(tmp_path, library, CondaChannels(replacements={"here": address}))


def _versions(packages: list[dict[str, Any]]) -> list[str]:
    return [f"{package['name']} {package['version']} {package['build']}" for package in packages]


def _contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Return what is in a folder: path → mode and digest, or where a link leads."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        what = str(path.readlink()) if path.is_symlink() else ""
        what = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(mode) else what
        found[str(path.relative_to(folder))] = (mode, what)
    return found


async def test_a_solution_names_each_package_exactly(script: Script, address: str, channel: Path) -> None:
    packages = await script.solve("pure", "tool=1")
    assert _versions(packages) == ["pure 1.0 b_0", f"python {PYTHON_VERSION} b_0", "tool 1.0 b_1"]
    archive = channel / "noarch" / "tool-1.0-b_1.tar.bz2"
    assert packages[2] == {
        "url": f"{address}/noarch/tool-1.0-b_1.tar.bz2",
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "name": "tool",
        "version": "1.0",
        "build": "b_1",
        "subdir": "noarch",
        "size": archive.stat().st_size,
    }


async def test_a_solution_may_be_as_of_a_date(script: Script) -> None:
    assert _versions(await script.solve("tool")) == ["tool 2.0 b_0"]
    assert _versions(await script.solve("tool", newest="2022-01-01T00:00:00+00:00")) == ["tool 1.0 b_1"]
    assert "after the cutoff" in (await script.refusal("tool", newest="2001-01-01T00:00:00+00:00")).message


async def test_a_channel_may_be_named_before_a_package(script: Script) -> None:
    assert _versions(await script.solve("here::tool ==1.0 b_0")) == ["tool 1.0 b_0"]


async def test_a_later_channel_helps_out_in_an_environment_file(script: Script, tmp_path: Path) -> None:
    await asyncio.to_thread(make_channel, tmp_path / "poor", versions=("1.0",), with_python=False)
    places = {"poor": f"file://{tmp_path}/poor", **script.channels.replacements}
    both = replace(script, channels=CondaChannels(replacements=places))
    assert _versions(await both.solve("poor::right", "tool")) == ["right 1.0 b_0", "tool 1.0 b_1"]
    assert _versions(await both.solve("tool >=2")) == ["tool 2.0 b_0"]


@pytest.mark.parametrize(
    ("specs", "line", "part"),
    [
        (("tool", "nonexistent"), 3, "No channel has a package named nonexistent."),
        (("tool >=3",), 3, "No version satisfies tool >=3; the newest that there are: 2.0, 1.0."),
        (("left", "right"), 3, "left 1.0 would require tool >=2"),
        (("needs-newer-libc",), 3, "__glibc >=99"),
        (("tool ===",), 3, "Not a Conda package with a version: tool ===: "),
    ],
)
async def test_what_cannot_be_solved_names_what_is_at_fault(
    script: Script, specs: tuple[str, ...], line: int, part: str
) -> None:
    fault = await script.refusal(*specs)
    assert isinstance(fault, RepositoryFault)
    assert part in fault.message
    assert (fault.file, fault.line) == ("environment.yml", line)


async def test_a_channel_that_is_not_there_is_the_authors_fault_and_one_that_is_down_is_not(script: Script) -> None:
    here = script.channels.replacements["here"]
    gone = replace(script, channels=CondaChannels(replacements={"here": f"{here}/gone"}))
    fault = await gone.refusal("tool")
    assert isinstance(fault, RepositoryFault)
    assert f"There is no Conda channel at {here}/gone" in fault.message
    down = replace(script, channels=CondaChannels(replacements={"here": "http://127.0.0.1:9"}))
    fault_of_world = await down.refusal("tool")
    assert isinstance(fault_of_world, WorldFault)
    assert "refused" in fault_of_world.message


async def test_an_environment_works(script: Script, tmp_path: Path) -> None:
    prefix = tmp_path / "opt" / "conda"
    await script.install(await script.solve("pure", "tool"), prefix)
    said = [await capture(Command([str(prefix / "bin" / name)]), timeout_seconds=10, most_bytes=999) for name in _TOOLS]
    assert said == [(0, f"pure {prefix}\n".encode()), (0, b"2.0\n")]
    assert sorted(path.name for path in prefix.iterdir()) == ["bin", "conda-meta", "lib", "share"]
    assert [path.name for path in prefix.parent.iterdir()] == ["conda"]


_TOOLS = ("pure-says", "tool")


async def test_the_same_lock_makes_the_same_files(script: Script, tmp_path: Path) -> None:
    packages = await script.solve("pure", "tool")
    prefix = tmp_path / "conda"
    await script.install(packages, prefix)
    first = _contents(prefix)
    assert str(tmp_path / "cache") not in (prefix / "conda-meta" / "pure-1.0-b_0.json").read_text()
    prefix.rename(tmp_path / "first")
    (tmp_path / "cache").rename(tmp_path / "old-cache")
    await script.install(packages, prefix)
    assert _contents(prefix) == first


async def test_the_account_of_what_is_installed_says_where_it_comes_from(script: Script, tmp_path: Path) -> None:
    (package,) = await script.solve("tool=2")
    await script.install([package], tmp_path / "conda")
    record = json.loads((tmp_path / "conda" / "conda-meta" / "tool-2.0-b_0.json").read_text())
    assert {key: record[key] for key in package} == package
    assert not {"extracted_package_dir", "link", "package_tarball_full_path"} & set(record)


async def test_what_was_fetched_once_is_not_fetched_again_unless_it_was_changed(
    script: Script, tmp_path: Path, channel: Path
) -> None:
    (package,) = await script.solve("tool=2")
    with served(channel) as address:
        there = package | {"url": f"{address}/noarch/tool-2.0-b_0.conda"}
        await script.install([there], tmp_path / "one")
    await script.install([there], tmp_path / "two")
    (archive,) = (tmp_path / "cache").glob("*/*")
    archive.write_bytes(b"something else")
    with pytest.raises(WorldFault, match="could not be reached"):
        await script.install([there], tmp_path / "three")
    await script.install([package], tmp_path / "four")


async def test_what_is_not_what_the_lock_names_is_not_installed(script: Script, tmp_path: Path) -> None:
    (package,) = await script.solve("tool=2")
    with pytest.raises(WorldFault, match="not what the lock names"):
        await script.install([package | {"sha256": "0" * 64}], tmp_path / "conda")
    assert not (tmp_path / "conda").exists()
    assert not list((tmp_path / "cache").glob("*/*"))
    with pytest.raises(RepositoryFault, match="not the address"):
        await script.install([package | {"url": package["url"] + "/.."}], tmp_path / "conda")


async def test_channels_are_reached_with_the_hosts_certificates(script: Script, tmp_path: Path, channel: Path) -> None:
    certificate = tmp_path / "channel.pem"
    write_certificate(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with served(channel, context) as address:
        channels = CondaChannels(replacements={"here": address})
        assert isinstance(await replace(script, channels=channels).refusal("tool"), WorldFault)
        trusting = replace(script, channels=channels, certificates=certificate)
        await trusting.install(await trusting.solve("tool"), tmp_path / "conda")
    assert (tmp_path / "conda" / "bin" / "tool").exists()


def test_the_library_is_copied_once_and_can_be_read_by_all(library: Path) -> None:
    before = (library / "rattler").stat().st_ino
    assert all(path.stat().st_mode & 0o004 for path in library.rglob("*"))
    write_conda_library(library)
    assert (library / "rattler").stat().st_ino == before


async def test_two_builds_may_copy_the_library_at_once(tmp_path: Path) -> None:
    await asyncio.gather(*(asyncio.to_thread(write_conda_library, tmp_path / "python") for _ in range(3)))
    assert [path.name for path in (tmp_path / "python").iterdir()] == ["rattler"]


_IN_A_BUILD = """
set -eu
. /run/binder/environment
PYTHONPATH=/run/library python3 -B /run/asked/conda.py solve /run/asked/request.json >/tmp/said
sed '0,/^--- conda ---$/d' /tmp/said >/tmp/lock.json
PYTHONPATH=/run/library python3 -B /run/asked/conda.py install /tmp/lock.json /opt/binder/conda /tmp/cache
/opt/binder/conda/bin/pure-says
/opt/binder/conda/bin/tool
stat -c '%u %a' /opt/binder/conda
"""


@pytest.mark.slow
async def test_an_environment_is_solved_and_installed_in_a_build(
    builder: Builder, jupyter_image: str, library: Path, address: str, reachable_path: Path
) -> None:
    write_conda_library(reachable_path / "library")
    asked = reachable_path / "asked"
    asked.mkdir(mode=0o755)
    request = conda_request("environment.yml", "channels: [here, nodefaults]\ndependencies: [pure, tool]")
    channels = CondaChannels(replacements={"here": address})
    (asked / "request.json").write_text(request_json(request, channels, None), encoding="utf-8")
    (asked / "conda.py").write_bytes(_SCRIPT.read_bytes())
    lines: list[str] = []

    async def take(line: str) -> None:
        lines.append(line)

    await builder.buildah.run_inside(
        jupyter_image,
        _IN_A_BUILD,
        mounts=[
            (builder.paths.tools, "/run/binder", "ro"),
            (reachable_path / "library", "/run/library", "ro"),
            (asked, "/run/asked", "ro"),
        ],
        step="environment",
        take=take,
        explain=lambda output: explain_conda(output, request),
    )
    assert lines == ["pure /opt/binder/conda", "2.0", "1000 755"]
