"""Sends traces by OpenTelemetry's own SDK, which is imported here and nowhere else."""

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Status, StatusCode, set_span_in_context

from binder import __version__
from binder.traces import Span, nanoseconds

_FLUSH_MILLISECONDS = 3000


class _GivenTraceIds(RandomIdGenerator):
    """Gives the id that a trace is to have."""

    trace_id = 0

    def generate_trace_id(self) -> int:
        """Return the id of the trace that is being laid out."""
        return self.trace_id


class OtlpExporter:
    """Sends in a thread of the SDK's, in batches, and drops what it cannot get rid of."""

    def __init__(self) -> None:
        self._ids = _GivenTraceIds()
        ours = Resource.create({SERVICE_NAME: "binder", SERVICE_VERSION: __version__})
        self._provider = TracerProvider(id_generator=self._ids, resource=ours, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("binder", __version__)

    def send(self, trace_id: int, root: Span) -> None:
        """Take a trace; it is sent later, and lost where that fails."""
        self._ids.trace_id = trace_id
        self._lay(root, Context())

    def _lay(self, span: Span, around: Context) -> None:
        laid = self._tracer.start_span(
            span.name, around, attributes=dict(span.attributes), start_time=nanoseconds(span.begin)
        )
        for part in span.parts:
            self._lay(part, set_span_in_context(laid, around))
        if span.fault:
            laid.set_status(Status(StatusCode.ERROR, span.fault))
        laid.end(nanoseconds(span.end))

    def close(self) -> None:
        """Send what waits, and end."""
        self._provider.force_flush(_FLUSH_MILLISECONDS)
        self._provider.shutdown()
