"""The check stage: dead letters come before acknowledgements; stops and revocations end a batch."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from prometheus_client import REGISTRY

from bench.traffic.waiting import eventually
from schemas.envelope import PoisonEvent, Reason, Record
from schemas.events import Event, EventType, encode_event
from schemas.facts import PhotoLiked
from schemas.ids import PhotoId, UserId, first_id_at
from streams.errors import StoreUnavailable
from streams.kafka.consuming.agent import Delivered
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.consuming.stops import Stops
from streams.kafka.consuming.throttle import BackgroundThrottle
from streams.kafka.consuming.waiting import PartitionRevoked
from streams.kafka.producing.producer import Outgoing
from streams.kafka.stages.check import DECODED_AT_ONCE, CheckStage, EventsHandler
from streams.kafka.stages.dead_letters import DeadLetters
from streams.ports.coordination import Stop
from streams.settings import CheckSettings, RetrySettings
from streams.stores.memory.coordination import MemoryStoppedPartitions
from streams.worker.check import unhurriedly
from topics.catalogue import LIKES

NOW_MS = 1_800_000_000_000
PHOTO = PhotoId(first_id_at(NOW_MS - 1_000))
GROUP, TOPIC, PARTITION = "check", LIKES.name, 2
RETRY = RetrySettings(store_wait_s_max=1)


def like(offset: int, user: int = 7) -> Record:
    data = PhotoLiked(photo_id=PHOTO, user_id=UserId(user))
    key, value, headers = encode_event(
        EventType.PHOTO_LIKED, data, id=f"e{offset}", source="/app", time_us=NOW_MS * 1_000
    )
    return Record(TOPIC, PARTITION, offset, NOW_MS, key, value, tuple(headers))


def bad(offset: int, source: str | None = None) -> Record:
    headers = [] if source is None else [("ce_source", source.encode())]
    return Record(TOPIC, PARTITION, offset, NOW_MS, b"1", b"not json", tuple(headers))


def metric(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"shutterline_{name}", labels)


@dataclass(slots=True)
class Stage:
    """One worker's stage for one partition, and a log of everything that leaves it, in order."""

    store: MemoryStoppedPartitions = field(default_factory=MemoryStoppedPartitions)
    log: list[object] = field(default_factory=list)
    ended: list[object] = field(default_factory=list)  # Dead letters, with the log until then.
    letters: list[Outgoing] = field(default_factory=list)
    failures: int = 0  # The first `failures` sends of dead letters fail.
    handled: list[Event] = field(default_factory=list)
    refuse: Callable[[Event], PoisonEvent | None] = lambda event: None
    is_assigned: bool = True
    handler: EventsHandler | None = None  # Handles the events instead of `handle`.
    in_a_row_max: int = 3
    progress: Progress = field(default_factory=Progress)
    clock_agrees: Callable[[Callable[[], bool]], Awaitable[None]] | None = None
    stage: CheckStage = field(init=False)

    def __post_init__(self) -> None:
        self.stage = CheckStage(
            settings=CheckSettings(dead_letters_in_a_row_max=self.in_a_row_max),
            topic=LIKES,
            group=GROUP,
            handle=self.handler or self.handle,
            dead_letters=DeadLetters(self, LIKES, "", GROUP, RETRY, lambda: NOW_MS),
            stops=Stops(RETRY, self.store, self.progress, poll_s=0.0),
            progress=self.progress,
            clock_ms=lambda: NOW_MS,
            clock_agrees=self.clock_agrees or self.always,
            dead_lettered=self.dead_lettered,
        )

    async def always(self, _: Callable[[], bool]) -> None:
        pass

    async def dead_lettered(self, record: Record, poison: PoisonEvent, _: Callable[[], bool]) -> None:
        self.ended.append((record.offset, poison.reason, list(self.log)))

    async def handle(
        self, events: Sequence[Event], is_assigned: Callable[[], bool]
    ) -> list[PoisonEvent | None]:
        if not is_assigned():
            raise PartitionRevoked
        self.handled += events
        return [self.refuse(event) for event in events]

    async def send(self, records: Sequence[Outgoing]) -> None:
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("kafka", "produce", "a test said so")
        self.letters += records
        self.log += [
            ("dead letter", int(dict(record.headers)["shutterline_offset"] or b"")) for record in records
        ]

    async def deliver(self, *records: Record, generation: int = 1) -> None:
        delivered = Delivered(
            records, generation, lambda: self.is_assigned, lambda count: self.log.append(("ack", count))
        )
        async with asyncio.timeout(10):  # A partition that stops without a reason waits for ever.
            await self.stage(delivered)


async def stop_and_revoke(stage: Stage, *records: Record) -> None:
    """Let the stage stop after three of the records, and take the partition away while it waits."""
    delivery = asyncio.create_task(stage.deliver(*records))
    await eventually("the partition to stop", lambda: ("ack", 3) in stage.log)
    stage.is_assigned = False
    await delivery


async def stops_of(stage: Stage) -> list[int]:
    return [stop.position for stop in await stage.store.stops(GROUP)]


@pytest.mark.law("L7")
async def test_dead_letters_are_acknowledged_before_their_records_are() -> None:
    """A kill between the two makes a dead letter twice, and never loses one."""
    stage = Stage()

    await stage.deliver(like(5), bad(6), like(7), bad(8))

    assert stage.log == [("dead letter", 6), ("dead letter", 8), ("ack", 4)]
    assert [event.id for event in stage.handled] == ["e5", "e7"]


@pytest.mark.law("L7")
async def test_an_unavailable_broker_is_waited_for() -> None:
    """Nothing is acknowledged before the dead letter is, however often that fails."""
    stage = Stage(failures=3)

    await stage.deliver(like(5), bad(6))

    assert stage.log == [("dead letter", 6), ("ack", 2)]


async def test_an_event_that_its_handler_refuses_is_a_dead_letter() -> None:
    """An event that only a store shows to be invalid, such as another author's photo, is poison."""
    poison = PoisonEvent(Reason.AUTHOR_CONFLICT, "another author's")
    stage = Stage(refuse=lambda event: poison if event.id == "e6" else None)

    await stage.deliver(like(5), like(6), bad(7), like(8))

    assert stage.log == [("dead letter", 6), ("dead letter", 7), ("ack", 4)]


@pytest.mark.law("L7")
async def test_a_revoked_partition_acknowledges_nothing() -> None:
    """Its next owner handles the records again."""
    stage = Stage(is_assigned=False)

    await stage.deliver(like(5), bad(6))

    assert stage.log == []


@pytest.mark.law("L7")
async def test_a_partition_that_is_revoked_while_it_waits_acknowledges_nothing() -> None:
    """The broker of the dead letters is away, and meanwhile the partition goes to another worker."""
    stage = Stage(failures=1_000)
    delivery = asyncio.create_task(stage.deliver(bad(5)))
    await eventually("the partition to stop", lambda: stage.failures < 1_000)
    stage.is_assigned = False

    async with asyncio.timeout(10):
        await delivery

    assert stage.log == []


async def test_at_the_limit_the_rest_of_the_batch_waits_for_the_operator() -> None:
    """The third dead letter in a row stops the partition.

    After the operator resumed the group, the partition continues with the next record.
    """
    stage = Stage()
    delivery = asyncio.create_task(stage.deliver(bad(5), bad(6), bad(7), like(8), bad(9)))
    await eventually("the partition to stop", lambda: len(stage.log) >= 4)
    stopped_at, before = await stops_of(stage), list(stage.log)

    await stage.store.resume(GROUP)
    async with asyncio.timeout(10):
        await delivery

    assert stopped_at == [8]
    assert before == [*(("dead letter", offset) for offset in (5, 6, 7)), ("ack", 3)]
    assert stage.log[4:] == [("dead letter", 9), ("ack", 5)]
    assert await stops_of(stage) == []


async def test_a_stop_says_why_its_newest_dead_letter_failed() -> None:
    """An operator asks that first. What follows in the batch is not handled yet."""
    poison = PoisonEvent(Reason.AUTHOR_CONFLICT, "another author's")
    stage = Stage(refuse=lambda event: poison if event.id == "e7" else None)
    await stop_and_revoke(stage, bad(5), bad(6), like(7), bad(8))
    [stop] = await stage.store.stops(GROUP)

    assert stop.reason == "3 dead letters in a row (limit 3), the newest because of author_conflict"


async def test_a_stop_is_found_by_the_partitions_next_owner() -> None:
    """The stop is stored, so another process, or a restarted one, handles nothing either."""
    first = Stage()
    await stop_and_revoke(first, bad(5), bad(6), bad(7))
    second = Stage(store=first.store)

    waiting = asyncio.create_task(second.deliver(like(8)))
    for _ in range(50):
        await asyncio.sleep(0)
    assert second.log == []
    await first.store.resume(GROUP)
    async with asyncio.timeout(10):
        await waiting

    assert second.log == [("ack", 1)]


class UnavailableStops(MemoryStoppedPartitions):
    """Stores no stop while `is_down`; `tries` counts how often it was to."""

    is_down = True
    tries = 0

    async def stop(self, stop: Stop) -> None:
        self.tries += 1
        if self.is_down:
            raise StoreUnavailable("cassandra", "stop", "a test said so")
        await super().stop(stop)


@pytest.mark.law("L7")
async def test_a_stop_that_cannot_be_stored_is_not_committed_and_not_forgotten() -> None:
    """The partition is taken away meanwhile, and comes back: it stops at the same record."""
    store = UnavailableStops()
    stage, batch = Stage(store=store), [bad(5), bad(6), bad(7)]
    delivery = asyncio.create_task(stage.deliver(*batch))
    await eventually("a stop", lambda: store.tries > 1)
    stage.is_assigned = False
    async with asyncio.timeout(10):
        await delivery
    committed = ("ack", 3) in stage.log
    stage.is_assigned, store.is_down = True, False

    again = asyncio.create_task(stage.deliver(*batch, generation=2))
    await eventually("the partition to stop", lambda: ("ack", 3) in stage.log)

    assert (committed, await stops_of(stage)) == (False, [8])
    await store.resume(GROUP)
    async with asyncio.timeout(10):
        await again


async def test_a_partition_that_comes_back_after_its_stop_counts_from_zero() -> None:
    """It was taken away while it was stopped. After the resume, one dead letter does not stop it again."""
    stage = Stage()
    await stop_and_revoke(stage, bad(5), bad(6), bad(7))
    stage.is_assigned = True
    again = asyncio.create_task(stage.deliver(bad(8), bad(9), generation=2))
    for _ in range(50):
        await asyncio.sleep(0)
    await stage.store.resume(GROUP)
    async with asyncio.timeout(10):
        await again

    assert (stage.log[-1], await stops_of(stage)) == (("ack", 2), [])


async def test_a_partition_that_was_resumed_with_another_owner_counts_from_zero() -> None:
    """It was resumed while another worker had it, so this process never sees the stop that it stored."""
    stage = Stage()
    await stop_and_revoke(stage, bad(5), bad(6), bad(7))
    await stage.store.resume(GROUP)
    stage.is_assigned = True
    await stage.deliver(bad(8), bad(9), generation=2)

    assert (stage.log[-1], await stops_of(stage)) == (("ack", 2), [])


async def test_after_a_stop_the_count_starts_again() -> None:
    """After the group was resumed, two more dead letters in a row cause no new stop."""
    stage = Stage()
    delivery = asyncio.create_task(stage.deliver(bad(5), bad(6), bad(7), bad(8), bad(9)))
    await eventually("the partition to stop", lambda: ("ack", 3) in stage.log)
    await stage.store.resume(GROUP)

    async with asyncio.timeout(10):
        await delivery

    assert stage.log[-1] == ("ack", 5)
    assert await stops_of(stage) == []


async def test_a_dead_letter_has_the_key_and_the_bytes_of_its_record() -> None:
    """The bytes are not decoded and encoded again, so that a record can be corrected and resent."""
    stage = Stage()

    await stage.deliver(bad(5))

    [letter] = stage.letters
    assert (letter.key, letter.value) == (b"1", b"not json")


async def test_an_outcome_belongs_to_the_event_that_it_was_returned_for() -> None:
    """A record that cannot be decoded has no event, so the indexes of both lists differ."""
    poison = PoisonEvent(Reason.AUTHOR_CONFLICT, "another author's")
    stage = Stage(refuse=lambda event: poison if event.id == "e6" else None)

    await stage.deliver(bad(5), like(6), like(7), like(8))

    assert stage.log == [("dead letter", 5), ("dead letter", 6), ("ack", 4)]


@pytest.mark.law("L7")
async def test_a_store_that_is_down_makes_the_partition_wait_and_no_dead_letter() -> None:
    """Nothing is acknowledged meanwhile, however often the store fails; then the batch is."""
    seen: list[list[object]] = []

    async def write(events: Sequence[Event]) -> None:
        seen.append(list(stage.log))
        if len(seen) <= 3:
            raise StoreUnavailable("cassandra", "write", "a test said so")

    stage = Stage(handler=unhurriedly(write, RETRY, BackgroundThrottle(0, 0.0)))
    async with asyncio.timeout(10):
        await stage.deliver(like(5), like(6))

    assert seen == [[]] * 4
    assert stage.log == [("ack", 2)]


async def test_follows_rest_while_posts_are_handled() -> None:
    """As long as they took, times the ratio, after each batch."""
    throttle, now_s = BackgroundThrottle(rest_ratio=1, rest_s_max=60.0), 0.0

    async def write(_: Sequence[Event]) -> None:
        nonlocal now_s
        now_s += 30.0

    stage = Stage(handler=unhurriedly(write, RETRY, throttle, clock_s=lambda: now_s))
    await stage.deliver(like(5))
    with throttle.urgent():
        resting = asyncio.create_task(stage.deliver(like(6)))
        _, waiting = await asyncio.wait([resting], timeout=0.05)
        assert waiting
        resting.cancel()
    assert stage.log == [("ack", 1)]


async def test_a_large_batch_lets_others_run_while_it_is_decoded() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    stage = Stage()
    running = asyncio.create_task(others())
    await stage.deliver(*(like(offset) for offset in range(10 * DECODED_AT_ONCE)))
    running.cancel()
    assert turns >= 10


async def test_the_watchdog_excuses_a_partition_only_while_its_events_are_handled() -> None:
    """A store may be down for an hour; but a consumer that stops after the batch is found."""
    partition = GroupPartition(GROUP, TOPIC, PARTITION)
    stuck: list[list[GroupPartition]] = []

    async def write(events: Sequence[Event]) -> None:
        stuck.extend(stage.progress.stuck({partition: 9}, -1.0) for _ in range(2))

    stage = Stage(handler=unhurriedly(write, RETRY, BackgroundThrottle(0, 0.0)))
    stage.progress.own(GROUP, {partition})
    await stage.deliver(like(5), like(6))

    assert stuck == [[], []]
    assert [stage.progress.stuck({partition: 7}, -1.0) for _ in range(2)] == [[], []]
    assert stage.progress.stuck({partition: 8}, -1.0) == [partition]


async def test_the_watchdog_excuses_a_partition_whose_dead_letters_wait() -> None:
    """A new process would wait for the dead-letter topic as well."""
    partition = GroupPartition(GROUP, TOPIC, PARTITION)
    stuck: list[list[GroupPartition]] = []

    class Waiting(Stage):
        async def send(self, records: Sequence[Outgoing]) -> None:
            stuck.extend(self.progress.stuck({partition: 9}, -1.0) for _ in range(2))
            await super().send(records)

    stage = Waiting(failures=1)
    stage.progress.own(GROUP, {partition})
    await stage.deliver(bad(5))

    assert stuck == [[]] * 4


async def test_one_bad_source_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """Its bad records go on to the dead letters beyond the limit, an alarm names it, and the good
    records of others are handled."""
    stage = Stage()
    stage.progress.own(GROUP, {GroupPartition(GROUP, TOPIC, PARTITION)})
    source = "/bad\x1b[31m/app"

    await stage.deliver(*(bad(offset, source) for offset in range(5, 15)), like(15))

    assert stage.log == [*(("dead letter", offset) for offset in range(5, 15)), ("ack", 11)]
    assert [event.id for event in stage.handled] == ["e15"]
    assert await stops_of(stage) == []
    assert "set aside the source /bad\\x1b[31m/app in likes/2: 3 dead letters in a row" in caplog.text
    label = {"group": GROUP, "topic": TOPIC, "source": "/bad\\x1b[31m/app"}
    assert metric("sources_set_aside", **label) == 1


async def test_the_alarm_ends_when_the_source_is_well() -> None:
    """After three handled records in a row the gauge no longer names it."""
    stage = Stage()
    label = {"group": GROUP, "topic": TOPIC, "source": "/app"}

    await stage.deliver(*(bad(offset, "/app") for offset in range(5, 10)))
    assert metric("sources_set_aside", **label) == 1
    stage.progress.own(GROUP, set())
    assert metric("sources_set_aside", **label) == 0  # The partition went to another worker.
    await stage.deliver(like(10), like(11), like(12))

    assert metric("sources_set_aside", **label) is None


async def test_a_source_is_judged_by_its_events_of_either_kind() -> None:
    """A record that cannot be decoded and an event that a store refuses count together."""
    poison = PoisonEvent(Reason.AUTHOR_CONFLICT, "another author's")
    stage = Stage(refuse=lambda event: poison if event.id != "e9" else None)

    await stage.deliver(bad(5, "/app"), like(6), like(7), like(8), like(9))

    assert stage.log[-1] == ("ack", 5)


async def test_a_record_that_is_delivered_again_counts_once() -> None:
    """A partition that comes back before its commit stops no sooner, and the metrics stay true."""
    stage = Stage()
    counters = [
        ("dead_letters_total", {"topic": TOPIC, "reason": Reason.NOT_CLOUDEVENT}),
        ("events_total", {"topic": TOPIC, "outcome": "dead_letter"}),
    ]
    before = [metric(name, **labels) or 0 for name, labels in counters]

    for generation in (1, 2, 3):
        await stage.deliver(bad(5), bad(6), generation=generation)

    assert [
        (metric(name, **labels) or 0) - count for (name, labels), count in zip(counters, before, strict=True)
    ] == [2, 2]
    assert stage.log[-1] == ("ack", 2)
    assert await stops_of(stage) == []
    await stage.deliver(bad(6), like(7), generation=4)
    assert stage.log[-1] == ("ack", 2)


async def test_no_event_is_judged_by_a_wrong_clock() -> None:
    """A worker whose clock is behind would dead-letter everybody's events as from the future."""
    agrees = asyncio.Event()

    async def wait(_: Callable[[], bool]) -> None:
        await agrees.wait()

    stage = Stage(clock_agrees=wait)
    delivering = asyncio.create_task(stage.deliver(like(5), bad(6)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert (stage.log, stage.handled) == ([], [])
    agrees.set()
    await delivering

    assert stage.log[-1] == ("ack", 2)


async def test_what_a_dead_letter_leaves_behind_is_ended_before_its_record_is_acknowledged() -> None:
    """So a kill in between repeats it. A photo would otherwise be `processing` for ever."""
    stage = Stage()

    await stage.deliver(like(5), bad(6), bad(7))

    letters = [("dead letter", 6), ("dead letter", 7)]
    assert stage.ended == [(offset, Reason.NOT_CLOUDEVENT, letters) for offset in (6, 7)]
