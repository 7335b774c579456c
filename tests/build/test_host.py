"""What the host knows about package indexes: translated for uv, brought to a build, and masked in its log."""

import asyncio
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from binder.errors import OperatorFault
from binder.paths import Paths
from binder.process import Account
from build.host import (
    HostFacts,
    HostSettings,
    find_host_settings,
    netrc_of,
    pip_settings,
    settings_for,
    shell_text,
    uv_settings,
    without_credentials,
    write_host_folder,
)

NOTHING = HostFacts({}, "", {}, None)


def settings(pip: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None) -> HostSettings:
    folders = [Path("/srv/wheels"), Path("/srv/more wheels")]
    return settings_for(replace(NOTHING, pip=pip or {}, environ=environ or {}, folders=folders))


def test_pips_own_account_is_read() -> None:
    listing = """\
:env:.default-timeout='60'
global.cert='/etc/ssl/ca.pem'
global.default-timeout='180'
global.extra-index-url='\\nhttps://one.example.org/simple\\nhttps://two.example.org/simple'
install.index-url='https://mirror.example.org/simple'
global.index-url='https://other.example.org/simple'
download.index-url='https://no.example.org/simple'
WARNING: something = else
"""
    assert pip_settings(listing) == {
        "cert": "/etc/ssl/ca.pem",
        "default-timeout": "60",
        "extra-index-url": "https://one.example.org/simple https://two.example.org/simple",
        "index-url": "https://mirror.example.org/simple",
    }
    assert pip_settings("") == {}


def test_pips_settings_are_told_to_uv() -> None:
    found = settings(
        {
            "index-url": "https://mirror.example.org/simple",
            "extra-index-url": "https://one.example.org/simple https://two.example.org/simple",
            "trusted-host": "mirror.example.org",
            "default-timeout": "60",
            "proxy": "http://proxy.example.org:3128",
            "disable-pip-version-check": "1",
        }
    )
    assert found.variables == {
        "UV_DEFAULT_INDEX": "https://mirror.example.org/simple",
        "UV_INDEX": "https://one.example.org/simple https://two.example.org/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "mirror.example.org",
        "UV_HTTP_TIMEOUT": "60",
        "HTTPS_PROXY": "http://proxy.example.org:3128",
        "PIP_INDEX_URL": "https://mirror.example.org/simple",
        "PIP_EXTRA_INDEX_URL": "https://one.example.org/simple https://two.example.org/simple",
        "PIP_TRUSTED_HOST": "mirror.example.org",
        "PIP_DEFAULT_TIMEOUT": "60",
        "PIP_PROXY": "http://proxy.example.org:3128",
    }


def test_settings_for_uv_itself_win() -> None:
    found = settings({"index-url": "https://pip.example.org/"}, {"UV_DEFAULT_INDEX": "https://uv.example.org/"})
    assert found.variables["UV_DEFAULT_INDEX"] == "https://uv.example.org/"


def test_only_what_a_build_needs_is_passed_on() -> None:
    environ = {
        "https_proxy": "http://proxy.example.org",
        "NO_PROXY": "localhost",
        "UV_CACHE_DIR": "/home/ada/.cache/uv",
        "UV_PYTHON": "/usr/bin/python3.13",
        "UV_PUBLISH_TOKEN": "hunter2",
        "UV_PUBLISH_PASSWORD": "hunter3",
        "HOME": "/home/ada",
        "AWS_SECRET_ACCESS_KEY": "hunter4",
    }
    assert settings(environ=environ).variables == {"https_proxy": "http://proxy.example.org", "NO_PROXY": "localhost"}


@pytest.mark.parametrize(
    ("pip", "environ"),
    [
        ({"find-links": "/srv/wheels file:///srv/more%20wheels https://w.example.org/ /srv/gone"}, {}),
        ({"find-links": "/srv/x"}, {"UV_FIND_LINKS": "/srv/wheels,file:///srv/more%20wheels,https://w.example.org/"}),
    ],
)
def test_folders_of_packages_get_a_place_in_the_build(pip: dict[str, str], environ: dict[str, str]) -> None:
    found = settings(pip, environ)
    assert found.folders == {Path("/srv/wheels"): "/run/links/0", Path("/srv/more wheels"): "/run/links/1"}
    assert found.variables == {"UV_FIND_LINKS": "/run/links/0,/run/links/1,https://w.example.org/"}


def test_folders_that_are_not_there_are_left_out() -> None:
    found = settings({"find-links": "/srv/gone"})
    assert (found.folders, found.variables) == ({}, {})


def test_certificates_have_a_place_in_the_build() -> None:
    found = settings_for(replace(NOTHING, certificates=Path("/etc/ssl/ca.pem")))
    assert set(found.variables.values()) == {"/run/binder/certificates.pem"}
    assert set(found.variables) == {"SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO"}


def test_what_a_log_must_not_show_is_known() -> None:
    found = settings(
        {
            "index-url": "https://ada:hunter%402@mirror.example.org:8443/simple",
            "extra-index-url": "https://token7@x.io/",
        },
        {"UV_INDEX": "private=https://eve:hunter3@private.example.org/", "UV_INDEX_PRIVATE_PASSWORD": "hunter5"},
    )
    assert found.secrets >= {"hunter%402", "hunter@2", "token7", "hunter3", "hunter5"}
    assert found.secrets >= {"mirror.example.org:8443", "x.io", "private.example.org"}
    assert "ada" not in found.secrets


def test_only_what_reaches_a_mirror_is_told_to_apt() -> None:
    apt = """\
APT "";
Acquire::http::Proxy "http://proxy.example.org";
Acquire::https::CaInfo "/etc/ssl/ca.pem";
Acquire::https::mirror.example.org::SslKey "/etc/ssl/private/key.pem";
Acquire::Check-Valid-Until "false";
Acquire::Changelogs::URI::Origin::Debian "https://metadata.example.org";
Acquire::Retries "3";
DPkg::Pre-Install-Pkgs:: "/usr/sbin/dpkg-preconfigure --apt";
Acquire::http::Empty "";
"""
    found = settings_for(replace(NOTHING, apt=apt))
    assert found.apt_of_host.splitlines() == [
        'Acquire::http::Proxy "http://proxy.example.org";',
        'Acquire::https::CaInfo "/etc/ssl/ca.pem";',
        'Acquire::https::mirror.example.org::SslKey "/etc/ssl/private/key.pem";',
        'Acquire::Check-Valid-Until "false";',
        'Acquire::Retries "3";',
    ]
    inside = [line for line in found.apt_of_host.splitlines() if "/etc/" not in line]
    assert found.apt.splitlines() == inside
    found = settings_for(replace(NOTHING, apt=apt, certificates=Path("/etc/ssl/ca.pem")))
    assert found.apt.splitlines() == [*inside, 'Acquire::https::CaInfo "/run/binder/certificates.pem";']


def test_what_only_credentials_open_is_known() -> None:
    text = """\
deb https://open.example.org/debian bookworm main
deb [arch=amd64] https://ada:hunter2@closed.example.org/debian bookworm main
"""
    found = settings_for(replace(NOTHING, sources={"sources.list": text}))
    assert found.has_credentials
    assert "hunter2" in found.sources["bookworm"]
    assert found.public_sources["bookworm"] == "deb https://open.example.org/debian bookworm main\n"
    assert settings({"index-url": "https://ada:hunter2@mirror.example.org/simple"}).has_credentials
    assert not settings({"index-url": "https://mirror.example.org/simple"}).has_credentials
    assert not settings_for(NOTHING).has_credentials


def test_a_build_gets_apts_sources_of_each_release_with_their_keys() -> None:
    text = """\
deb [arch=amd64 signed-by=/etc/keys/a.gpg,/etc/keys/b.asc] https://one.example.org/debian bookworm main
deb [signed-by=/etc/keys/a.gpg] https://two.example.org/debian bookworm-security main
deb file:/srv/mirror bookworm main
"""
    found = settings_for(replace(NOTHING, sources={"sources.list": text}))
    keys = "/run/apt/keyrings"
    assert found.sources["bookworm"].splitlines() == [
        f"deb [arch=amd64 signed-by={keys}/0.gpg,{keys}/1.asc] https://one.example.org/debian bookworm main",
        f"deb [signed-by={keys}/0.gpg] https://two.example.org/debian bookworm-security main",
    ]
    assert found.sources["trixie"] == found.sources["bookworm"].replace("bookworm", "trixie")
    assert found.keyrings == {Path("/etc/keys/a.gpg"): "0.gpg", Path("/etc/keys/b.asc"): "1.asc"}
    assert found.secrets == {"one.example.org", "two.example.org"}


def test_the_operator_may_say_where_rs_packages_are() -> None:
    cran, snapshot = "https://cran.example.org", "https://ada:hunter22@cran.example.org:8443/{suite}/{date}"
    found = settings_for(replace(NOTHING, cran=cran, cran_snapshot=snapshot))
    # What R runs is the repository's: it sees no password.
    seen = snapshot.replace("ada:hunter22@", "")
    assert found.variables == {"BINDER_CRAN_URL": cran, "BINDER_CRAN_SNAPSHOT_URL": seen}
    assert found.secrets >= {"cran.example.org", "cran.example.org:8443", "hunter22"}


def test_an_operators_own_index_is_asked_each_time() -> None:
    assert uv_settings({"UV_DEFAULT_INDEX": "https://one.example.org/simple"}) == ""
    assert tomllib.loads(uv_settings({}))["index"][0]["default"] is True


def test_credentials_are_in_no_variable() -> None:
    variables = {
        "UV_DEFAULT_INDEX": "https://ada:hunter%322@one.example.org/simple",
        "UV_INDEX": "my-own=https://two.example.org/simple https://tok@three.example.org/simple",
        "UV_INDEX_MY_OWN_USERNAME": "eve",
        "UV_INDEX_MY_OWN_PASSWORD": "hunter3",
        "PIP_EXTRA_INDEX_URL": "https://ada:hunter22@one.example.org/simple",
        "HTTPS_PROXY": "http://ada:hunter5@proxy.example.org:3128",
        "UV_HTTP_TIMEOUT": "30",
    }
    assert without_credentials(variables) == {
        "UV_DEFAULT_INDEX": "https://one.example.org/simple",
        "UV_INDEX": "my-own=https://two.example.org/simple https://three.example.org/simple",
        "PIP_EXTRA_INDEX_URL": "https://one.example.org/simple",
        # Without it nothing could be reached.
        "HTTPS_PROXY": "http://ada:hunter5@proxy.example.org:3128",
        "UV_HTTP_TIMEOUT": "30",
    }
    assert netrc_of({name: value for name, value in variables.items() if not name.startswith("PIP_")}).splitlines() == [
        "machine one.example.org login ada password hunter22",
        "machine two.example.org login eve password hunter3",
        "machine three.example.org login tok",
    ]


def test_a_password_that_cannot_be_handed_on_is_refused() -> None:
    with pytest.raises(OperatorFault, match=r"index\.example\.org holds a space"):
        netrc_of({"UV_DEFAULT_INDEX": "https://ada:hunter%2022@index.example.org/simple"})


def test_a_shell_takes_every_value_as_it_is(tmp_path: Path) -> None:
    hostile = "a b'c\"d$(touch here)`e`\\f\ng"
    (tmp_path / "environment").write_text(shell_text({"ONE": hostile, "TWO": ""}))
    script = '. ./environment && printf "%s|%s|%s" "$ONE" "$TWO" "$PATH"'
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env={"PATH": "/usr/bin"}, capture_output=True, check=True, timeout=10
    )
    assert done.stdout.decode() == f"{hostile}||/run/binder/bin:/usr/bin"
    assert not (tmp_path / "here").exists()


def test_this_host_is_looked_at() -> None:
    found = asyncio.run(find_host_settings())
    assert all(folder.is_dir() for folder in found.folders)
    assert "PATH" not in found.variables


def test_the_folder_for_builds_can_be_read_and_only_we_can_change_it(tmp_path: Path, account: Account) -> None:
    certificates = tmp_path / "ca.pem"
    certificates.write_text("certificate")
    certificates.chmod(0o600)
    (tmp_path / "key.gpg").write_bytes(b"key\xff")
    source = {"x.list": f"deb [signed-by={tmp_path}/key.gpg] http://one.example.org/debian bookworm main"}
    apt = 'Acquire::Retries "3";'
    found = settings_for(replace(NOTHING, certificates=certificates, apt=apt, sources=source))
    paths = Paths(tmp_path / "state", tmp_path / "cache")
    paths.make(account)
    folder = paths.tools
    for _ in range(2):
        write_host_folder(found, paths)
    modes = {str(path.relative_to(folder)): path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    assert modes == {
        "bin": 0o755,
        "bin/uv": 0o755,
        "environment": 0o644,
        "uv.toml": 0o644,
        "certificates.pem": 0o644,
    }
    assert {str(path.relative_to(paths.apt)) for path in paths.apt.rglob("*")} == {
        *("apt.conf", "apt-host.conf", "sources-bookworm.list", "sources-trixie.list", "keyrings", "keyrings/0.gpg")
    }
    assert (folder / "certificates.pem").read_text() == "certificate"
    done = subprocess.run([folder / "bin/uv", "--version"], capture_output=True, check=True, timeout=10)
    assert done.stdout.startswith(b"uv ")
