"""What a builder's pod says: it comes as it was said, once, and nothing else passes for it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.errors import BinderError, OperatorFault, RepositoryFault, VisitorFault, WorldFault
from binder.lifecycle import BuildState
from binder.names import new_token
from build.cluster import lines as protocol
from build.cluster.lines import (
    Entered,
    Event,
    Failed,
    Lines,
    Lives,
    Made,
    Planned,
    Said,
    event_in,
    failed_by,
    fault_of,
    line_of,
)
from build.pipeline import Built
from build.plan import Layer
from build.ways import BuiltLayer
from modules.bound import Bound, BoundComponent, BoundSeed
from modules.definition import Page

MARK = new_token()
_LAYERS = (
    BuiltLayer(Layer("base", "0" * 32), reused=True, size_bytes=1, seconds=2.5),
    BuiltLayer(Layer("content", "1" * 32, is_taken=True), reused=False),
)
BUILT = Built(
    "registry.example/binder:content-1",
    "sha256:" + "2" * 64,
    "full",
    "No environment was there.",
    _LAYERS,
    {"bytes": 1.0, "seconds": 2.5},
    {"fetch": 0.1},
    [["pypi", "six", "1.16.0"]],
    datetime(2026, 1, 2, tzinfo=UTC),
    ("six",),
    ("lock-3",),
    modules=(
        Bound(
            name="postgres",
            version="15",
            title="PostgreSQL",
            mode="multi-node",
            values={"database": "é", "memory": 2**28, "fast": True},
            secrets=("password",),
            components=(
                BoundComponent("server", "registry.example/binder:module-1", {"ports": {"sql": 5432}}, 1, 2**28),
                BoundComponent("worker", None, {"cpus": 0.5, "command": ["{{ password }}"]}, 2, 2**26),
            ),
            environment={"PGHOST": "{{ hosts.server }}"},
            pages=(Page("Statistics", "server", "web"),),
            seed=BoundSeed(("psql", "{{ file }}"), "./a.sql"),
        ),
    ),
)
EVENTS: list[Event] = [
    Said("Fetching é \U0001f600"),
    Entered(BuildState.BUILDING),
    Planned(_LAYERS),
    Lives(),
    Made(BUILT),
    Failed("repository", "It failed.", "requirements.txt", 7, "environment"),
]


@pytest.mark.parametrize("event", EVENTS)
def test_what_is_said_is_heard(event: Event) -> None:
    line = line_of(MARK, 3, event)
    assert line.isascii()
    assert event_in(MARK, line) == (3, event)


def test_the_digest_of_an_image_and_its_layers_come_whole() -> None:
    heard = event_in(MARK, line_of(MARK, 1, Made(BUILT)))
    assert heard
    assert isinstance(heard[1], Made)
    assert [one.layer.is_taken for one in heard[1].built.layers] == [False, True]


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_no_text_is_more_than_one_line_of_a_log(text: str) -> None:
    line = line_of(MARK, 1, Said(text.encode(errors="replace").decode()))
    assert "\n" not in line
    assert len(Lines(MARK).take(f"{line}\n".encode())) == 1


@given(st.binary())
def test_nothing_but_the_pod_is_heard(data: bytes) -> None:
    assert Lines(MARK).take(data + b"\n" + line_of("another", 1, Lives()).encode() + b"\n") == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "1",
        "[" * 100_000,
        '{"number": true, "event": "lives", "is": {}}',
        '{"number": 0, "event": "lives", "is": {}}',
        '{"number": 1, "event": "nothing", "is": {}}',
        '{"number": 1, "event": ["lives"], "is": {}}',
        '{"number": 1, "event": "entered", "is": {"state": "boiling"}}',
        '{"number": 1, "event": "made", "is": {"built": {"image": "x"}}}',
        '{"number": 1, "event": "failed", "is": {"party": "nobody", "message": "x"}}',
    ],
)
def test_what_cannot_be_read_is_passed_over(text: str) -> None:
    heard = Lines(MARK)
    assert heard.take(f"{MARK} {text}\n".encode()) == []
    assert heard.take(f"{line_of(MARK, 1, Lives())}\n".encode()) == [Lives()]


@given(st.data())
def test_a_log_that_breaks_off_anywhere_is_heard_once_and_whole(data: st.DataObject) -> None:
    said: list[Event] = [Said(str(number)) for number in range(5)]
    log = "".join(f"{line_of(MARK, number, event)}\n" for number, event in enumerate(said, 1)).encode()
    lines, heard = Lines(MARK), list[Event]()
    for _ in range(3):
        lines.begin()
        end = data.draw(st.integers(0, len(log)))
        middle = data.draw(st.integers(0, end))
        heard += [*lines.take(log[:middle]), *lines.take(log[middle:end])]
    lines.begin()
    assert heard + lines.take(log) == said


def test_a_line_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LONGEST_LINE_BYTES", 100)
    lines = Lines(MARK)
    for _ in range(10):
        assert lines.take(b"x" * 60) == []
        assert len(lines._rest) <= 100
    assert lines.take(b"\n" + line_of(MARK, 1, Lives()).encode() + b"\n") == [Lives()]


def test_what_others_said_is_remembered_a_little() -> None:
    lines = Lines(MARK)
    lines.take(b"".join(b"%d\n" % number for number in range(1000)) + b"y" * 5000 + b"\n")
    assert (lines.strange[0], lines.strange[-1]) == ("981", "y" * 500)


@pytest.mark.parametrize(
    "fault",
    [
        RepositoryFault("A", file="postBuild", line=3, step="postBuild"),
        VisitorFault("B"),
        OperatorFault("C"),
        WorldFault("D"),
    ],
)
def test_a_fault_stays_the_fault_of_the_same_party(fault: BinderError) -> None:
    told = fault_of(failed_by(fault))
    assert (type(told), told.message, vars(told)) == (type(fault), fault.message, vars(fault))
