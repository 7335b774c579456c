"""A process ends by its deadline, whatever keeps it; real processes."""

import subprocess
import sys

from binder.watchdog import EXIT_CODE

_HANGS = """
import time
from binder.watchdog import Watchdog
dog = Watchdog(time.monotonic)
dog.arm(time.monotonic() + 60)
dog.arm(time.monotonic() + 0.2)
{then}
time.sleep({seconds})
"""


def ended(then: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """Return how a process ended that hangs for a while after its deadline was set, and something else."""
    argv = [sys.executable, "-c", _HANGS.format(then=then, seconds=seconds)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)


def test_a_process_that_hangs_is_ended_and_says_so() -> None:
    done = ended("", 20)
    assert done.returncode == EXIT_CODE
    assert "could not stop in time" in done.stderr


def test_one_that_was_given_more_time_or_all_of_it_goes_on() -> None:
    assert ended("dog.arm(time.monotonic() + 60)", 0.5).returncode == 0
    assert ended("dog.disarm()", 0.5).returncode == 0
