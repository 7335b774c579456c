"""A push as a trace: laid out of rows, and sent by OpenTelemetry's own protocol to whoever listens."""

import gzip
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from binder.errors import OperatorFault
from binder.lifecycle import BuildState, DeliveryState
from binder.store import Store
from binder.store.tables import Build, Decision, Delivery, Report, Session
from binder.traces import Span, Traces, are_wanted, opened_exporter, trace_id_of
from tests.binder.rows import SHA, add_repository
from tests.served import serving

_T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _at(seconds: float) -> datetime:
    return _T0 + timedelta(seconds=seconds)


class Kept:
    """Keeps traces."""

    def __init__(self) -> None:
        self.traces: list[tuple[int, Span]] = []

    def send(self, trace_id: int, root: Span) -> None:
        """Keep one."""
        self.traces.append((trace_id, root))


async def _queued(store: Store) -> Build:
    """Have a delivery acted on, and a build that it queued."""
    repository = await add_repository(store)
    delivery = Delivery(host="h", app_id=1, guid="guid-1", event="push", payload={}, received_at=_T0)
    delivery.state, delivery.acted_at = DeliveryState.ACTED, _at(1)
    build = Build(repository_id=repository.id, sha=SHA, queued_at=_at(1))
    async with store.write() as session:
        session.add_all([delivery, build])
        await session.flush()
        session.add(
            Decision(
                repository_id=repository.id,
                kind="branch",
                ref="main",
                sha=SHA,
                cause="delivery",
                delivery_id=delivery.id,
                outcome="build",
            )
        )
        session.add(
            Report(
                repository_id=repository.id, kind="status", subject=SHA, wanted={"state": "pending"},
                sent={"state": "pending"}, owed=False, updated_at=_at(2),
            )
        )  # fmt: skip
    return build


async def _end(store: Store, build_id: int, state: BuildState) -> None:
    async with store.write() as session:
        build = await session.get_one(Build, build_id)
        build.state, build.started_at, build.finished_at = state, _at(3), _at(20)
        if state is BuildState.FAILED:
            build.fault = {"party": "repository", "message": "No such package."}
            return
        build.result = {"way": "full", "seconds": {"fetch": 1.5, "environment": 8}}
        session.add(
            Session(
                id="s1", repository_id=1, build_id=build_id, image="i", token="t", created_at=_at(15), ready_at=_at(19)
            )
        )


async def _tell(store: Store) -> None:
    async with store.write() as session:
        report = await session.get_one(Report, 1)
        report.wanted = report.sent = {"state": "success"}
        report.updated_at = _at(21)


async def test_a_push_is_one_trace_from_its_delivery_to_its_status(store: Store) -> None:
    kept = Kept()
    traces = Traces(store, kept, "abcd")
    build = await _queued(store)
    await traces.look(_at(2))
    await _end(store, build.id, BuildState.SUCCEEDED)
    await traces.look(_at(20))
    assert kept.traces == []  # GitHub has yet to be told; of what it was told before it is not the end
    await _tell(store)
    for _ in range(2):
        await traces.look(_at(25))
    ((trace_id, root),) = kept.traces
    assert trace_id == trace_id_of("abcd", build.id) == trace_id_of("abcd", build.id)
    assert (root.name, root.begin, root.end, root.fault) == ("push", _T0, _at(21), None)
    assert root.attributes == {
        "binder.build": build.id,
        "binder.repository": "ada/notebooks",
        "binder.commit": SHA,
        "binder.state": "succeeded",
        "binder.way": "full",
    }
    assert [(part.name, part.begin, part.end) for part in root.parts] == [
        ("delivery", _T0, _at(1)),
        ("queue", _at(1), _at(3)),
        ("build", _at(3), _at(15)),
        ("check", _at(15), _at(20)),
        ("report", _at(20), _at(21)),
    ]
    assert root.parts[0].attributes["binder.delivery"] == "guid-1"
    assert [(part.name, part.begin, part.end) for part in root.parts[2].parts] == [
        ("build fetch", _at(3), _at(4.5)),
        ("build environment", _at(4.5), _at(12.5)),
    ]


async def test_what_github_is_not_told_is_traced_a_minute_later(store: Store) -> None:
    kept = Kept()
    traces = Traces(store, kept, "abcd")
    build = await _queued(store)
    await traces.look(_at(2))
    await _end(store, build.id, BuildState.FAILED)
    await traces.look(_at(20))
    await traces.look(_at(79))
    assert kept.traces == []
    await traces.look(_at(81))
    ((_, root),) = kept.traces
    assert (root.fault, root.attributes["binder.party"], root.end) == ("No such package.", "repository", _at(20))
    assert [part.name for part in root.parts] == ["delivery", "queue", "build"]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ExportTraceServiceRequest]]:
    """What a collector of OpenTelemetry was sent, which the environment names."""
    taken: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take what is sent to `/v1/traces`."""
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                taken.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield taken


async def test_traces_go_to_whom_the_environment_names(collector: list[ExportTraceServiceRequest]) -> None:
    part = Span("build", _at(1), _at(3), {"binder.way": "full"})
    trace_id = trace_id_of("abcd", 7)
    assert are_wanted()
    async with opened_exporter() as exporter:
        exporter.send(trace_id, Span("push", _T0, _at(4), {"binder.build": 7}, (part,), "It failed."))
    (request,) = collector
    (resource,) = request.resource_spans
    assert {one.key: one.value.string_value for one in resource.resource.attributes}["service.name"] == "binder"
    spans = {span.name: span for scope in resource.scope_spans for span in scope.spans}
    assert {int.from_bytes(span.trace_id, "big") for span in spans.values()} == {trace_id}
    push, build = spans["push"], spans["build"]
    assert (push.parent_span_id, build.parent_span_id) == (b"", push.span_id)
    assert (push.start_time_unix_nano, build.end_time_unix_nano) == (_T0.timestamp() * 1e9, _at(3).timestamp() * 1e9)
    assert (push.status.code, push.status.message) == (2, "It failed.")


async def test_without_the_extra_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "binder.otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    with pytest.raises(OperatorFault, match=r"uv pip install 'binder\[traces\]'"):
        async with opened_exporter():
            pass


def test_nothing_is_traced_unless_it_is_wanted() -> None:
    assert not are_wanted({})
    assert not are_wanted({"OTEL_EXPORTER_OTLP_ENDPOINT": ""})
