"""Debian's releases and packages, and R's, for real: what images of them hold, and what they do not.

`BINDER_WRITE_GOLDEN=1` writes the golden files anew, as for `test_containerfiles.py`.
"""

import io
import os
import tarfile
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from binder.errors import RepositoryFault
from binder.paths import Paths
from binder.process import Account
from build.host import find_host_settings, write_host_folder
from build.plan import R_COMPILERS, R_PACKAGES
from build.recipes.cran import needs_of
from build.system_faults import explain_r, explain_system
from templates import render
from tests.build.debian import Workshop

_GOLDEN = Path(__file__).parent / "golden"
_DESCRIPTION = "Package: mine\nVersion: 1.0\nImports: tiny (>= 1.1), digest\n"


@pytest.fixture
async def workshop(engine_paths: Paths, account: Account, reachable_path: Path) -> AsyncIterator[Workshop]:
    """Builds on Debian, with folders of the host's settings of its own."""
    paths = Paths(reachable_path / "state", engine_paths.cache)
    paths.make(account)
    folder = reachable_path / "work"
    folder.mkdir(mode=0o711)
    write_host_folder(await find_host_settings(), paths)
    workshop = Workshop(paths, account, folder)
    yield workshop
    await workshop.close()


async def _system(workshop: Workshop, suite: str, *packages: str, preferred: tuple[str, ...] = ()) -> str:
    script = render("build/system.sh", suite=suite, packages=packages, preferred=preferred)
    parent = await workshop.base(suite)
    return await workshop.make(render("build/system.Containerfile", parent=parent), workshop.given(system_sh=script))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("system.sh", {"suite": "bookworm", "packages": ["g++", "tree"], "preferred": ["r-cran-digest"]}),
        ("r.sh", {"prefix": "/opt/binder", "suite": "bookworm", "snapshot": "2024-03-01", "install": True}),
    ],
)
def test_a_script_is_what_it_was(name: str, values: dict[str, object]) -> None:
    needs = {"needs": needs_of("DESCRIPTION", _DESCRIPTION)} if name == "r.sh" else {}
    rendered = render(f"build/{name}", **values, **needs)
    if os.environ.get("BINDER_WRITE_GOLDEN"):
        (_GOLDEN / name).write_text(rendered)
    assert rendered == (_GOLDEN / name).read_text()


@pytest.mark.slow
async def test_packages_of_the_system_are_installed_and_leave_no_trace_of_how(workshop: Workshop) -> None:
    first = await _system(workshop, "bookworm", "tree", "python3-six", "dbus", preferred=("bc", "no-such-package"))
    second = await _system(workshop, "bookworm", "tree", "python3-six", "dbus", preferred=("bc", "no-such-package"))
    assert await workshop.layers(first) == await workshop.layers(second)
    script = """
tree --version >/dev/null; bc --version >/dev/null; python3 -c 'import six'
ls -A /tmp; find /var/log /var/cache /etc/apt/sources.list.d /run/binder /run/asked -type f
ls /usr/sbin/policy-rc.d /var/lib/dbus/machine-id /etc/apt/sources.list 2>/dev/null || true
find /usr/share/man -type f; find /usr/share/doc -type f ! -name copyright
grep -v ':1:' /etc/shadow | grep jovyan || true
"""
    assert await workshop.inside(first, f"set -e; {script}") == []


@pytest.mark.slow
async def test_names_that_apt_would_take_for_something_else_are_unknown(workshop: Workshop) -> None:
    with pytest.raises(RepositoryFault) as caught:
        await _system(workshop, "bookworm", "tree", "python3-", "lib.", "no-such-package")
    fault = explain_system(caught.value.message, "apt.txt", {"tree": 1, "python3-": 2, "lib.": 3})
    assert isinstance(fault, RepositoryFault)
    assert (fault.line, fault.message) == (2, "Debian has no package python3-. Nor has it lib., no-such-package.")


@pytest.mark.slow
async def test_another_release_has_its_own_python(workshop: Workshop) -> None:
    script = """
. /run/binder/environment
uv venv --quiet --python /usr/bin/python3 /tmp/env
/tmp/env/bin/python -c 'import sys, ssl, sqlite3; print(sys.version_info[:2])' | tee /tmp/said
rm -rf /tmp/env
"""
    parent = await workshop.base("trixie")
    containerfile = f"FROM {parent}\nUSER 1000\nRUN sh /run/asked/try.sh\n"
    await workshop.make(containerfile, workshop.given(try_sh=f"set -e\n{script}"))
    assert "(3, 13)" in workshop.printed


@pytest.mark.slow
async def test_rs_packages_come_from_debian_and_from_a_mirror(workshop: Workshop) -> None:
    image = await _system(workshop, "bookworm", *R_PACKAGES, *R_COMPILERS, preferred=("r-cran-digest", "r-cran-tiny"))
    mirror = workshop.folder / "cran"
    with _cran(mirror) as address:
        write_host_folder(await find_host_settings(cran=address), workshop.paths)
        install = 'install.packages("compiled")\nstopifnot(compiled::twice(4) == 8)\n'
        made = await _r(workshop, image, install, _DESCRIPTION)
        look = "Rscript -e 'cat(tiny::answer(), compiled::twice(4), nchar(digest::digest(1)), sep = \"-\")'"
        script = f"export R_LIBS_USER=/opt/binder/r; {look}; echo; ls -A /tmp; cat /opt/binder/r/*/DESCRIPTION"
        said = await workshop.inside(made, f"set -e; {script}; ls /usr/share/jupyter/kernels")
        assert said[0] == "42-8-32"
        assert "ir" in said
        assert address not in "\n".join(said)
        for text, line in (('x <- 1\ninstall.packages("absent")\n', 2), ("if (\n", 2), ("library(absent)\n", 1)):
            with pytest.raises(RepositoryFault) as caught:
                await _r(workshop, image, text)
            fault = explain_r(caught.value.message, "binder/install.R")
            assert isinstance(fault, RepositoryFault)
            assert (fault.file, fault.line) == ("binder/install.R", line)


async def _r(workshop: Workshop, image: str, install: str, description: str = "") -> str:
    needs = needs_of("DESCRIPTION", description) if description else ()
    script = render(
        "build/r.sh", prefix="/opt/binder", suite="bookworm", snapshot=None, needs=needs, install=bool(install)
    )
    containerfile = f"FROM {image}\nUSER 1000\nRUN sh /run/asked/r.sh\n"
    return await workshop.make(containerfile, workshop.given(r_sh=script, install_R=install))


@contextmanager
def _cran(folder: Path) -> Iterator[str]:
    """Serve a mirror of two packages of R while the block runs, and give its address."""
    packages = [
        _package(folder, "tiny", "1.2", {"R/a.R": "answer <- function() 42\n", "NAMESPACE": "export(answer)\n"}),
        _package(
            folder,
            "compiled",
            "1.0",
            {
                "R/a.R": "twice <- function(x) .Call('twice', x, PACKAGE = 'compiled')\n",
                "NAMESPACE": "useDynLib(compiled)\nexport(twice)\n",
                "src/a.c": "#include <Rinternals.h>\nSEXP twice(SEXP x) { return ScalarReal(2 * asReal(x)); }\n",
            },
        ),
    ]
    (folder / "src/contrib/PACKAGES").write_text("\n".join(packages))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _package(folder: Path, name: str, version: str, files: Mapping[str, str]) -> str:
    """Write a source package of R, and return what a mirror's index says of it."""
    place = folder / "src/contrib"
    place.mkdir(parents=True, exist_ok=True)
    about = f"Package: {name}\nVersion: {version}\n"
    whole = about + "Title: T\nDescription: D.\nAuthor: Ada\nMaintainer: Ada <ada@example.org>\nLicense: BSD\n"
    with tarfile.open(place / f"{name}_{version}.tar.gz", "w:gz") as archive:
        for path, text in {"DESCRIPTION": whole, **files}.items():
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return about
