"""The systemd unit: systemd takes each line of it, and what it says fits the service.

That the main job runs within its bounds, `tests/end_to_end/test_commands.py` shows.
"""

import subprocess
from pathlib import Path

from binder.cli.words import EXIT_CODES
from binder.settings import Settings
from tests.test_layout import ROOT
from tests.unit_file import UNIT, directives

_ONCE = {"Type", "EnvironmentFile", "ExecStart", "Restart", "KillMode", "TimeoutStopSec", "OOMPolicy"}


def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    """It says of what it does not know, and of programs that are not there."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    program = tmp_path / ".venv" / "bin" / "binder"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    unit = tmp_path / "binder.service"
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/binder", str(tmp_path)), encoding="utf-8")
    done = subprocess.run(
        ("systemd-analyze", "verify", "--man=no", str(unit)), capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_it_says_what_the_service_needs() -> None:
    said = directives()
    assert {name for section, name in said if section == "Service"} >= _ONCE
    assert all(len(said["Service", name]) == 1 for name in _ONCE)
    assert said["Service", "ExecStart"] == ["/opt/binder/.venv/bin/binder serve"]
    assert said["Service", "RestartPreventExitStatus"] == [str(EXIT_CODES["operator"])]
    drain = Settings.model_fields["drain_seconds"].default
    assert int(said["Service", "TimeoutStopSec"][0]) >= drain + 15
    # Containers without root begin with a setuid program, in namespaces whose /proc must be whole.
    forbidden = {"NoNewPrivileges", "RestrictNamespaces", "ProtectProc", "ProcSubset", "ProtectKernelTunables"}
    forbidden |= {"ProtectKernelLogs", "ProtectControlGroups", "ProtectHostname", "RestrictSUIDSGID", "PrivateDevices"}
    assert not {name for _, name in said} & forbidden


def test_operators_are_told_how_to_install_it() -> None:
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    assert 'sed "s|/opt/binder|$PWD|" deploy/binder.service | sudo tee /etc/systemd/system/binder.service' in page
