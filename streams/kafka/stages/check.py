"""The check stage: every record of a topic that others write is decoded, checked and handled.

What can never succeed becomes a dead letter, unchanged; what meets a store that is down
waits. Records of a batch are handled side by side, their fates are sealed in the order of
offsets: dead letters acknowledged first, then the records themselves.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time

from schemas.dead_letters import dead_letter_headers
from schemas.envelope import PoisonEvent, Record
from schemas.events import Event, decode_event
from streams.core.dead_letter_limit import DeadLetterLimit
from streams.kafka.consuming.agent import Delivered
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.consuming.stops import Stops
from streams.kafka.consuming.waiting import PartitionRevoked, retry_until_available
from streams.kafka.producing.producer import Outgoing, Producer
from streams.metrics import DEAD_LETTERS, EVENTS
from streams.settings import Settings
from topics.catalogue import Topic, dead_letter_of

# Handles events side by side, waiting for stores as long as it takes; answers for each why
# it never can be handled, or None.
EventsHandler = Callable[[Sequence[Event], Callable[[], bool]], Awaitable[Sequence[PoisonEvent | None]]]


@dataclass(slots=True)
class CheckStage:
    """Handles the batches of one topic, for all its partitions."""

    settings: Settings
    topic: Topic
    group: str
    handle: EventsHandler
    producer: Producer
    stops: Stops
    progress: Progress
    _limits: dict[GroupPartition, DeadLetterLimit] = field(default_factory=dict)

    async def __call__(self, delivered: Delivered) -> None:
        records = delivered.records
        place = GroupPartition(self.group, records[0].topic, records[0].partition)
        done = 0
        try:
            while done < len(records):
                await self.stops.wait(place, delivered.generation, delivered.is_assigned)
                with self.progress.excused(place):
                    poison = await self._outcomes(records[done:], delivered.is_assigned)
                count, stop_reason = self._count_until_stop(place, poison)
                await self._dead_letter(records[done : done + count], poison, delivered.is_assigned)
                done += count
                delivered.ack(done)
                self.progress.handled(place, records[done - 1].offset + 1)
                if stop_reason is not None:
                    position = records[done - 1].offset + 1
                    await self.stops.stop(place, position, stop_reason, delivered.is_assigned)
                    del self._limits[place]
        except PartitionRevoked:
            return

    async def _outcomes(
        self, records: Sequence[Record], is_assigned: Callable[[], bool]
    ) -> list[PoisonEvent | None]:
        """For each record None when its event is handled, or why it never can be."""
        outcomes: list[PoisonEvent | None] = []
        events: dict[int, Event] = {}
        now_ms = int(time() * 1_000)
        for index, record in enumerate(records):
            try:
                events[index] = decode_event(
                    self.topic.name, record, now_ms, own_source=self.settings.event_source
                )
                outcomes.append(None)
            except PoisonEvent as poison:
                outcomes.append(poison)
        handled = await self.handle(list(events.values()), is_assigned)
        for index, outcome in zip(events, handled, strict=True):
            outcomes[index] = outcome
        return outcomes

    def _count_until_stop(
        self, place: GroupPartition, poison: Sequence[PoisonEvent | None]
    ) -> tuple[int, str | None]:
        """How many records are done with, and why no more are."""
        limit = self._limits.get(place)
        if limit is None:
            limit = self._limits[place] = DeadLetterLimit(
                in_a_row_max=self.settings.dead_letters_in_a_row_max,
                window_records=self.settings.dead_letters_window_records,
                ratio_max=self.settings.dead_letters_ratio_max,
            )
        for count, outcome in enumerate(poison, 1):
            reason = limit.record(outcome is not None)
            if reason is not None:
                return count, reason
        return len(poison), None

    async def _dead_letter(
        self,
        records: Sequence[Record],
        poison: Sequence[PoisonEvent | None],
        is_assigned: Callable[[], bool],
    ) -> None:
        dead = [(record, why) for record, why in zip(records, poison, strict=False) if why is not None]
        if dead:
            letters = [self._letter(record, why) for record, why in dead]
            await retry_until_available(
                self.settings, lambda: self.producer.send(letters), is_assigned=is_assigned
            )
        for _, why in dead:
            DEAD_LETTERS.labels(self.topic.name, why.reason.value).inc()
        EVENTS.labels(self.topic.name, "dead_letter").inc(len(dead))
        EVENTS.labels(self.topic.name, "handled").inc(len(records) - len(dead))

    def _letter(self, record: Record, why: PoisonEvent) -> Outgoing:
        headers = dead_letter_headers(
            record,
            reason=why.reason,
            error=why.error,
            group=self.group,
            attempt=1,
            failed_at=datetime.now(UTC),
        )
        return Outgoing(
            dead_letter_of(self.topic).named(self.settings.namespace), 0, record.key, record.value, headers
        )
