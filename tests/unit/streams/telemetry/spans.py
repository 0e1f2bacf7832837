"""Traces and log lines of this process, for tests."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from shutterline.logs import formatter
from streams.telemetry import tracing
from streams.telemetry.exposition import OPENMETRICS, exposition
from streams.telemetry.otlp import OpenTelemetry

# What Prometheus says that it accepts.
PROMETHEUS = f"{OPENMETRICS};version=1.0.0,{OPENMETRICS};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5"


@contextmanager
def traced() -> Iterator[InMemorySpanExporter]:
    """Trace what the block does; the spans that have ended are in memory."""
    exporter = InMemorySpanExporter()
    with tracing.traced_by(OpenTelemetry("worker-1", SimpleSpanProcessor(exporter))):
        yield exporter


def traces_of(histogram: Histogram) -> set[str]:
    """Return the traces to which the histogram's exemplars lead, as Prometheus gets them."""
    body, _ = exposition(PROMETHEUS)
    [name] = {metric.name for metric in histogram.describe()}
    return {
        sample.exemplar.labels["trace_id"]
        for family in text_string_to_metric_families(body.decode())  # type: ignore[no-untyped-call]
        if family.name == name
        for sample in family.samples
        if sample.exemplar
    }


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(formatter("worker-1", is_for_people=False))
        self.lines: list[Mapping[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@contextmanager
def logged(level: int = logging.INFO) -> Iterator[list[Mapping[str, Any]]]:
    """Return the lines that our own code logs in the block, from `level` on."""
    handler, logger = _Lines(), logging.getLogger("streams")
    before = logger.level
    logger.setLevel(level)
    logger.addHandler(handler)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
