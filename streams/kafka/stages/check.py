"""The check stage decodes, checks and handles every record of a topic that upstream apps write.

A record that can never succeed becomes a dead letter, with its bytes unchanged. While a store is
unavailable, the partition waits. The events of a batch are handled concurrently, but their outcomes
are counted in the order of offsets. The broker acknowledges the dead letters first. Only then are
the records acknowledged to the consumer, which commits them.

A record that is delivered again, because the partition was taken away before its commit, is handled
again. But it counts only once, in the metrics and towards the dead-letter limit.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from schemas.envelope import PoisonEvent, Reason, Record, source_of
from schemas.events import Event, decode_event
from streams.clock import unix_ms
from streams.core.limits.dead_letter_limit import DeadLetterLimit, LimitRules, SetAside, Stop, TakenBack
from streams.kafka.consuming.agent import Delivered
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.consuming.stops import Stops
from streams.kafka.consuming.waiting import PartitionRevoked
from streams.kafka.stages.dead_letters import DeadLetters
from streams.kafka.stages.following import event_ids_of, followed, log_records
from streams.kafka.stages.set_aside import SourcesSetAside
from streams.metrics import DEAD_LETTERS, EVENTS
from streams.settings import CheckSettings
from streams.telemetry.batches import handling_batch
from streams.telemetry.causes import handling
from topics.catalogue import UPLOADS, Topic

log = logging.getLogger(__name__)

# Handles events concurrently, and retries while a store is unavailable. Returns for each event
# None, or why the event can never be handled. Raises PartitionRevoked.
EventsHandler = Callable[[Sequence[Event], Callable[[], bool]], Awaitable[Sequence[PoisonEvent | None]]]


# Takes a few milliseconds.
DECODED_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a record: handled, or `poison`. `source` is None if the record names none."""

    record: Record
    source: str | None
    poison: PoisonEvent | None


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
    # The offset after the last record that counted towards the limit, and in the metrics.
    _limit_positions: dict[GroupPartition, int] = field(default_factory=dict, init=False)
    _metric_positions: dict[GroupPartition, int] = field(default_factory=dict, init=False)
    _set_aside: SourcesSetAside = field(init=False)

    def __post_init__(self) -> None:
        self._set_aside = SourcesSetAside(self.group, self.topic.name, self.progress)

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
            # A batch may wait for any store, so the watchdog ignores it.
            with self.progress.excused(partition):
                await self._wait_until_resumed(partition, delivered)
                while done < len(records):
                    done += await self._handle_until_stop(partition, done, delivered)
                    await self._wait_until_resumed(partition, delivered)
        except PartitionRevoked:
            return

    async def _wait_until_resumed(self, partition: GroupPartition, delivered: Delivered) -> None:
        """Return at once if the partition is not stopped."""
        if await self.stops.wait(partition, delivered.generation, delivered.is_assigned):
            self._count_from_zero(partition)

    def _count_from_zero(self, partition: GroupPartition) -> None:
        """Forget the dead letters, because a stop ends only when an operator has fixed the cause."""
        self._limits.pop(partition, None)
        self._set_aside.forget(partition)

    async def _handle_until_stop(self, partition: GroupPartition, done: int, delivered: Delivered) -> int:
        """Handle the records after the first `done`, up to a stop; returns how many are handled."""
        records = delivered.records[done:]
        with handling(partition.log_fields(), partial(event_ids_of, records)):
            await self.clock_agrees(delivered.is_assigned)
            outcomes = await self._outcomes(partition, records, delivered.is_assigned)
            count, stop_reason = self._count_until_stop(partition, outcomes)
            outcomes = outcomes[:count]
            poisons = [(outcome.record, outcome.poison) for outcome in outcomes if outcome.poison is not None]
            await self.dead_letters.publish(poisons, delivered.is_assigned)
            await asyncio.gather(
                *(self.dead_lettered(record, poison, delivered.is_assigned) for record, poison in poisons)
            )
        position = outcomes[-1].record.offset + 1
        if stop_reason is not None:
            # Before the acknowledgement: once the records are committed, nobody else would find out.
            with handling(partition.log_fields(), partial(event_ids_of, [outcomes[-1].record])):
                await self.stops.stop(partition, position, stop_reason, delivered.is_assigned)
            self._count_from_zero(partition)
        self._measure(partition, outcomes)
        self._log(partition, outcomes)
        delivered.ack(done + count)
        self.progress.handled(partition, position)
        return count

    async def _outcomes(
        self, partition: GroupPartition, records: Sequence[Record], is_assigned: Callable[[], bool]
    ) -> list[Outcome]:
        """Return for each record, in their order, what became of it."""
        poisons: dict[int, PoisonEvent | None] = {}
        events: dict[int, Event] = {}
        now_ms = self.clock_ms()
        for index, record in enumerate(records):
            if index % DECODED_AT_ONCE == DECODED_AT_ONCE - 1:
                await asyncio.sleep(0)  # Posts are handled by the same event loop.
            try:
                events[index] = decode_event(
                    self.topic.name,
                    record,
                    now_ms,
                    own_source=self.settings.event_source,
                    own_prefix=self.settings.object_prefix,
                )
            except PoisonEvent as poison:
                poisons[index] = poison
        with handling_batch(
            f"check {self.topic.name}",
            partition.log_fields(),
            partial(event_ids_of, records),
            followed(self.topic, records, events, all_edges=log.isEnabledFor(logging.DEBUG)),
            begins=self.topic is UPLOADS,
        ):
            handled = await self.handle(list(events.values()), is_assigned)
        poisons |= zip(events, handled, strict=True)
        return [
            Outcome(record, events[index].source if index in events else source_of(record), poisons[index])
            for index, record in enumerate(records)
        ]

    def _count_until_stop(
        self, partition: GroupPartition, outcomes: Sequence[Outcome]
    ) -> tuple[int, str | None]:
        """Return how many records are done, and the reason to stop after them, None for no stop."""
        limit = self._limits.get(partition)
        if limit is None:
            limit = self._limits[partition] = DeadLetterLimit(limit_rules(self.settings))
        for count, outcome in enumerate(outcomes, 1):
            if outcome.record.offset < self._limit_positions.get(partition, 0):
                continue
            self._limit_positions[partition] = outcome.record.offset + 1
            match limit.record(outcome.source, outcome.poison is not None):
                case SetAside(source, reason):
                    self._set_aside.begin(partition, source, reason)
                case TakenBack(source):
                    self._set_aside.end(partition, source)
                case Stop(reason):
                    # It counts again if the partition is taken away before the stop is stored.
                    self._limit_positions[partition] = outcome.record.offset
                    return count, _with_newest(reason, outcomes[:count])
        return len(outcomes), None

    def _log(self, partition: GroupPartition, outcomes: Sequence[Outcome]) -> None:
        """Log dead letters and handled photos, and if the level is DEBUG each edge that is handled."""
        level = logging.INFO if self.topic is UPLOADS else logging.DEBUG
        if log.isEnabledFor(level):
            handled = [outcome.record for outcome in outcomes if outcome.poison is None]
            log_records(log, level, "handled", partition, handled)
        dead: defaultdict[Reason, list[Record]] = defaultdict(list)
        for outcome in outcomes:
            if outcome.poison is not None:
                dead[outcome.poison.reason].append(outcome.record)
        for reason, records in dead.items():
            log_records(log, logging.WARNING, "dead letter", partition, records, reason=reason.value)

    def _measure(self, partition: GroupPartition, outcomes: Sequence[Outcome]) -> None:
        counted = self._metric_positions.get(partition, 0)
        new = [outcome for outcome in outcomes if outcome.record.offset >= counted]
        poisons = [outcome.poison for outcome in new if outcome.poison is not None]
        EVENTS.labels(self.topic.name, "dead_letter").inc(len(poisons))
        EVENTS.labels(self.topic.name, "handled").inc(len(new) - len(poisons))
        for poison in poisons:
            DEAD_LETTERS.labels(self.topic.name, poison.reason.value).inc()
        self._metric_positions[partition] = max(counted, outcomes[-1].record.offset + 1)


def _with_newest(reason: str, outcomes: Sequence[Outcome]) -> str:
    """Add why the newest dead letter failed, if it is of this batch: an operator asks that first."""
    newest = next((outcome.poison for outcome in reversed(outcomes) if outcome.poison is not None), None)
    return reason if newest is None else f"{reason}, the newest because of {newest.reason}"


def limit_rules(settings: CheckSettings) -> LimitRules:
    """Return the limits of a partition, from the settings."""
    return LimitRules(
        in_a_row_max=settings.dead_letters_in_a_row_max,
        window_records=settings.dead_letters_window_records,
        ratio_max=settings.dead_letters_ratio_max,
        source_share_min=settings.dead_letters_source_share_min,
        set_aside_max=settings.dead_letters_sources_set_aside_max,
        own_source=settings.event_source,
    )
