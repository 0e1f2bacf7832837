"""Traces, if they are turned on: the port that the pipeline uses, and whether there is one.

`otlp.py` implements it, and is imported only then. Where it is off, all there is to do is to look at
`current`.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from typing import Protocol

from streams.telemetry.causes import Cause, Subject, is_sampled

Attributes = Mapping[str, str | int]


class Kind(Enum):
    """What a span is to the ones around it: OpenTelemetry's names."""

    SERVER = "SERVER"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


class Span(Protocol):
    """A span that has begun and not ended."""

    @property
    def traceparent(self) -> str:
        """What its children are told, also whether this trace is sampled."""

    def name(self, name: str, attributes: Attributes) -> None:
        """Give it the name and the attributes that were not known when it began."""


class Tracing(Protocol):
    """Begins spans."""

    def span(
        self, name: str, kind: Kind, attributes: Attributes, *, parent: str | None = None
    ) -> AbstractContextManager[Span]:
        """A span below `parent`, a traceparent; without one below the span of the block around it, if any."""

    def batch(
        self, name: str, causes: Mapping[Subject, Cause], attributes: Attributes, *, begins: bool
    ) -> AbstractContextManager[Mapping[Subject, Cause]]:
        """The spans of a batch: one for each cause, below the cause's own; and one of several causes.

        The latter links to the causes' own spans, and is in a trace of its own. Returns the causes with the
        spans of this batch, which what the block publishes continues. A cause without a span begins a trace
        if `begins` is true, and has none otherwise. A trace that is not sampled stays so.
        """

    def traceparent(self) -> str | None:
        """Return the span of the block around the call, as its children are told; None without one."""

    def close(self) -> None:
        """Export what has ended, for a few seconds at most."""


_current: Tracing | None = None


def current() -> Tracing | None:
    """Return what traces this process; None if traces are off."""
    return _current


@contextmanager
def traced_by(tracing: Tracing) -> Iterator[None]:
    """Trace this process while the block runs."""
    global _current
    _current = tracing
    try:
        yield
    finally:
        _current = None
        tracing.close()


def exemplar_of(cause: Cause) -> dict[str, str] | None:
    """Return what leads from a value of a histogram to its event's trace; None if that is not recorded."""
    return None if _current is None else _exemplar(cause.traceparent)


def exemplar_here() -> dict[str, str] | None:
    """Return what leads from a value of a histogram to the trace of the block around the call, see above."""
    return None if _current is None else _exemplar(_current.traceparent())


def _exemplar(traceparent: str | None) -> dict[str, str] | None:
    if traceparent is None or not is_sampled(traceparent):
        return None
    return {"trace_id": traceparent.split("-")[1]}
