"""What the logs of a process look like, seen from outside of it."""

import json
import subprocess
import sys

import pytest

_PROGRAM = """
import asyncio, logging, sys
from binder.log import logger, set_up_logging
set_up_logging(sys.argv[1], as_json=sys.argv[2] == "json")
log = logger("binder.test")

def broken(token):
    private_key = "hunter3"
    raise ValueError("no such thing") from KeyError(token[:2])

log.debug("thing_debugged")
log.bind(build=7).info("thing_done", repository="ada/notebooks", text="one\\ntwo")
logging.getLogger("some.library").warning("said %s", "this")
logging.getLogger("httpx").info("GET /")
try:
    raise asyncio.CancelledError
except asyncio.CancelledError:
    logging.getLogger("some.library").exception("stopped")
try:
    broken("hunter2")
except ValueError:
    log.exception("thing_broke")
"""


def _logged(level: str, form: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, level, form], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "", "logs go to standard error"
    return done.stderr.splitlines()


def test_each_event_is_one_json_object_on_one_line() -> None:
    events = [json.loads(line) for line in _logged("info", "json")]
    assert [event["event"] for event in events] == ["thing_done", "said this", "thing_broke"]
    assert events[0] | {"timestamp": ""} == {
        "event": "thing_done",
        "build": 7,
        "repository": "ada/notebooks",
        "text": "one\ntwo",
        "level": "info",
        "logger": "binder.test",
        "timestamp": "",
    }
    assert all(event["timestamp"].endswith("Z") for event in events)


@pytest.mark.parametrize(("level", "count"), [("debug", 5), ("info", 3), ("warning", 2), ("error", 1)])
def test_what_is_less_important_is_left_out(level: str, count: int) -> None:
    lines = _logged(level, "json")
    assert len(lines) == count - (level == "debug"), "requests of a library are never more than chatter"


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_holds_no_values(form: str) -> None:
    text = "\n".join(_logged("info", form))
    assert "no such thing" in text
    assert "ValueError" in text
    assert "broken" in text
    assert "hunter" not in text
