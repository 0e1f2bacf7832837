"""What the writer of counted sets reads from the database, and what it caches instead.

`tests/simulation` tests that its counts are exact, whatever happens.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from schemas.ids import UserId
from schemas.internal import Backfill, EdgeRecord, RenditionTask, SetKind
from streams.core.counted import Change, Membership
from streams.core.sets import BucketKey, BucketWrite, SetSummary
from streams.edges.counting import FOLDED_AT_ONCE, KNOWN_ROWS_MAX, SetWriter
from streams.errors import StoreUnavailable
from streams.ports.edges import CountedSets
from streams.ports.publishing import FanoutMessage, Outbox
from streams.stores.memory.stores import memory_stores
from tests.worlds.flaky_stores import FlakyStores, Moment, fail
from topics.catalogue import Lane

PHOTO = 9
AUTHOR = UserId(7)


@pytest.fixture
def flaky() -> FlakyStores:
    return FlakyStores(memory_stores(clock_ms=lambda: 1_800_000_000_000))


@dataclass
class Backfills(Outbox):
    """Remembers the backfills, and for each request how many followers `AUTHOR` had at that moment."""

    counted_sets: CountedSets
    requested: list[Backfill] = field(default_factory=list)
    followers: list[int] = field(default_factory=list)

    async def fanout(self, messages: Sequence[FanoutMessage], lane: Lane) -> Mapping[int, int]:
        assert lane is Lane.BULK
        self.requested += [message.record for message in messages if isinstance(message.record, Backfill)]
        summaries = await self.counted_sets.summaries(SetKind.FOLLOWERS, [AUTHOR])
        self.followers.append(summaries[AUTHOR].total)
        return {}

    async def edges(self, records: Sequence[EdgeRecord]) -> None:
        raise AssertionError("the writer of counted sets reads this topic; it never writes it")

    async def renditions(self, tasks: Sequence[RenditionTask], lane: Lane) -> None:
        raise AssertionError("the writer of counted sets requests no renditions")


def writer_of(flaky: FlakyStores, outbox: Outbox | None = None) -> SetWriter:
    return SetWriter(
        flaky.stores.counted_sets,
        flaky.stores.cache,
        outbox or Backfills(flaky.real.counted_sets),
        bucket_members_max=1_000,
        backfill_follows_max=1,
        generation=1,
    )


def like(member: int, time_us: int = 1, *, removed: bool = False) -> EdgeRecord:
    return EdgeRecord(SetKind.LIKERS, member, PHOTO, time_us, removed)


def reads(flaky: FlakyStores) -> list[str]:
    """Return the reads of counted sets since the last call of this function."""
    names = [
        moment.operation
        for moment in flaky.moments
        if moment.operation in ("summaries", "read") and not moment.done
    ]
    flaky.moments.clear()
    return names


async def count(flaky: FlakyStores) -> int:
    return (await flaky.real.counted_sets.summaries(SetKind.LIKERS, [PHOTO]))[PHOTO].total


async def test_a_small_set_is_read_once(flaky: FlakyStores) -> None:
    """Later batches use the cached rows, and also count repeated and late events correctly."""
    writer = writer_of(flaky)
    await writer.apply([like(1), like(2)], 0, 2)
    first = reads(flaky)
    await writer.apply([like(2), like(3), like(1, 5, removed=True), like(1, 4)], 2, 6)

    assert first == ["summaries", "read"]
    assert reads(flaky) == []
    assert await count(flaky) == 2


async def test_of_a_larger_set_the_rows_touched_are_read(flaky: FlakyStores) -> None:
    """The set's rows are not cached, but its summary is."""
    writer = writer_of(flaky)
    await writer.apply([like(member) for member in range(1, KNOWN_ROWS_MAX + 2)], 0, 33)
    reads(flaky)
    await writer.apply([like(1), like(100)], 33, 35)

    assert reads(flaky) == ["read"]
    assert await count(flaky) == KNOWN_ROWS_MAX + 2


@pytest.mark.parametrize("done", [False, True])
async def test_after_a_write_without_an_answer_nothing_is_known(flaky: FlakyStores, done: bool) -> None:
    """The write may have been carried out or not, so the next batch reads the database again."""
    writer = writer_of(flaky)
    await writer.apply([like(1)], 0, 1)

    async def at(moment: Moment) -> None:
        if (moment.operation, moment.done) == ("write", done):
            fail(moment)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flaky, "at", at)
        with pytest.raises(StoreUnavailable):
            await writer.apply([like(2)], 1, 2)
    reads(flaky)
    await writer.apply([like(2)], 1, 2)

    assert reads(flaky) == ["summaries", "read"]
    assert await count(flaky) == 2


async def test_a_large_batch_lets_others_run_while_it_is_folded(flaky: FlakyStores) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    writer = writer_of(flaky)
    changes = {
        (SetKind.LIKERS, owner): [Change(1, Membership(time_us=1, removed=False))]
        for owner in range(10 * FOLDED_AT_ONCE)
    }
    summaries = await writer._summaries(changes)
    running = asyncio.create_task(others())
    await asyncio.sleep(0)
    before = turns
    await writer._fold(summaries, changes)
    running.cancel()
    assert turns - before >= 10


async def test_a_backfill_is_requested_after_its_follower_is_written(flaky: FlakyStores) -> None:
    """A backfill skips an owner who does not follow the author: requested first, it would do nothing."""
    backfills = Backfills(flaky.real.counted_sets)
    writer = writer_of(flaky, backfills)
    follows = [EdgeRecord(SetKind.FOLLOWERS, member, AUTHOR, 1, removed=False) for member in (1, 2)]
    await writer.apply(follows, 0, 2)

    assert [Backfill(((UserId(member), AUTHOR),)) for member in (1, 2)] == backfills.requested
    assert [2] == backfills.followers


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("planted_stamp", [5, 1_790_000_000_000_000])
async def test_a_recount_writes_what_the_rows_say(flaky: FlakyStores, level: int, planted_stamp: int) -> None:
    """Also if somebody wrote a wrong count by hand, with a time as its stamp. Later batches go on."""
    writer = writer_of(flaky)
    writer.bucket_members_max = 1_000 if level == 0 else 2
    await writer.apply([like(member) for member in range(1, 6)], 0, 5)
    key = BucketKey(SetKind.LIKERS, PHOTO, level, 0)
    stored = (await flaky.real.counted_sets.bucket(key)).count
    summary = SetSummary(level=level, total=99)
    first = BucketKey(SetKind.LIKERS, PHOTO, 0, 0)
    await flaky.real.counted_sets.write(
        [
            BucketWrite(key, {}, count=99, summary=None, stamp=1 << 48 | planted_stamp),
            BucketWrite(first, {}, count=None, summary=summary, stamp=1 << 48 | planted_stamp),
        ]
    )
    for _ in range(2):
        await writer.recount([key], 6)

        assert (await flaky.real.counted_sets.bucket(key)).count == stored
        assert await count(flaky) == 5
    await writer.apply([like(6), like(7)], 6, 8)

    assert await count(flaky) == 7


async def test_a_recount_of_an_earlier_level_does_nothing(flaky: FlakyStores) -> None:
    """The set was copied since the record was written, and the copy was counted."""
    writer = writer_of(flaky)
    writer.bucket_members_max = 2
    await writer.apply([like(member) for member in range(1, 6)], 0, 5)
    flaky.moments.clear()
    await writer.recount([BucketKey(SetKind.LIKERS, PHOTO, 0, 0)], 6)

    assert "write" not in {moment.operation for moment in flaky.moments}
    assert await count(flaky) == 5


async def test_a_set_that_grows_after_a_change_by_hand_goes_on_counting(flaky: FlakyStores) -> None:
    """Its total has the stamp of the change, and the copy's total must not lose against it."""
    writer = writer_of(flaky)
    writer.bucket_members_max = 3
    await writer.apply([like(1), like(2)], 0, 2)
    first = BucketKey(SetKind.LIKERS, PHOTO, 0, 0)
    planted = BucketWrite(
        first, {}, count=None, summary=SetSummary(level=0, total=99), stamp=1_790_000_000_000_000
    )
    await flaky.real.counted_sets.write([planted])
    await writer.recount([first], 3)
    await writer.apply([like(3), like(4)], 3, 5)
    await writer.apply([like(5)], 5, 6)

    assert await count(flaky) == 5
