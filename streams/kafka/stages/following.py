"""What stages read of the causes in their records, and log about records.

All photos are followed. Edges are too many: they are followed if their lines are wanted, or traced if their
publisher does.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence

from schemas.envelope import Record, id_of
from schemas.events import Event
from streams.kafka.consuming.progress import GroupPartition
from streams.telemetry import tracing
from streams.telemetry.causes import TRACEPARENT, Cause, Subject, is_sampled, short_id, valid_traceparent
from streams.telemetry.lines import log_each
from streams.telemetry.subjects import subject_of_event
from topics.catalogue import UPLOADS, Topic


def event_ids_of(records: Iterable[Record]) -> list[str]:
    """Return the ids that records of upstream apps name, also those that are no valid events."""
    return [short_id(event_id) for record in records if (event_id := id_of(record))]


def followed(
    topic: Topic, records: Sequence[Record], events: Mapping[int, Event], *, all_edges: bool
) -> Mapping[Subject, Cause]:
    """Return the causes of what is followed: of `events`, by their index in `records`.

    If several events of a batch change one edge, the last one counts.
    """
    is_traced = tracing.current() is not None
    if not (is_traced or all_edges or topic is UPLOADS):
        return {}
    causes: dict[Subject, Cause] = {}
    for index, event in events.items():
        span = valid_traceparent(dict(records[index].headers).get(TRACEPARENT)) if is_traced else None
        if all_edges or topic is UPLOADS or (span is not None and is_sampled(span)):
            causes[subject_of_event(event.data)] = Cause(short_id(event.id), span)
    return causes


def log_records(
    log: logging.Logger,
    level: int,
    message: str,
    partition: GroupPartition,
    records: Sequence[Record],
    **fields: object,
) -> None:
    """Log records of a partition with the ids of their events, several to a line."""
    if records and log.isEnabledFor(level):
        rows = (
            {"event_id": next(iter(event_ids_of([record])), None), "offset": record.offset}
            for record in records
        )
        log_each(log, level, message, rows, {**partition.log_fields(), **fields})
