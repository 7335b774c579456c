"""Where a cluster cannot run, it is said why; and whoever ends one ends nobody else."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cluster.reasons import CannotRun
from tests.cluster.running import cluster_down, cluster_up, is_up


def test_who_is_not_root_is_told_what_else_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CannotRun, match="KUBECONFIG"):
        cluster_up(tmp_path)


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotRun, match=r"not installed: .*\bcontainerd\b.*\bnftables\b"):
        cluster_up(tmp_path)


def test_what_the_node_would_hide_from_itself_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.cluster.running.HIDDEN", [str(tmp_path)])
    with pytest.raises(CannotRun, match="has one of its own"):
        cluster_up(tmp_path)


def test_a_process_that_only_has_the_number_of_a_cluster_is_let_alone(tmp_path: Path) -> None:
    folder = tmp_path / "cluster/node"
    folder.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as other:
        (folder / "owner").write_text(f"{other.pid} 1")
        assert not is_up(tmp_path)
        cluster_down(tmp_path)
        assert other.poll() is None
        other.send_signal(signal.SIGKILL)
    assert not folder.exists()
