"""Traces by OpenTelemetry's SDK, exported by OTLP over HTTP. The environment's `OTEL_...` configure both.

Only what is sampled gets further: its records have a `traceparent`, and all others none.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from threading import Thread
from typing import Self

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, get_current_span, set_span_in_context
from opentelemetry.trace import Span as SdkSpan
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from streams.telemetry.causes import TRACEPARENT, Cause, Subject, is_sampled
from streams.telemetry.tracing import Attributes, Kind

# A collector that does not respond must not keep a process from ending in time (`stop_s_max`).
CLOSE_S_MAX = 2.0
# What one span can link to is limited by the SDK to 128.
LINKS_MAX = 128
_W3C = TraceContextTextMapPropagator()
_KINDS = {kind: SpanKind[kind.name] for kind in Kind}


class _Span:
    """Implements `Span`."""

    def __init__(self, span: SdkSpan) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        return _traceparent(self._span)

    def name(self, name: str, attributes: Attributes) -> None:
        self._span.update_name(name)
        self._span.set_attributes(attributes)


class OpenTelemetry:
    """Implements `Tracing`. `process` is the name of this process, `processor` gets the spans that end."""

    def __init__(self, process: str, processor: SpanProcessor) -> None:
        ours = Resource({"service.name": "shutterline", "service.instance.id": process})
        self._provider = TracerProvider(
            resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("shutterline")

    @classmethod
    def exporting(cls, process: str) -> Self:
        """Return one that sends its spans to a collector."""
        return cls(process, BatchSpanProcessor(OTLPSpanExporter()))

    @contextmanager
    def span(
        self, name: str, kind: Kind, attributes: Attributes, *, parent: str | None = None
    ) -> Iterator[_Span]:
        context = None if parent is None else _context_of(parent)
        # An exception's text may have what a client sent, so only its class is recorded.
        with self._tracer.start_as_current_span(
            name, context, _KINDS[kind], attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield _Span(span)
            except BaseException as error:
                span.set_attribute("error.type", type(error).__qualname__)
                raise

    @contextmanager
    def batch(
        self, name: str, causes: Mapping[Subject, Cause], attributes: Attributes, *, begins: bool
    ) -> Iterator[Mapping[Subject, Cause]]:
        with ExitStack() as ending:
            # One for each event, though an event may have several subjects and a subject several events.
            spans = {
                cause: self._below(name, cause, attributes)
                for cause in set(causes.values())
                if (begins if cause.traceparent is None else is_sampled(cause.traceparent))
            }
            for span in spans.values():
                ending.callback(span.end)
            sampled = {cause: span for cause, span in spans.items() if span.is_recording()}
            if len(sampled) > 1:
                links = [_link(cause, span) for cause, span in islice(sampled.items(), LINKS_MAX)]
                count = {"messaging.batch.message_count": len(sampled)}
                batch = self._tracer.start_span(
                    f"{name} batch", Context(), SpanKind.CONSUMER, {**attributes, **count}, links
                )
                ending.callback(batch.end)
            continued = {cause: Cause(cause.event_id, _traceparent(span)) for cause, span in spans.items()}
            yield {subject: continued.get(cause, cause) for subject, cause in causes.items()}

    def traceparent(self) -> str | None:
        span = get_current_span()
        return _traceparent(span) if span.get_span_context().is_valid else None

    def close(self) -> None:
        closing = Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_S_MAX)

    def _below(self, name: str, cause: Cause, attributes: Attributes) -> SdkSpan:
        context = Context() if cause.traceparent is None else _context_of(cause.traceparent)
        named = {} if cause.event_id is None else {"cloudevents.event_id": cause.event_id}
        return self._tracer.start_span(name, context, SpanKind.CONSUMER, {**attributes, **named})


def _context_of(traceparent: str) -> Context:
    return _W3C.extract({TRACEPARENT: traceparent}, Context())


def _traceparent(span: SdkSpan) -> str:
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, set_span_in_context(span))
    return carrier[TRACEPARENT]


def _link(cause: Cause, span: SdkSpan) -> Link:
    """Return a link to what the record says of its event; to our own span of it if it says nothing."""
    caused_by = span if cause.traceparent is None else get_current_span(_context_of(cause.traceparent))
    return Link(caused_by.get_span_context())
