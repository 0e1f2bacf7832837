"""The check stage decodes, checks and handles every record of a topic that upstream apps write.

A record that can never succeed becomes a dead letter, with its bytes unchanged. While a store is
unavailable, the partition waits. The events of a batch are handled concurrently, but their outcomes
are counted in the order of offsets. The broker acknowledges the dead letters first. Only then are
the records acknowledged to the consumer, which commits them.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from schemas.envelope import PoisonEvent, Record
from schemas.events import Event, decode_event
from streams.clock import unix_ms
from streams.core.dead_letter_limit import DeadLetterLimit
from streams.kafka.consuming.agent import Delivered
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.consuming.stops import Stops
from streams.kafka.consuming.waiting import PartitionRevoked
from streams.kafka.stages.dead_letters import DeadLetters
from streams.metrics import EVENTS
from streams.settings import CheckSettings
from topics.catalogue import Topic

# Handles events concurrently, and retries while a store is unavailable. Returns for each event
# None, or why the event can never be handled. Raises PartitionRevoked.
EventsHandler = Callable[[Sequence[Event], Callable[[], bool]], Awaitable[Sequence[PoisonEvent | None]]]


# Runs after a dead letter is acknowledged and before its record is; retries while a store is unavailable.
# Raises PartitionRevoked.
DeadLettered = Callable[[Record, PoisonEvent, Callable[[], bool]], Awaitable[None]]


async def _always(_: Callable[[], bool]) -> None:
    pass


async def _nothing(_record: Record, _poison: PoisonEvent, _is_assigned: Callable[[], bool]) -> None:
    pass


@dataclass(slots=True)
class CheckStage:
    """Handles the batches of one topic, for all its partitions. `clock_ms` is the wall clock.

    `clock_agrees` waits while that clock is wrong: it would show events from the future that are not.
    """

    settings: CheckSettings
    topic: Topic
    group: str
    handle: EventsHandler
    dead_letters: DeadLetters
    stops: Stops
    progress: Progress
    clock_ms: Callable[[], int] = unix_ms
    clock_agrees: Callable[[Callable[[], bool]], Awaitable[None]] = _always
    dead_lettered: DeadLettered = _nothing
    _limits: dict[GroupPartition, DeadLetterLimit] = field(default_factory=dict, init=False)

    async def __call__(self, delivered: Delivered) -> None:
        """Handle a batch, and acknowledge exactly the records that are done.

        If the partition stops in the middle of the batch, this waits until the partition is
        resumed, then handles the rest. If the partition is revoked, this returns and leaves the
        rest unacknowledged, so that the next owner handles it.
        """
        records = delivered.records
        partition = GroupPartition(self.group, records[0].topic, records[0].partition)
        done = 0
        try:
            while done < len(records):
                await self.stops.wait(partition, delivered.generation, delivered.is_assigned)
                done += await self._handle_until_stop(partition, done, delivered)
        except PartitionRevoked:
            return

    async def _handle_until_stop(self, partition: GroupPartition, done: int, delivered: Delivered) -> int:
        """Handle the records after the first `done`, up to a stop; returns how many are handled."""
        records = delivered.records[done:]
        with self.progress.excused(partition):
            await self.clock_agrees(delivered.is_assigned)
            outcomes = await self._outcomes(records, delivered.is_assigned)
        count, stop_reason = self._count_until_stop(partition, outcomes)
        poisons = [
            (record, poison)
            for record, poison in zip(records[:count], outcomes[:count], strict=True)
            if poison is not None
        ]
        await self.dead_letters.publish(poisons, delivered.is_assigned)
        with self.progress.excused(partition):
            for record, poison in poisons:
                await self.dead_lettered(record, poison, delivered.is_assigned)
        EVENTS.labels(self.topic.name, "dead_letter").inc(len(poisons))
        EVENTS.labels(self.topic.name, "handled").inc(count - len(poisons))
        position = records[count - 1].offset + 1
        delivered.ack(done + count)
        self.progress.handled(partition, position)
        if stop_reason is not None:
            await self.stops.stop(partition, position, stop_reason, delivered.is_assigned)
            # The operator has fixed the cause, so the dead letters are counted from zero again.
            del self._limits[partition]
        return count

    async def _outcomes(
        self, records: Sequence[Record], is_assigned: Callable[[], bool]
    ) -> list[PoisonEvent | None]:
        """Return for each record None if its event is handled, or why it can never be handled."""
        outcomes: list[PoisonEvent | None] = []
        events: dict[int, Event] = {}
        now_ms = self.clock_ms()
        for index, record in enumerate(records):
            try:
                events[index] = decode_event(
                    self.topic.name,
                    record,
                    now_ms,
                    own_source=self.settings.event_source,
                    own_prefix=self.settings.object_prefix,
                )
                outcomes.append(None)
            except PoisonEvent as poison:
                outcomes.append(poison)
        handled = await self.handle(list(events.values()), is_assigned)
        for index, outcome in zip(events, handled, strict=True):
            outcomes[index] = outcome
        return outcomes

    def _count_until_stop(
        self, partition: GroupPartition, outcomes: Sequence[PoisonEvent | None]
    ) -> tuple[int, str | None]:
        """Return how many records are done, and the reason to stop after them, None for no stop."""
        limit = self._limits.get(partition)
        if limit is None:
            limit = self._limits[partition] = DeadLetterLimit(
                in_a_row_max=self.settings.dead_letters_in_a_row_max,
                window_records=self.settings.dead_letters_window_records,
                ratio_max=self.settings.dead_letters_ratio_max,
            )
        for count, outcome in enumerate(outcomes, 1):
            stop_reason = limit.record(outcome is not None)
            if stop_reason is not None:
                return count, stop_reason
        return len(outcomes), None
