"""Child processes: real ones, with real ends."""

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from binder.errors import OperatorFault
from binder.process import (
    Account,
    Command,
    OutputTooLongError,
    TimedOutError,
    account_in_container,
    arguments_of,
    capture,
    environment_of,
    find_account,
    run,
    spawn,
)
from tests.builds import Builder
from tests.leftovers import are_gone, are_there, new_marker

NOBODY_IS_LEFT = "what a child started is still there"


def shell(script: str, *arguments: str, **options: object) -> Command:
    return Command(["sh", "-c", script, "sh", *arguments], **options)  # type: ignore[arg-type]


async def test_a_child_says_how_it_ended() -> None:
    done = await run(shell("echo one; echo two >&2; exit 3"), timeout_seconds=10)
    assert (done.returncode, done.ok, done.output) == (3, False, "one\ntwo")


async def test_a_child_is_fed() -> None:
    done = await run(Command(["wc", "-c"]), stdin=b"x" * 300_000, timeout_seconds=10)
    assert done.output == "300000"


async def test_a_child_that_does_not_want_its_input_is_no_fault() -> None:
    done = await run(Command(["true"]), stdin=b"x" * 300_000, timeout_seconds=10)
    assert done.ok


async def test_lines_are_seen_as_they_come() -> None:
    seen: list[str] = []
    first = asyncio.Event()

    async def take(line: str) -> None:
        seen.append(line)
        first.set()

    running = asyncio.create_task(run(shell("echo one; sleep 0.3; echo two"), timeout_seconds=10, on_line=take))
    await asyncio.wait_for(first.wait(), 5)
    assert seen == ["one"]
    await running
    assert seen == ["one", "two"]


async def test_only_the_last_lines_are_kept() -> None:
    done = await run(shell("seq 1000"), timeout_seconds=10)
    assert done.output.splitlines() == [str(number) for number in range(801, 1001)]


@pytest.mark.parametrize("length", [2**16 - 1, 2**16, 2**16 + 1, 200_000])
async def test_a_long_line_comes_in_pieces_and_whole(length: int) -> None:
    seen: list[str] = []

    async def take(line: str) -> None:
        seen.append(line)

    await run(shell(f"head -c {length} /dev/zero | tr '\\0' x; echo; echo end"), timeout_seconds=10, on_line=take)
    assert "".join(seen[:-1]) == "x" * length
    assert seen[-1] == "end"
    assert all(seen), "no piece is empty"
    assert max(map(len, seen)) <= 2**17


async def test_output_that_is_not_text_is_kept_as_it_is() -> None:
    assert await capture(shell(r"printf '\377\000\n'"), timeout_seconds=10, most_bytes=10) == (0, b"\xff\x00\n")


async def test_output_has_a_limit() -> None:
    assert await capture(shell("head -c 1000 /dev/zero"), timeout_seconds=10, most_bytes=1000) == (0, bytes(1000))
    marker = new_marker()
    with pytest.raises(OutputTooLongError):
        await capture(shell('yes & sleep "$1"', marker), timeout_seconds=10, most_bytes=1000)
    assert await are_gone(marker), NOBODY_IS_LEFT


async def test_a_child_whose_output_is_full_is_ended_all_the_same() -> None:
    began = time.monotonic()
    with pytest.raises(OutputTooLongError):
        await capture(shell("trap '' TERM; exec yes"), timeout_seconds=60, most_bytes=2**20)
    assert time.monotonic() - began < 10


async def test_a_missing_tool_is_the_operators_fault(account: Account) -> None:
    for options in ({}, {"account": account}, {"account": account, "sandboxed": True}):
        with pytest.raises(OperatorFault, match=r"no-such-tool.*make set-up"):
            await run(Command(["no-such-tool"], **options), timeout_seconds=10)


async def test_the_environment_does_not_leak(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDER_SECRET_OF_A_TEST", "hunter2")
    for options in ({}, {"account": account}, {"account": account, "sandboxed": True}):
        done = await run(Command(["env"], {"ONE": "1"}, **options), timeout_seconds=10)
        names = {line.partition("=")[0] for line in done.output.splitlines()}
        assert "ONE" in names
        assert names <= {"ONE", "PATH", "LANG", "HOME", "USER"} | {
            name for name in names if name.startswith("_CONTAINERS_")
        }


async def test_a_child_is_the_account_and_has_no_rights(account: Account) -> None:
    command = Command(["cat", "/proc/self/status"], account=account)
    status = dict(
        line.split(":\t", 1) for line in (await run(command, timeout_seconds=10)).output.splitlines() if ":\t" in line
    )
    assert status["Uid"].split() == [str(account.uid)] * 4
    assert status["Gid"].split() == [str(account.gid)] * 4
    assert all(int(status[f"Cap{kind}"], 16) == 0 for kind in ("Inh", "Prm", "Eff", "Amb"))
    if account.is_other:
        assert status["Groups"].split() == []


async def test_a_sandboxed_child_is_root_over_nothing_of_this_machine(account: Account) -> None:
    script = 'id -u; cat /proc/self/uid_map; touch "$1" 2>&1; echo $$; ls /proc | grep -c "^[0-9]"'
    done = await run(shell(script, "/etc/binder-test", account=account, sandboxed=True), timeout_seconds=10)
    lines = done.output.splitlines()
    assert lines[0] == "0"
    assert lines[1].split()[:3] == ["0", str(account.uid), "1"]
    assert any("denied" in line for line in lines)
    assert lines[-2] == "1", "the first process of its own namespace"
    assert int(lines[-1]) < 10, "sees no process but its own"


async def test_a_child_is_in_its_control_groups_before_it_runs(account: Account, reachable_path: Path) -> None:
    groups = [reachable_path / "memory", reachable_path / "pids"]
    for group in groups:
        group.mkdir()
        (group / "cgroup.procs").touch()
    command = Command(
        ["sh", "-c", 'cat "$@"', "sh", *(str(group / "cgroup.procs") for group in groups)],
        account=account,
        cgroups=groups,
    )
    done = await run(command, timeout_seconds=10)
    # Zero stands for whoever writes it, which is the process that becomes the child.
    assert done.output.splitlines() == ["0", "0"]


async def test_a_child_that_cannot_be_put_into_its_control_groups_does_not_run(tmp_path: Path) -> None:
    done = await run(Command(["echo", "ran"], cgroups=[tmp_path / "missing"]), timeout_seconds=10)
    assert not done.ok
    assert "ran" not in done.output.splitlines()


@pytest.mark.parametrize("sandboxed", [False, True])
async def test_the_time_limit_ends_all_that_a_child_started(account: Account, *, sandboxed: bool) -> None:
    marker = new_marker()
    # The children ignore the request to end, the shell waits for them, and output was seen before.
    script = 'echo said; trap "" TERM; (trap "" TERM; sleep "$1") & sleep "$1"'
    with pytest.raises(TimedOutError) as caught:
        await run(shell(script, marker, account=account, sandboxed=sandboxed), timeout_seconds=0.5)
    assert caught.value.output == "said"
    assert await are_gone(marker), NOBODY_IS_LEFT


async def test_the_time_limit_ends_those_that_do_not_listen_to_it() -> None:
    marker = new_marker()
    with pytest.raises(TimedOutError):
        await run(shell('(trap "" TERM; sleep "$1"; true) & wait', marker), timeout_seconds=0.5)
    assert await are_gone(marker), NOBODY_IS_LEFT


async def test_a_sandboxed_child_leaves_no_runaway(account: Account) -> None:
    marker = new_marker()
    command = shell('setsid sleep "$1" >/dev/null & sleep 0.2', marker, account=account, sandboxed=True)
    assert (await run(command, timeout_seconds=10)).ok
    assert await are_gone(marker), NOBODY_IS_LEFT


async def test_a_block_that_is_left_ends_its_child(account: Account) -> None:
    marker = new_marker()
    async with spawn(shell('sleep "$1"', marker, account=account, sandboxed=True)):
        assert await are_there(marker)
    assert await are_gone(marker), NOBODY_IS_LEFT


async def test_a_task_that_is_cancelled_ends_its_child(account: Account) -> None:
    marker = new_marker()
    task = asyncio.create_task(
        run(shell('setsid sleep "$1"', marker, account=account, sandboxed=True), timeout_seconds=60)
    )
    assert await are_there(marker)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await are_gone(marker), NOBODY_IS_LEFT


async def test_a_task_that_is_cancelled_again_still_ends_its_child() -> None:
    marker = new_marker()
    task = asyncio.create_task(run(shell("trap '' TERM; while :; do sleep \"$1\"; done", marker), timeout_seconds=60))
    assert await are_there(marker)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.05)  # it is in its cleaning up
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await are_gone(marker), NOBODY_IS_LEFT


@pytest.mark.parametrize("turns", range(12))
async def test_a_task_that_is_cancelled_while_its_child_starts_leaves_none(turns: int) -> None:
    marker = new_marker()
    task = asyncio.create_task(run(shell('sleep "$1"', marker), timeout_seconds=60))
    for _ in range(turns):
        await asyncio.sleep(0)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await are_gone(marker), NOBODY_IS_LEFT


_OWNER = """
import asyncio, json, sys
from pathlib import Path
from binder.process import Account, Command, run
account, argv, env, sandboxed = json.loads(sys.argv[1])
account = account and Account(account[0], account[1], account[2], Path(account[3]))
asyncio.run(run(Command(argv, env, Path("/"), account, sandboxed=sandboxed), timeout_seconds=100))
"""


async def _kill_owner_of(command: Command, marker: str) -> None:
    """Let another process run `command`, and kill it once `marker` is there."""
    owner = command.account
    account = owner and (owner.name, owner.uid, owner.gid, str(owner.home))
    told = json.dumps([account, list(command.argv), dict(command.env), command.sandboxed])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _OWNER, told, env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    )
    try:
        # The marker stands in the owner's own arguments too: wait for those of the child's child.
        assert await are_there(f"sleep\0{marker}")
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


@pytest.mark.parametrize("sandboxed", [False, True])
async def test_a_child_dies_with_its_owner(account: Account, *, sandboxed: bool) -> None:
    marker = new_marker()
    await _kill_owner_of(Command(["sleep", marker], account=account, sandboxed=sandboxed), marker)
    assert await are_gone(marker, within_seconds=10), NOBODY_IS_LEFT


async def test_a_sandboxed_child_takes_its_children_with_it(account: Account) -> None:
    marker = new_marker()
    await _kill_owner_of(shell('setsid sleep "$1" & wait', marker, account=account, sandboxed=True), marker)
    assert await are_gone(marker, within_seconds=10), NOBODY_IS_LEFT


@pytest.mark.slow
async def test_a_container_and_its_mounts_die_with_their_owner(
    builder: Builder, jupyter_image: str, reachable_path: Path
) -> None:
    marker = new_marker()
    reachable_path.chmod(0o777)
    mounted = reachable_path / "mounted"
    script = (
        'c=$(buildah from --pull-never "$1"); buildah mount "$c" >"$3"; '
        'buildah run --isolation oci --runtime runc --network host "$c" -- sleep "$2"'
    )
    argv = ["sh", "-c", script, "sh", jupyter_image, marker, str(mounted)]
    await _kill_owner_of(builder.buildah.command(argv), marker)
    assert await are_gone(marker), NOBODY_IS_LEFT
    point = mounted.read_text(encoding="utf-8").strip()
    assert point.endswith("/merged")
    for mounts in Path("/proc").glob("[0-9]*/mounts"):
        with suppress(OSError):
            assert f" {point} " not in mounts.read_text(encoding="utf-8"), f"a mount is left in {mounts}"


def test_a_child_that_outlives_us_is_not_tied_to_us() -> None:
    assert "--pdeathsig" in arguments_of(Command(["true"]))
    assert "--pdeathsig" not in arguments_of(Command(["true"], outlives=True))


def test_builds_never_run_as_root() -> None:
    if os.geteuid() == 0:
        with pytest.raises(OperatorFault, match="BINDER_BUILD_ACCOUNT"):
            find_account("root")
        with pytest.raises(OperatorFault, match="make set-up"):
            find_account("no-such-account")
    else:
        assert find_account("root").uid == os.geteuid()


async def test_what_a_container_allows_is_found_out_by_trying(account: Account) -> None:
    assert (await account_in_container(replace(account, sandbox="none"))).sandbox == "whole", "this is no container"


def test_a_container_has_no_proc_of_its_own_to_give(account: Account) -> None:
    command = Command(["true"], account=replace(account, sandbox="shared"), sandboxed=True)
    arguments = arguments_of(command)
    assert "--map-auto" in arguments
    assert not {"--mount-proc", "--pid"} & set(arguments)
    assert "_CONTAINERS_USERNS_CONFIGURED" in environment_of(command)


def test_where_there_are_no_namespaces_the_container_is_the_boundary(account: Account) -> None:
    command = Command(["true"], account=replace(account, sandbox="none"), sandboxed=True)
    assert "unshare" not in arguments_of(command)
    assert "_CONTAINERS_USERNS_CONFIGURED" not in environment_of(command)
