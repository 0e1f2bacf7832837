"""The spans of OpenTelemetry: which are below which, what links to what, and what they never say."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from streams.telemetry import tracing
from streams.telemetry.batches import handling_batch
from streams.telemetry.causes import Cause, cause_of, valid_traceparent
from streams.telemetry.tracing import Kind
from tests.unit.streams.telemetry.spans import traced

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"


def handle(causes: dict[int | tuple[int, int], Cause], *, begins: bool = False) -> dict[int, Cause]:
    with handling_batch("check", {"topic": "uploads"}, list, causes, begins=begins):
        return {subject: cause_of(subject) for subject in causes}  # type: ignore[misc]


def ids(span: ReadableSpan) -> tuple[str, str | None]:
    """The trace of a span and the span above it, in hexadecimal digits."""
    assert span.context is not None
    return f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}" if span.parent else None


def test_an_event_of_a_batch_continues_its_trace_and_the_batch_links_to_it() -> None:
    """The batch is in a trace of its own: it is the work of several."""
    other = SAMPLED.replace(TRACE, "5" * 32)
    with traced() as exporter:
        continued = handle({1: Cause("e1", SAMPLED), 2: Cause("e2", other)})
    first, second, batch = sorted(exporter.get_finished_spans(), key=lambda span: len(span.links) * 10)

    assert {ids(first), ids(second)} == {(TRACE, PARENT), ("5" * 32, PARENT)}
    assert ids(batch)[1] is None
    assert ids(batch)[0] not in (TRACE, "5" * 32)
    assert {f"{link.context.trace_id:032x}-{link.context.span_id:016x}" for link in batch.links} == {
        f"{TRACE}-{PARENT}",
        f"{'5' * 32}-{PARENT}",
    }
    assert batch.attributes is not None
    assert batch.attributes["messaging.destination.name"] == "uploads"
    spans = {f"{span.context.span_id:016x}" for span in (first, second) if span.context}
    assert {cause.traceparent.split("-")[2] for cause in continued.values() if cause.traceparent} == spans


def test_a_batch_of_one_event_is_the_span_of_the_event() -> None:
    """There is nothing to link."""
    with traced() as exporter:
        handle({1: Cause("e1", SAMPLED)})

    [span] = exporter.get_finished_spans()
    assert (TRACE, PARENT) == ids(span)
    assert span.attributes is not None
    assert span.attributes["cloudevents.event_id"] == "e1"


def test_what_is_not_sampled_has_no_spans_and_stays_so() -> None:
    """The next stage must not decide again."""
    with traced() as exporter:
        continued = handle({1: Cause("e1", UNSAMPLED)}, begins=True)

    assert () == exporter.get_finished_spans()
    assert continued[1].traceparent is not None
    assert continued[1].traceparent.startswith(f"00-{TRACE}-")
    assert continued[1].traceparent.endswith("-00")


@pytest.mark.parametrize("begins", [True, False])
def test_an_event_without_a_trace_begins_one_only_where_it_enters(begins: bool) -> None:
    """A later stage has records that nobody traces."""
    with traced() as exporter:
        continued = handle({1: Cause("e1")}, begins=begins)

    assert begins is (continued[1].traceparent is not None)
    assert int(begins) == len(exporter.get_finished_spans())


def test_a_span_says_which_error_ended_it_and_nothing_of_its_text() -> None:
    """The text may quote what a client sent."""

    def request() -> None:
        with _tracer().span("GET", Kind.SERVER, {}, parent=SAMPLED) as span:
            span.name("GET /v1/feed", {"http.route": "/v1/feed"})
            raise ValueError("a caption of mine")

    with traced() as exporter, pytest.raises(ValueError, match="caption"):
        request()

    [ended] = exporter.get_finished_spans()
    assert ("GET /v1/feed", (TRACE, PARENT)) == (ended.name, ids(ended))
    assert ended.attributes is not None
    assert dict(ended.attributes) == {"http.route": "/v1/feed", "error.type": "ValueError"}
    assert "caption" not in ended.to_json()


def test_a_span_is_below_the_one_around_it() -> None:
    """So that what a request publishes is in the trace of the request."""
    with traced() as exporter, _tracer().span("PUT", Kind.SERVER, {}) as request:
        with _tracer().span("publish", Kind.PRODUCER, {}) as publish:
            assert valid_traceparent(publish.traceparent.encode()) == publish.traceparent
        above = request.traceparent

    below, _ = exporter.get_finished_spans()
    # Without its flags.
    assert "-".join(("00", *map(str, ids(below)))) == above[:-3]


def test_a_process_says_its_name_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """`OTEL_SERVICE_NAME` is the standard way to name a service."""
    with traced() as exporter, _tracer().span("a", Kind.SERVER, {}):
        pass
    monkeypatch.setenv("OTEL_SERVICE_NAME", "photos")
    with traced() as named, _tracer().span("a", Kind.SERVER, {}):
        pass

    [ours], [theirs] = exporter.get_finished_spans(), named.get_finished_spans()
    assert ("shutterline", "worker-1") == (
        ours.resource.attributes["service.name"],
        ours.resource.attributes["service.instance.id"],
    )
    assert "photos" == theirs.resource.attributes["service.name"]


def _tracer() -> tracing.Tracing:
    current = tracing.current()
    assert current is not None
    return current
