"""What is said of a machine that lacks something, to a part that needs it, and to no other."""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from binder.process import Account
from binder.service.machine import MachineFacts, complaints_about, look_at_machine, needs_of
from binder.service.parts import EngineName, Part
from binder.settings import read_settings

NOTHING = MachineFacts(
    missing_tools=["buildah", "podman", "haproxy", "git"],
    account="binder-build",
    has_subordinate_ids=False,
    tunnel_usable=False,
    free_bytes=0,
    cache=Path("/var/cache/binder"),
)


@pytest.mark.parametrize(
    ("part", "engine", "missed"),
    [
        ("all", "podman", ["buildah", "podman", "haproxy", "git ", "subordinate ids", "/dev/net/tun", "disk is full"]),
        ("all", "kubernetes", ["buildah", "haproxy", "git ", "subordinate ids", "disk is full"]),
        ("controller", "kubernetes", ["buildah", "git ", "subordinate ids", "disk is full"]),
        ("proxy", "kubernetes", ["haproxy", "git "]),
    ],
)
def test_a_part_misses_what_it_needs(part: Part, engine: EngineName, missed: list[str]) -> None:
    complaints = complaints_about(NOTHING, needs_of(part, engine))
    assert len(complaints) == len(missed)
    for complaint, words in zip(complaints, missed, strict=True):
        assert words in complaint


@pytest.mark.parametrize(
    ("part", "missed"), [("all", ["haproxy", "git "]), ("controller", ["git "]), ("proxy", ["haproxy", "git "])]
)
def test_where_builds_are_jobs_nothing_is_needed_to_make_images(part: Part, missed: list[str]) -> None:
    complaints = complaints_about(NOTHING, needs_of(part, "kubernetes", builds_here=False))
    assert [words in complaint for complaint, words in zip(complaints, missed, strict=True)] == [True] * len(missed)


def test_a_machine_that_has_everything_is_not_complained_about() -> None:
    facts = MachineFacts([], "binder-build", True, True, 2**40, Path("/"))
    assert complaints_about(facts, needs_of("all", "podman")) == []


def test_a_folder_that_the_account_cannot_pass_through_is_named(tmp_path: Path) -> None:
    """Where root's home holds the state, as a newcomer's may."""
    other = Account("binder-build", os.geteuid() + 1, os.getegid() + 1, tmp_path)
    reachable = Path(tempfile.mkdtemp())
    try:
        reachable.chmod(0o711)
        closed = reachable / "closed"
        closed.mkdir(mode=0o700)
        settings = read_settings(state_dir=closed / "more" / "state", cache_dir=reachable / "cache")
        facts = look_at_machine(other, settings)
        assert facts.closed == {"BINDER_STATE_DIR": closed}
        (complaint,) = complaints_about(
            replace(facts, missing_tools=[], has_subordinate_ids=True, tunnel_usable=True, free_bytes=2**40),
            needs_of("all", "podman"),
        )
        assert f"cannot pass through {closed}, in which BINDER_STATE_DIR is" in complaint
        closed.chmod(0o711)
        assert look_at_machine(other, settings).closed == {}
        closed.chmod(0o700)
        assert look_at_machine(replace(other, uid=os.geteuid()), settings).closed == {}
    finally:
        shutil.rmtree(reachable)
