"""Traces and log lines of this process, for tests."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shutterline.logs import formatter
from streams.telemetry import tracing
from streams.telemetry.otlp import OpenTelemetry


@contextmanager
def traced() -> Iterator[InMemorySpanExporter]:
    """Trace what the block does; the spans that have ended are in memory."""
    exporter = InMemorySpanExporter()
    with tracing.traced_by(OpenTelemetry("worker-1", SimpleSpanProcessor(exporter))):
        yield exporter


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
