"""Two owners of one partition of `edges`. A schedule decides every step of both.

Owners are coroutines that pause before and after each call of a store or of the outbox. A
schedule of steps, kills and failures drives them, so the same schedule always gives the same
run. A store that loses or rolls back acknowledged writes is not modelled.
"""

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.internal import Backfill, EdgeRecord, RenditionTask, SetKind
from streams.core.counted import Membership
from streams.core.sets import BucketWrite
from streams.edges.counting import SetWriter
from streams.errors import StoreUnavailable
from streams.ports.edges import CountedSets
from streams.ports.groups import Stores
from streams.ports.publishing import FanoutMessage
from streams.stores.cache.codecs import decode_total, encode_total
from streams.stores.cache.keys import count_key
from streams.stores.memory.stores import memory_stores
from tests.worlds.flaky_stores import FlakyStores, Moment, fail, pause
from topics.catalogue import Lane

BUCKET_MEMBERS_MAX = 3
# More steps than any schedule needs. If an owner has not ended after them, it never will.
LAST_STEPS_MAX = 200_000
TOTAL_CACHED_S = 30

SetId = tuple[SetKind, int]


@dataclass(slots=True)
class World:
    """What remains when an owner ends: the log, its committed offset, the stores, and the published
    backfills."""

    log: Sequence[EdgeRecord]
    committed: int = 0
    generation: int = 0
    bucket_members_max: int = BUCKET_MEMBERS_MAX
    known_max: int = 1_000
    known_rows_max: int = 2  # So that sets outgrow it within their first level.
    stores: Stores = field(default_factory=lambda: memory_stores(clock_ms=lambda: 1_800_000_000_000))
    backfilled: set[tuple[int, int]] = field(default_factory=set)
    late: list[Sequence[BucketWrite]] = field(default_factory=list)
    # Then cached totals may be old until they expire.
    has_cache_failed: bool = False

    async def land(self) -> None:
        """Apply the delayed writes: their owner got an error, but they take effect now."""
        for writes in self.late:
            await self.stores.counted_sets.write(writes)
        self.late.clear()

    async def totals(self) -> dict[SetId, int]:
        """Read each set's total through the cache, as pages do."""
        cache, totals = self.stores.cache, {}
        for kind, owner in {(record.kind, record.owner) for record in self.log}:
            key = count_key(kind, owner)
            (cached,) = await cache.get([key])
            if cached is None:
                token = await cache.lease([key])
                cached = encode_total((await self.stores.counted_sets.summaries(kind, [owner]))[owner].total)
                await cache.fill(token, {key: cached}, TOTAL_CACHED_S)
            totals[kind, owner] = decode_total(cached)
        return totals

    def truth(self) -> dict[SetId, dict[int, Membership]]:
        """Return the greatest state of each member of each set, by time and then by `removed`."""
        sets: dict[SetId, dict[int, Membership]] = {}
        for record in self.log:
            rows = sets.setdefault((record.kind, record.owner), {})
            state = Membership(time_us=record.time_us, removed=record.removed)
            if state.beats(rows.get(record.member)):
                rows[record.member] = state
        return sets


class Owner:
    """One consumer of the partition, from its assignment to its end."""

    def __init__(self, world: World, batch_records_max: int) -> None:
        self._world = world
        self._batch_records_max = batch_records_max
        self._late_next = False
        self._fault: bool | None = None  # Whether the next call fails when it is done, or before.
        self._running: Coroutine[Any, Any, None] = self._run()
        self.idle = False

    def step(self) -> None:
        """Run until the next pause."""
        self._running.send(None)

    def kill(self) -> None:
        self._running.close()

    def fail_next(self, *, done: bool) -> None:
        """Let the next call raise `StoreUnavailable`; `done` says whether it takes effect before
        that."""
        self._fault = done

    def delay_next_write(self) -> None:
        """Let the next write raise `StoreUnavailable`. It takes effect when `World.land` is
        called."""
        self._late_next = True

    async def _run(self) -> None:
        flaky = FlakyStores(self._stores(), self._at)
        writer = SetWriter(
            flaky.stores.counted_sets,
            flaky.stores.cache,
            _Outbox(self._world, self._at),
            self._world.bucket_members_max,
            2,
            1,
            page_level_min=0,
            known_max=self._world.known_max,
            known_rows_max=self._world.known_rows_max,
        )
        self._world.generation += 1
        generation = self._world.generation
        position = self._world.committed
        while True:
            batch = self._world.log[position : position + self._batch_records_max]
            self.idle = not batch
            if self.idle:
                await pause()
                continue
            end = position + len(batch)
            await self._world.totals()  # What is cached now is old once the batch is written.
            try:
                await writer.apply(batch, position, end)
            except StoreUnavailable:
                await pause()
                continue
            # Kafka refuses the commit of an owner after a rebalance gave its partition to another
            # owner.
            if generation == self._world.generation:
                self._world.committed = max(self._world.committed, end)
            position = end

    def _stores(self) -> Stores:
        return replace(self._world.stores, counted_sets=_LateWrites(self, self._world))

    async def _at(self, moment: Moment) -> None:
        await pause()
        if self._fault is moment.done:
            self._fault = None
            self._world.has_cache_failed |= moment.store == "cache"
            fail(moment)

    def takes_late(self) -> bool:
        late, self._late_next = self._late_next, False
        return late


@dataclass(frozen=True, slots=True)
class _Outbox:
    """Records the published backfills in the world."""

    world: World
    at: Any

    async def edges(self, records: Sequence[EdgeRecord]) -> None:
        raise AssertionError("the writer of the sets publishes no edges")

    async def renditions(self, tasks: Sequence[RenditionTask], lane: Lane) -> None:
        raise AssertionError("the writer of the sets makes no renditions")

    async def fanout(self, messages: Sequence[FanoutMessage], lane: Lane) -> Mapping[int, int]:
        await self.at(Moment(0, "outbox", "fanout", done=False))
        for message in messages:
            assert isinstance(message.record, Backfill)
            self.world.backfilled.update(message.record.follows)
        await self.at(Moment(0, "outbox", "fanout", done=True))
        return {}


class _LateWrites:
    """The counted sets of the world, with writes that can be delayed."""

    def __init__(self, owner: Owner, world: World) -> None:
        self._owner = owner
        self._world = world
        self._real: CountedSets = world.stores.counted_sets

    async def write(self, writes: Sequence[BucketWrite]) -> None:
        if self._owner.takes_late():
            self._world.late.append(writes)
            raise StoreUnavailable("cassandra", "write", "a test said so; it will take effect later")
        await self._real.write(writes)

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._real, operation)


def run_to_the_end(world: World, batch_records_max: int) -> None:
    """A last owner that nothing happens to reads the log to its end.

    Raises:
        AssertionError: It does not come to an end.
    """
    owner = Owner(world, batch_records_max)
    for _ in range(LAST_STEPS_MAX):
        owner.step()
        if owner.idle:
            owner.kill()
            return
    raise AssertionError(f"not at the end of {len(world.log)} records after {LAST_STEPS_MAX} steps")
