"""What is asked of Conda channels, by each kind of file; what cannot be had; and what is said when it fails."""

import json
import time
from pathlib import Path

import pytest

from binder.errors import RepositoryFault, WorldFault
from binder.hosts import CONDA
from build.recipes.conda import (
    CondaChannels,
    CondaPackage,
    channel_urls,
    conda_request,
    explain_conda,
    locked_records,
    request_json,
)
from tests.build.hosts import with_hosts

_SAMPLES = Path(__file__).parents[1] / "samples" / "conda"
_ALIAS = f"https://{CONDA}"
_LOCKED = f"{_ALIAS}/conda-forge/noarch/tzdata-2025a-h78e105d_0.conda"
_DIGEST = "c4b1ae8a2931fe9b274c44af29c5475a85b37693999f8c792dad0f8c6734b1de"


def _sample(name: str) -> str:
    return with_hosts((_SAMPLES / name).read_text(encoding="utf-8"))


def _refusal(path: str, text: str) -> RepositoryFault:
    with pytest.raises(RepositoryFault) as caught:
        conda_request(path, text)
    assert caught.value.file == path
    return caught.value


def test_an_environment_file_asks_for_packages_channels_pip_and_variables() -> None:
    request = conda_request("binder/environment.yml", _sample("environment.yml"))
    assert request.channels == ("defaults", "bioconda", "conda-forge")
    assert request.specs[:4] == ("python=3.11", "numpy >=1.26,<2", "pytorch::torchvision", "R-base=4.*")
    assert request.specs[4:] == ("scipy[version='>=1.11']", "pip")
    assert request.lines == {"python": 6, "numpy": 7, "torchvision": 8, "r-base": 9, "scipy": 10, "pip": 11}
    assert (request.pip, request.pip_lines) == (("requests==2.31.0", "-r more.txt"), (13, 14))
    assert request.variables == (("DATA_SET", "3"),)
    assert (request.priority, request.locked) == ("flexible", None)


@pytest.mark.parametrize(
    ("text", "channels"),
    [
        ("", ("conda-forge",)),
        ("channels:\ndependencies:\n", ("conda-forge",)),
        ("channels: [conda-forge, defaults]", ("conda-forge", "defaults")),
        ("channels: [bioconda, nodefaults]", ("bioconda", "nodefaults")),
        ("channels: bioconda", ("bioconda", "conda-forge")),
    ],
)
def test_conda_forge_is_searched_last_unless_the_file_says_otherwise(text: str, channels: tuple[str, ...]) -> None:
    assert conda_request("environment.yml", text).channels == channels


def test_of_micromambas_selectors_those_of_linux_count() -> None:
    text = "dependencies: [{sel(linux): one}, {sel(win): two}, {sel(unix): three}]"
    assert conda_request("environment.yaml", text).specs == ("one", "three")


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("dependencies:\n- a b\n- [", 4, "not valid YAML"),
        ("- numpy", 1, "not a list of settings"),
        ("dependencies:\n  numpy: 1", 2, "must be a list"),
        ("dependencies:\n- ok\n- conda: [x]", 3, "'conda' among the dependencies"),
        ("dependencies:\n-", 2, "must be one text"),
        ("dependencies:\n- pip:\n  - a\n  - - b", 4, "must be one text"),
        ("dependencies:\n- file:///etc/x-1-0.conda", 2, "cannot reach"),
        ("dependencies:\n- ok\n- ../x::y", 3, "cannot be reached"),
        ("dependencies:\n- 'a\\\n\\\n  (b'", 2, "not a Conda package"),
        ('dependencies:\n- "a\\tb"', 2, "not the name of a Conda package"),
        ("channels:\n- file:///srv/channel", 2, "cannot be reached"),
        ("channels:\n- /srv/channel", 2, "cannot be reached"),
        ("channels:\n- a/../../b", 2, "cannot be reached"),
        ("a: 1\nb: &x 1\nc: *x", 3, "alias"),
        ("a: 1\na: 2", 2, "a second time"),
        ("a: !!python/name:os.system\n---\nb: 1", 2, "second document"),
        ("a: !include /etc/passwd", 1, "tag of its own"),
        ("variables:\n  a b: 1", 2, "not a variable"),
        ("[" * 1000, 1, "nested too deeply"),
        ("a: " + "x" * 2**20, None, "larger than 1 MiB"),
        ("a: \0", None, "not valid YAML"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, line: int | None, part: str) -> None:
    fault = _refusal("environment.yml", text)
    assert fault.line == line
    assert part in fault.message


@pytest.mark.parametrize("text", ["[" * 10**6, "[a," * 300_000, "{" * 10**6, "? " * 500_000, "- " * 500_000])
def test_a_hostile_file_is_refused_at_once(text: str) -> None:
    began = time.monotonic()
    _refusal("environment.yml", text)
    assert time.monotonic() - began < 2


def test_a_pixi_manifest_asks_for_its_default_environment_on_our_platform() -> None:
    request = conda_request("pixi.toml", _sample("pixi.toml"))
    assert request.channels == ("https://conda.example.org/own", "conda-forge")
    packages = ("python 3.11.*", "scipy", 'blas[build="openblas"]', "pytorch::torch 2.*", "tool 1.0", "pytest")
    assert request.specs == packages
    assert request.pip == (
        "requests>=2",
        "-e .[plots]",
        "fork @ git+https://git.example.org/fork.git@abc#subdirectory=python",
    )
    assert (request.lines["torch"], request.pip_lines) == (10, (19, 20, 21))
    assert (request.priority, request.variables) == ("strict", (("DATA_SET", "3"),))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "no table [workspace]"),
        ("[workspace]\nchannels = []", "names no channels"),
        ("[workspace]\nchannels = ['c']\nplatforms = ['win-64']", "does not list linux-64"),
        ("[workspace]\nchannels = ['file:///x']", "cannot be reached"),
        ("[workspace]\nchannels = ['c']\n[dependencies]\nx = {path = 'y'}", "from a path"),
        ("[workspace]\nchannels = ['c']\n[dependencies]\nx = '>1\"]'", "not read here"),
        ("[workspace]\nchannels = ['c']\n[pypi-dependencies]\nx = {index = 'https://i'}", "an index of its own"),
        ('[workspace]\nchannels = ["c"]\n[pypi-dependencies]\nx = ">1\\n-r y"', "does not go on one line"),
        ("[workspace]\nchannels = ['c']\n[environments]\ndefault = ['gone']", "[feature.gone]"),
        ("[workspace", "not TOML"),
    ],
)
def test_a_pixi_manifest_that_cannot_be_built_is_refused(text: str, part: str) -> None:
    assert part in _refusal("pixi.toml", text).message


def test_a_pixi_lock_names_packages_exactly() -> None:
    request = conda_request("pixi.lock", _sample("pixi-6.lock"))
    assert request.locked is not None
    assert [package.name for package in request.locked] == ["bzip2", "tzdata"]
    assert request.locked[1] == CondaPackage(_LOCKED, _DIGEST, "tzdata", "2025a", "h78e105d_0", "noarch", 122921)
    own = "https://wheels.example.org/own-1.0-py3-none-any.whl"
    digest = "12f65c9b470abda6dc35cf8e63cc574b1c52b11df2c86030af0ac09b01b13ea9"
    assert request.pip == ("idna==3.10", f"own @ {own}#sha256={digest}", "-e ./")
    assert (request.lines, request.pip_lines) == ({"bzip2": 10, "tzdata": 11}, (12, 13, 14))


def test_the_platform_of_a_pixi_lock_may_have_a_name_of_its_own() -> None:
    request = conda_request("pixi.lock", _sample("pixi-7.lock"))
    assert [package.url for package in request.locked or ()] == [_LOCKED]


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("version: 7", "version: 1", "too old"),
        ("subdir: linux-64", "subdir: osx-64", "no packages for linux-64"),
        (f"sha256: {_DIGEST}", "md5: dbcace4706afdfb7eb891f7b37d07c04", "no SHA-256"),
        (f"- conda: {_LOCKED}\npackages", "- conda: ./recipe\npackages", "names no package"),
        (f"- conda: {_LOCKED}\npackages", "- source: ./recipe\npackages", "built from source"),
        (f"- conda: {_LOCKED}\npackages", "- conda: file:///a/b/noarch/x-1-0.conda\npackages", "names no package"),
    ],
)
def test_a_pixi_lock_that_cannot_be_installed_is_refused(old: str, new: str, part: str) -> None:
    text = _sample("pixi-7.lock")
    assert old in text
    assert part in _refusal("pixi.lock", text.replace(old, new)).message


def test_a_long_lock_is_read_in_a_moment() -> None:
    rows = "".join(
        f"- conda: {_ALIAS}/c/noarch/p{number}-1.0-b_0.conda\n  sha256: {_DIGEST}\n  md5: {'b' * 32}\n"
        "  depends:\n  - python >=3.9\n  - other\n  license: BSD\n  size: 123\n  timestamp: 1234\n"
        for number in range(10_000)
    )
    began = time.monotonic()
    conda_request("pixi.lock", _sample("pixi-7.lock") + rows)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("channel", "url"),
    [
        ("conda-forge", f"{_ALIAS}/conda-forge"),
        ("defaults", f"{_ALIAS}/conda-forge"),
        ("main", f"{_ALIAS}/conda-forge"),
        ("https://repo.anaconda.com/pkgs/r/", f"{_ALIAS}/conda-forge"),
        (f"{_ALIAS}/bioconda/", f"{_ALIAS}/bioconda"),
        ("conda-forge/label/old", f"{_ALIAS}/conda-forge/label/old"),
        ("https://conda.example.org/own/", "https://conda.example.org/own"),
    ],
)
def test_a_channel_has_an_address(channel: str, url: str) -> None:
    assert channel_urls([channel, "nodefaults"], f"{_ALIAS}/", {}) == (url,)


def test_the_operator_says_where_channels_are() -> None:
    places = {"bioconda": "https://mirror.example.org/bio/", "defaults": "https://licensed.example.org/main"}
    asked = ["defaults", f"{_ALIAS}/bioconda", "conda-forge", "conda-forge"]
    urls = channel_urls(asked, "file:///srv/conda", places)
    assert urls == (
        "https://licensed.example.org/main",
        "https://mirror.example.org/bio",
        "file:///srv/conda/conda-forge",
    )


def test_a_request_names_channels_by_their_addresses() -> None:
    text = "channels: [defaults]\ndependencies: ['pytorch::x =1', 'defaults::numpy', tool]"
    channels = CondaChannels("https://m.example.org", {"pytorch": "https://p.example.org"})
    asked = json.loads(request_json(conda_request("environment.yml", text), channels, "2024-03-01T00:00:00+00:00"))
    assert asked == {
        "channels": ["https://m.example.org/conda-forge", "https://p.example.org"],
        "specs": [
            {"spec": "x =1", "channel": "https://p.example.org"},
            {"spec": "numpy", "channel": "https://m.example.org/conda-forge"},
            {"spec": "tool", "channel": None},
        ],
        "as_of": "2024-03-01T00:00:00+00:00",
        "priority": "flexible",
        "subdir": "linux-64",
    }


def test_what_is_locked_is_fetched_from_the_operators_channels() -> None:
    request = conda_request("pixi.lock", _sample("pixi-7.lock"))
    records = locked_records(request, CondaChannels("https://m.example.org"))
    assert records is not None
    assert records[0] == {
        "url": "https://m.example.org/conda-forge/noarch/tzdata-2025a-h78e105d_0.conda",
        "sha256": _DIGEST,
        "name": "tzdata",
        "version": "2025a",
        "build": "h78e105d_0",
        "subdir": "noarch",
        "size": 122921,
    }
    assert locked_records(conda_request("environment.yml", ""), CondaChannels()) is None


@pytest.mark.parametrize(
    ("said", "line", "part"),
    [
        ("nochannel: https://a/b", None, "no Conda channel at https://a/b."),
        ("unknown: numpy", 2, "No channel has a package named numpy."),
        ("unmatched: numpy 9.*: 2.0, 1.0", 2, "No version satisfies numpy 9.*; the newest that there are: 2.0, 1.0."),
        ("unsatisfiable: left 1.0 would require numpy <2;", 2, "do not go together. left 1.0"),
        ("spec: numpy ===: unable to parse", 2, "Not a Conda package with a version"),
        ("install: no space", None, "could not be installed"),
    ],
)
def test_a_failure_names_the_line_at_fault(said: str, line: int | None, part: str) -> None:
    request = conda_request("environment.yml", "dependencies:\n- numpy")
    fault = explain_conda(f"noise\nbinder: {said}\nError: exit status 1", request)
    assert isinstance(fault, RepositoryFault)
    assert (fault.file, fault.line, fault.step) == ("environment.yml", line, "environment")
    assert part in fault.message


def test_a_channel_that_cannot_be_reached_is_nobodys_fault() -> None:
    assert isinstance(explain_conda("binder: unreachable: https://a: refused", None), WorldFault)
    assert isinstance(explain_conda("binder: checksum: x: it is 1, not 2", None), WorldFault)
    assert explain_conda("Segmentation fault", None) is None
