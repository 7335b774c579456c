"""`docs/security.md` promises nothing that no test shows, and its firewall does what it says."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from binder.process import Account
from tests.documents import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
_NAME = re.compile(r"`(tests/[\w/]+\.py::\w+)`")
_CAN = re.compile(r"\*\*Can\*\*")
_COLLECT_SECONDS = 240


def _lines() -> Iterator[str]:
    """Give each line of the lists, as one text."""
    for paragraph in re.split(r"\n(?=- )|\n\n", PAGE):
        if paragraph.startswith("- "):
            yield " ".join(paragraph.split())


def test_each_line_is_shown_by_a_test_or_says_what_can_be_done() -> None:
    lines = list(_lines())
    assert len(lines) > 80
    for line in lines:
        assert bool(_CAN.search(line)) != bool(_NAME.search(line)), f"neither shown nor admitted, or both: {line}"


def test_each_test_that_is_named_is_there_and_is_run() -> None:
    named = set(_NAME.findall(PAGE))
    files = sorted({name.partition("::")[0] for name in named})
    arguments = ["-p", "no:cacheprovider", "--collect-only", "--quiet", "-m", "cluster or not cluster", *files]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_COLLECT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    nodes = [line.partition("[")[0].split("::") for line in done.stdout.splitlines() if "::" in line]
    assert named - {f"{file}::{name}" for file, *_, name in nodes} == set()


_ASK = """
import encodings.idna, os, socket, sys
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
for host in sys.argv[2:]:
    try:
        socket.create_connection((host, 8), timeout=2).close()
        print("reached")
    except OSError:
        print("kept")
"""
_PLACES = ("169.254.169.254", "10.1.2.3", "192.168.7.7", "203.0.113.9")


@pytest.mark.slow
def test_the_firewall_of_the_page_keeps_an_account_from_private_networks(tmp_path: Path, account: Account) -> None:
    """In a network of its own, whose addresses are all this machine's: the rules stand where a packet leaves."""
    (rules,) = re.findall(r"```nft\n(.*?)```", PAGE, re.DOTALL)
    (subordinate,) = {
        int(first)
        for name, first, _ in (line.split(":") for line in Path("/etc/subuid").read_text().splitlines())
        if name == account.name
    }
    rules = rules.replace("999, 100000-165535", f"{account.uid}, {subordinate}-{subordinate + 65535}")
    (tmp_path / "rules").write_text(rules, encoding="utf-8")
    (tmp_path / "ask.py").write_text(_ASK, encoding="utf-8")
    (tmp_path / "listen.py").write_text(
        "import socket, time\nserver = socket.create_server(('0.0.0.0', 8), backlog=64)\ntime.sleep(30)\n",
        encoding="utf-8",
    )
    tmp_path.chmod(0o755)
    ask = f"for uid in {account.uid} {subordinate + 999} 0; do python3 {tmp_path}/ask.py $uid {' '.join(_PLACES)}; done"
    script = f"""
        set -eu
        ip link set lo up
        for address in {" ".join(_PLACES)}; do ip address add $address/32 dev lo; done
        python3 {tmp_path}/listen.py & sleep 1
        {ask} >{tmp_path}/open
        nft --file {tmp_path}/rules
        {ask} >{tmp_path}/closed
        kill %1
    """
    subprocess.run(
        ["unshare", "--net", "--pid", "--fork", "--kill-child", "bash", "-c", textwrap.dedent(script)],
        check=True,
        timeout=60,
    )
    assert (tmp_path / "open").read_text().split() == ["reached"] * 12
    kept, everywhere = ["kept", "kept", "kept", "reached"], ["reached"] * 4
    assert (tmp_path / "closed").read_text().split() == kept * 2 + everywhere
