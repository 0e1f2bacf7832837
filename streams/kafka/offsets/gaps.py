"""Skip offsets that hold no record, so that they are not taken for work.

Offsets have gaps. A transaction ends with a control record, the records of an aborted one are never
delivered, and retention or compaction removes others. A consumer commits one past the last record that
it handled, so before a gap its commit stays below the end of the log until another record arrives.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.kafka.offsets.queued import Log, Span


class NextRecord(NamedTuple):
    """The first record at or after an offset; if `exists` is False, `offset` is the end of the log.

    `time_ms` is the record's timestamp, if it has one.
    """

    offset: int
    exists: bool
    time_ms: int | None = None


# Returns for each log what follows the offset there.
Look = Callable[[Mapping[Log, int]], Awaitable[Mapping[Log, NextRecord]]]


@dataclass(slots=True)
class Gaps:
    """Remembers what it learned, because an offset without a record never gets one.

    `look` reads the log, which costs a few milliseconds and a fetch.
    """

    look: Look
    # For each partition of a group: the last offset asked about, and what follows it if that was looked up.
    _known: dict[tuple[str, Log], tuple[int, NextRecord | None]] = field(default_factory=dict, init=False)

    async def skip(self, group: str, topic: str, spans: Mapping[int, Span]) -> dict[int, int]:
        """Return for each partition the first offset of its span that holds a record, or the span's end.

        The log is read only where the span begins as it did in the call before. Where a group moves
        between two calls, it has records to read, and `begin` is returned.

        Raises:
            StoreUnavailable: The broker did not answer.
        """
        skipped: dict[int, int] = {}
        unclear: dict[Log, int] = {}
        for partition, span in spans.items():
            begin = self._after_known_gap(group, (topic, partition), span)
            if begin is None:
                unclear[topic, partition] = span.begin
            else:
                skipped[partition] = min(begin, span.end)
        if unclear:
            found = await self.look(unclear)
            for log, begin in unclear.items():
                self._known[group, log] = (begin, found[log])
                skipped[log[1]] = min(found[log].offset, spans[log[1]].end)
        return skipped

    def _after_known_gap(self, group: str, log: Log, span: Span) -> int | None:
        """Return where the span's records begin as far as is known; None if the log must be read."""
        begin, following = self._known.get((group, log), (None, None))
        if following is not None and begin is not None and begin <= span.begin <= following.offset:
            # The gap up to `following` stays one. What comes after the former end is not known.
            return following.offset if following.exists or span.end <= following.offset else None
        if begin == span.begin:
            return None
        self._known[group, log] = (span.begin, None)
        return span.begin
