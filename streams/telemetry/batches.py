"""What a stage says of the batch that it handles: the ids of the events for its log lines, and the spans."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from streams.telemetry import tracing
from streams.telemetry.causes import Cause, Subject, handling

# The names of OpenTelemetry for what log lines have.
_ATTRIBUTES = {
    "group": "messaging.consumer.group.name",
    "topic": "messaging.destination.name",
    "partition": "messaging.destination.partition.id",
}


@contextmanager
def handling_batch(
    name: str,
    fields: Mapping[str, object],
    event_ids: Callable[[], Iterable[str]],
    causes: Mapping[Subject, Cause],
    *,
    begins: bool = False,
) -> Iterator[None]:
    """Say what the block handles, see `handling`, and trace it in spans `name`, see `Tracing.batch`."""
    traced = tracing.current()
    if traced is None or not causes:
        with handling(fields, event_ids, causes):
            yield
        return
    attributes = {attribute: str(fields[key]) for key, attribute in _ATTRIBUTES.items() if key in fields}
    with (
        traced.batch(name, causes, attributes, begins=begins) as continued,
        handling(fields, event_ids, continued),
    ):
        yield


def ids_of(causes: Mapping[Subject, Cause]) -> Sequence[str]:
    """Return the ids of the events, each once."""
    return list(dict.fromkeys(cause.event_id for cause in causes.values() if cause.event_id is not None))
