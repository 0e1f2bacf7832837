"""Which events cause what the running task does: for its log lines, and for the headers of its records.

The context of the task holds this, as it holds the current span of a trace, and tasks that are started
meanwhile share it. So handlers neither take nor pass on what is not their subject.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType

EVENT_ID = "event_id"
TRACEPARENT = "traceparent"
# A publisher chooses the id. The start of a longer one still finds its lines.
EVENT_ID_CHARS_MAX = 128
# What the pipeline says of an event: the id of a photo, or the member and the owner of an edge.
Subject = int | tuple[int, int]
Headers = Sequence[tuple[str, bytes | None]]
# Version 00 of W3C Trace Context, or a later one: hexadecimal numbers of fixed lengths.
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Cause:
    """The event that caused something, and the span in which it is traced; None if it is not known."""

    event_id: str | None
    traceparent: str | None = None


UNKNOWN = Cause(None)


class _Handling:
    """What a task handles, until it has ended. A connection that a handler opens lives longer than that."""

    __slots__ = ("causes", "event_ids", "fields", "has_ended")

    def __init__(
        self,
        fields: Mapping[str, object],
        event_ids: Callable[[], Iterable[str]],
        causes: Mapping[Subject, Cause],
    ) -> None:
        self.fields = fields
        self.event_ids = event_ids
        self.causes = causes
        self.has_ended = False


_handling: ContextVar[_Handling | None] = ContextVar("handling", default=None)
_published: ContextVar[list[str] | None] = ContextVar("published", default=None)


@contextmanager
def handling(
    fields: Mapping[str, object],
    event_ids: Callable[[], Iterable[str]],
    causes: Mapping[Subject, Cause] = MappingProxyType({}),
) -> Iterator[None]:
    """Say what the block handles: `fields` of its log lines, and the ids of its events.

    Only a log line asks for the ids. What the block publishes about a subject among `causes` has the
    subject's cause in its headers.
    """
    now = _Handling(fields, event_ids, causes)
    token = _handling.set(now)
    try:
        yield
    finally:
        now.has_ended = True
        _handling.reset(token)


def handled() -> tuple[Mapping[str, object], Iterable[str]]:
    """Return what the running task handles: the fields for its log lines, and the ids of the events."""
    now = _handling.get()
    return ({}, ()) if now is None or now.has_ended else (now.fields, now.event_ids())


def cause_of(subject: Subject) -> Cause:
    """Return what caused the work on a subject in this task; `UNKNOWN` if that is not followed."""
    now = _handling.get()
    return UNKNOWN if now is None or now.has_ended else now.causes.get(subject, UNKNOWN)


def headers_about(subjects: Iterable[Subject]) -> list[tuple[str, bytes | None]]:
    """Return the headers of a record about `subjects`: for each its event's id and its span, in their order.

    A header without a value says that it is not known of this subject. A name of which nothing is known at
    all has no headers.
    """
    now = _handling.get()
    if now is None or now.has_ended or not now.causes:
        return []
    causes = [now.causes.get(subject, UNKNOWN) for subject in subjects]
    return [
        (name, value.encode() if value else None)
        for name, values in (
            (EVENT_ID, [cause.event_id for cause in causes]),
            (TRACEPARENT, [cause.traceparent for cause in causes]),
        )
        if any(values)
        for value in values
    ]


def causes_in(headers: Headers, subjects: Sequence[Subject]) -> dict[Subject, Cause]:
    """Return what `headers_about` wrote about the subjects of a record, without those it says nothing of."""
    ids = [value for name, value in headers if name == EVENT_ID]
    spans = [value for name, value in headers if name == TRACEPARENT]
    if not ids and not spans:
        return {}
    ids = ids or [None] * len(spans)
    spans = spans or [None] * len(ids)
    return {
        subject: Cause(_text(event_id), valid_traceparent(span))
        for subject, event_id, span in zip(subjects, ids, spans, strict=False)
        if event_id or span
    }


def valid_traceparent(value: bytes | None) -> str | None:
    """Return the value of a header of W3C Trace Context as text; None if it is not one."""
    return value.decode() if value and _TRACEPARENT.fullmatch(value) else None


def is_sampled(traceparent: str) -> bool:
    """Return whether the trace is recorded: a bit of the flags, which are the last two digits."""
    return bool(int(traceparent[-2:], 16) & 1)


def short_id(event_id: str) -> str:
    """Return an event's id as log lines and headers have it."""
    return event_id[:EVENT_ID_CHARS_MAX]


def _text(event_id: bytes | None) -> str | None:
    return short_id(event_id.decode(errors="replace")) if event_id else None


@contextmanager
def collecting_published() -> Iterator[list[str]]:
    """Return a list that gets the ids of the events that the block publishes."""
    published: list[str] = []
    token = _published.set(published)
    try:
        yield published
    finally:
        _published.reset(token)


def note_published(event_id: str) -> None:
    """Say that the running task publishes an event with this id."""
    published = _published.get()
    if published is not None:
        published.append(event_id)
