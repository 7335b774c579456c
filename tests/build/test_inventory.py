"""The list of what an image holds: taken from what a step prints, and made of folders that were made to harm."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from build.inventory import Listing
from build.plan import template

_TRAP = "raise SystemExit('what is installed was run')\n"
_STATUS = "Package: {}\nStatus: {} ok {}\nVersion: 1\n\n"
_SITE = "lib/python3.11/site-packages"


async def _listed(*lines: str) -> tuple[list[tuple[str, ...]] | None, list[str]]:
    """Return the packages that lines say, and what else was said."""
    said: list[str] = []

    async def take(line: str) -> None:
        said.append(line)

    listing = Listing(take)
    for line in lines:
        await listing.take(line)
    packages = listing.packages
    return None if packages is None else list(map(tuple, packages)), said


async def test_the_list_is_what_follows_its_last_announcement() -> None:
    found, said = await _listed(
        '["pypi", "early", "1"]',
        "--- inventory ---",
        '["pypi", "forged", "1"]',
        "a package's own words",
        "--- inventory ---",
        '["pypi", "numpy", "2.1.0"]',
        "[a thread that still runs]",
        '["deb", "git", "1:2.39.5-0+deb12u2"]',
        "--- size ---",
        "12",
    )
    assert found == [("deb", "git", "1:2.39.5-0+deb12u2"), ("pypi", "numpy", "2.1.0")]
    assert said == [
        *('["pypi", "early", "1"]', "a package's own words", "[a thread that still runs]", "--- size ---", "12")
    ]


async def test_no_list_is_not_an_empty_one() -> None:
    assert await _listed("words") == (None, ["words"])
    assert await _listed("--- inventory ---") == ([], [])


async def test_a_list_has_an_end() -> None:
    found, said = await _listed("--- inventory ---", *(f'["pypi", "a{number}", "1"]' for number in range(20_100)))
    assert (len(found or ()), said) == (20_000, [])


def _list(root: Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """List what a folder holds, as that of an image is listed from beside it."""
    as_root = ["unshare", "--user", "--map-root-user"]
    argv = [*as_root, "python3", "-I", "-S", "-c", text or template("inventory.py"), str(root)]
    return subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False, timeout=60)


async def _packages(root: Path) -> list[tuple[str, ...]] | None:
    done = _list(root)
    assert (done.returncode, done.stderr) == (0, "")
    found, said = await _listed(*done.stdout.splitlines())
    assert said == []
    return found


def _write(root: Path, texts: Mapping[str, str]) -> None:
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="latin-1")


async def test_what_installers_wrote_down_is_listed_and_nothing_of_it_is_run(tmp_path: Path) -> None:
    env, conda = "opt/binder/env", "opt/binder/conda"
    texts = {
        f"{env}/{_SITE}/ruamel.yaml-0.18.dist-info/METADATA": "Name: ruamel.yaml\nVersion: 0.18\n\nName: x",
        f"{env}/{_SITE}/old-1.egg-info/PKG-INFO": "Name: Old_Thing\nVersion: 1\n",
        f"{env}/{_SITE}/older-1.egg-info": "Name: older\nVersion: 1\n",
        f"{env}/{_SITE}/broken-1.dist-info/METADATA": "\xff\x00",
        f"{env}/{_SITE}/trap.pth": f"import sys; {_TRAP}",
        f"{env}/{_SITE}/json.py": _TRAP,
        f"{conda}/{_SITE}/numpy-2.dist-info/METADATA": "Name: numpy\nVersion: 2\n",
        f"{conda}/{_SITE}/numpy-2.dist-info/INSTALLER": "conda\n",
        f"{conda}/{_SITE}/six-1.dist-info/METADATA": "Name: six\nVersion: 1\n",
        f"{conda}/conda-meta/numpy-base-2-py312_0.json": "[",
        f"{conda}/conda-meta/r-sf-1.0-r42_0.json": "{}",
        f"{conda}/conda-meta/history": "",
        f"{conda}/conda-meta/trap.json": "{}",
        f"{conda}/lib/R/library/sf/DESCRIPTION": "Package: sf\nVersion: 1.0\n",
        f"{conda}/lib/R/library/tiny/DESCRIPTION": "Package: tiny\nVersion: 1.0\n",
        "opt/binder/r/R6/DESCRIPTION": "Package: R6\nVersion: 2.5.1\nDescription: Classes\n    Version: 9\n",
        "opt/binder/r/stats/DESCRIPTION": "Package: stats\nVersion: 4.2\nPriority: base\n",
    }
    _write(tmp_path, texts)
    assert await _packages(tmp_path) == [
        ("conda", "numpy-base", "2"),
        ("conda", "r-sf", "1.0"),
        ("cran", "R6", "2.5.1"),
        ("cran", "tiny", "1.0"),
        ("pypi", "old-thing", "1"),
        ("pypi", "older", "1"),
        ("pypi", "ruamel-yaml", "0.18"),
        ("pypi", "six", "1"),
    ]


@pytest.mark.parametrize(
    "folder",
    [
        "usr/lib/python3.12/site-packages",
        "usr/lib/python3/dist-packages",
        "usr/local/lib/python3.12/dist-packages",
        f"opt/conda/{_SITE}",
        f"opt/conda/envs/one/{_SITE}",
        f"srv/conda/{_SITE}",
        f"srv/conda/envs/notebook/{_SITE}",
        f"home/ada/.local/{_SITE}",
        f"home/ada/.venv/{_SITE}",
        f"root/.local/{_SITE}",
        f"app/.venv/{_SITE}",
        f"venv/{_SITE}",
    ],
)
async def test_it_is_listed_where_people_install(tmp_path: Path, folder: str) -> None:
    _write(tmp_path, {f"{folder}/six-1.dist-info/METADATA": "Name: six\nVersion: 1\n"})
    assert await _packages(tmp_path) == [("pypi", "six", "1")]


async def test_debians_packages_are_listed_once(tmp_path: Path) -> None:
    texts = {
        "var/lib/dpkg/status": "".join(
            [
                _STATUS.format("python3-six", "install", "installed"),
                _STATUS.format("gone", "deinstall", "config-files"),
            ]
        ),
        "etc/os-release": "PRETTY_NAME='Debian'\nID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n",
        "usr/lib/python3/dist-packages/six-1.egg-info": "Name: six\nVersion: 1\n",
        "usr/lib/R/site-library/R6/DESCRIPTION": "Package: R6\nVersion: 2.5.1\n",
        "usr/local/lib/R/site-library/sf/DESCRIPTION": "Package: sf\nVersion: 1.0\n",
        f"usr/local/{_SITE}/toolz-1.dist-info/METADATA": "Name: toolz\nVersion: 1\n",
    }
    _write(tmp_path, texts)
    assert await _packages(tmp_path) == [
        ("cran", "sf", "1.0"),
        ("deb", "python3-six", "1"),
        ("os", "debian", "bookworm"),
        ("pypi", "toolz", "1"),
    ]


async def test_alpines_packages_are_listed(tmp_path: Path) -> None:
    database = "C:Q1x=\nP:musl\nV:1.2.5-r0\nD:so\np:so:libc.musl\nF:lib\nR:ld.so\n\nC:Q1x=\nP:git\nV:2.45.2-r0\n\n"
    _write(tmp_path, {"lib/apk/db/installed": database, "etc/os-release": 'ID=alpine\nVERSION_ID=3.20.1\nNAME="A"\n'})
    assert await _packages(tmp_path) == [
        ("apk", "git", "2.45.2-r0"),
        ("apk", "musl", "1.2.5-r0"),
        ("os", "alpine", "3.20.1"),
    ]


async def test_links_lead_nowhere_out_of_the_folder(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    name = "home/ada/env"
    _write(outside, {"status": _STATUS.format("of-the-host", "install", "installed"), "os": "ID=host\nVERSION_ID=1\n"})
    _write(outside, {f"{_SITE}/x-1.dist-info/METADATA": "Name: x\nVersion: 1\n"})
    _write(root, {f"inside/{_SITE}/six-1.dist-info/METADATA": "Name: six\nVersion: 1\n", f"{name}s/x": ""})
    for link, leads in {
        "var/lib/dpkg/status": outside / "status",
        "etc/os-release": Path("../../../../../..", *(outside / "os").parts[1:]),
        "opt/outside": outside,
        "opt/itself": Path("itself"),
        "opt/up": Path("../../../../inside"),
        name: Path("/inside"),
    }.items():
        (root / link).parent.mkdir(parents=True, exist_ok=True)
        (root / link).symlink_to(leads)
    assert await _packages(root) == [("pypi", "six", "1")]


async def test_what_is_no_file_and_names_that_are_no_text_hold_nothing_up(tmp_path: Path) -> None:
    site = tmp_path / "usr/local" / _SITE
    _write(tmp_path, {f"usr/local/{_SITE}/six-1.dist-info/METADATA": "Name: six\nVersion: 1\n"})
    for folder in (tmp_path / "var/lib/dpkg", tmp_path / "etc", site / "pipe-1.dist-info"):
        folder.mkdir(parents=True)
    os.mkfifo(tmp_path / "var/lib/dpkg/status")
    (tmp_path / "etc/os-release").mkdir()
    os.mkfifo(site / "pipe-1.dist-info/METADATA")
    for name, says in ((b"\xff\n-1.dist-info/METADATA", b"odd"), (b"\xfe-1.egg-info/PKG-INFO", b"\xff")):
        path = site / os.fsdecode(name)
        path.parent.mkdir()
        path.write_bytes(b"Name: %b\nVersion: 1\n" % says)
    found, said = await _listed(*_list(tmp_path).stdout.splitlines())
    assert found == [("pypi", "odd", "1"), ("pypi", "six", "1")]
    assert [line for line in said if "ufffd" not in line] == []


async def test_a_head_is_read_of_files_without_end(tmp_path: Path) -> None:
    path = f"usr/local/{_SITE}/six-1.dist-info/METADATA"
    _write(tmp_path, {path: "Name: six\nVersion: 1\n\n"})
    os.truncate(tmp_path / path, 10 * 2**30)
    assert await _packages(tmp_path) == [("pypi", "six", "1")]


def test_a_list_that_would_not_be_true_is_none(tmp_path: Path) -> None:
    _write(tmp_path, {"var/lib/dpkg/status": "", "traceback.py": _TRAP, "usr/lib/python3.11/traceback.py": _TRAP})
    os.truncate(tmp_path / "var/lib/dpkg/status", 10 * 2**30)
    done = _list(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "_TooMuchError: /var/lib/dpkg/status is too large\n"
    (tmp_path / "var/lib/dpkg/status").unlink()
    for number in range(200):
        (tmp_path / f"usr/local/{_SITE}/{number}-1.dist-info").mkdir(parents=True)
    fewer = template("inventory.py").replace("_MOST_ENTRIES = 500_000", "_MOST_ENTRIES = 100")
    done = _list(tmp_path, fewer)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "_TooMuchError: there are more than 100 files to look at\n"
    assert _list(tmp_path).returncode == 0


def test_listing_ends_in_time(tmp_path: Path) -> None:
    shorter = template("inventory.py").replace("_MOST_SECONDS = 20", "_MOST_SECONDS = 1")
    endless = shorter.replace("def _alpine() -> _Found:", "def _alpine() -> _Found:\n    while True: pass")
    assert _list(tmp_path, endless).returncode == -signal.SIGALRM


def test_nothing_of_the_folder_is_imported(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {f"{place}/inside.py": _TRAP for place in (".", "usr/lib/python3.11", "usr/lib/python3/dist-packages")},
    )
    imports = template("inventory.py").replace(
        "def _alpine() -> _Found:", "def _alpine() -> _Found:\n    import inside"
    )
    done = _list(tmp_path, imports)
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'inside'"
