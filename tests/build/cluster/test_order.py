"""What a builder's pod is told comes as it was said, with the files, and shows no secret where it cannot be read."""

import os
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from binder.errors import OperatorFault
from binder.settings import read_settings
from build.cluster.order import (
    Order,
    catalogue_in,
    host_in,
    known_by,
    order_bytes,
    order_for,
    order_in,
    settings_in,
    templates_in,
)
from build.commits.git import Source
from build.host import HostFacts, settings_for
from modules.beginning import new_module
from modules.catalogue import Catalogue, built_in
from modules.reading import read_module
from templates import use_folder
from tests.modules.samples import FILES, postgres

_PASSWORD, _TOKEN = "password-of-the-registry", "token-of-the-repository"
_APT = "deb [signed-by={keyring}] https://debian.example/debian bookworm main\n"


def _order(folder: Path, catalogue: Catalogue | None = None, **settings: object) -> Order:
    certificates, keyring, links = folder / "ca.pem", folder / "debian.gpg", folder / "wheels"
    certificates.write_text("---CA---")
    keyring.write_bytes(b"\x00\xff")
    facts = HostFacts(
        {"index-url": "https://ada:secret-of-the-index@pypi.example/simple", "find-links": f"{links}"},
        'Acquire::https::Verify-Peer "true";',
        {"UV_FIND_LINKS": f"{links} https://wheels.example/all"},
        certificates,
        {links},
        {"sources.list": _APT.format(keyring=keyring)},
    )
    chosen = read_settings(
        registry="registry.example/binder",
        registry_password=_PASSWORD,
        registry_certificates=certificates,
        git_hosts="git.example:8443",
        **settings,
    )
    source = Source("https://git.example/r.git", _TOKEN, trusted=False, addresses=("192.0.2.1",))
    known = known_by(settings_for(facts))
    return order_for(chosen, known, source, "0" * 40, name="binder-0-7", mark="m", catalogue=catalogue or built_in())


def test_an_order_comes_as_it_was_said(tmp_path: Path) -> None:
    order = _order(tmp_path)
    assert order_in(order_bytes(order)) == order


def test_a_pod_has_the_operators_modules_and_ours(tmp_path: Path) -> None:
    sent = order_in(order_bytes(_order(tmp_path, built_in().joined([postgres("99"), postgres("1", "mailbox")]))))
    found = catalogue_in(sent)
    assert set(found.names) == {*built_in().names, "mailbox", "postgres"}
    there = found.find("postgres", "99")
    assert there
    assert (there.digest, there.files, there.origin) == (postgres("99").digest, FILES, "the tests")
    assert _order(tmp_path).modules == ""


def test_modules_that_no_secret_holds_are_refused_by_name(tmp_path: Path) -> None:
    large = read_module(
        "large", "1", {**new_module("large", "1"), "README.md": os.urandom(900_000)}, origin="/srv/modules"
    )
    with pytest.raises(OperatorFault, match="BINDER_MODULES"):
        order_bytes(_order(tmp_path, Catalogue().joined([large])))


def test_a_pod_knows_what_the_service_knows(tmp_path: Path) -> None:
    order = order_in(order_bytes(_order(tmp_path, build_timeout_seconds=7, build_network="dependencies")))
    given = tmp_path / "pod"
    given.mkdir()
    settings = read_settings(state_dir=given, **settings_in(order, given))
    assert (settings.build_timeout_seconds, settings.build_network) == (7, "dependencies")
    assert settings.registry_password.get_secret_value() == _PASSWORD
    assert settings.git_hosts == ("git.example:8443",)
    assert settings.registry_certificates
    assert settings.registry_certificates.read_text() == "---CA---"
    host = host_in(order, given)
    assert host.certificates
    assert host.certificates.read_text() == "---CA---"
    assert {name: path.read_bytes() for path, name in host.keyrings.items()} == {"0.gpg": b"\x00\xff"}
    assert "signed-by=/run/apt/keyrings/0.gpg" in host.sources["bookworm"]
    assert "secret-of-the-index" in host.netrc
    assert "secret-of-the-index" in host.secrets
    # A folder of the service's own host is nowhere in a pod.
    assert (host.folders, host.variables["UV_FIND_LINKS"]) == ({}, "https://wheels.example/all")


def test_an_order_brings_the_operators_templates_of_builds(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    for name in ("build/system.sh", "pages/soon.html"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("of the operator\n")
    assert templates_in(_order(tmp_path), tmp_path) is None
    use_folder(folder)
    try:
        order = order_in(order_bytes(_order(tmp_path)))
    finally:
        use_folder(None)
    pod = tmp_path / "pod"
    assert templates_in(order, pod) == pod / "templates"
    files = [
        path.relative_to(pod / "templates").as_posix() for path in (pod / "templates").rglob("*") if path.is_file()
    ]
    assert files == ["build/system.sh"]
    with pytest.raises(OperatorFault, match="which none is called"):
        templates_in(replace(order, templates={"../../etc/passwd": ""}), pod)


def test_an_order_that_does_not_fit_is_the_operators_fault(tmp_path: Path) -> None:
    order = _order(tmp_path, docker_mirror="x" * 1_000_000)
    with pytest.raises(OperatorFault, match="too large to be sent to a builder"):
        order_bytes(order)


def test_an_order_that_cannot_be_read_shows_nothing_of_itself(tmp_path: Path) -> None:
    broken = order_bytes(_order(tmp_path)).replace(b'"sha"', b'"shb"')
    with pytest.raises(OperatorFault, match="sha") as found:
        order_in(broken)
    shown = "".join(traceback.format_exception(found.value))
    assert not [secret for secret in (_PASSWORD, _TOKEN, "secret-of-the-index") if secret in shown]
