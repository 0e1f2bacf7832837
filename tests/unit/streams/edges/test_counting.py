"""What the writer of counted sets asks the database, and what it remembers instead.

That its counts are exact whatever happens is looked for in `tests/simulation`.
"""

from unittest.mock import AsyncMock

import pytest

from schemas.internal import EdgeRecord, SetKind
from streams.edges.counting import KNOWN_ROWS_MAX, SetWriter
from streams.errors import StoreUnavailable
from streams.stores.memory.stores import memory_stores
from tests.worlds.flaky_stores import FlakyStores, Moment, fail

PHOTO = 9


@pytest.fixture
def flaky() -> FlakyStores:
    return FlakyStores(memory_stores(clock_ms=lambda: 1_800_000_000_000))


def writer_of(flaky: FlakyStores) -> SetWriter:
    return SetWriter(
        flaky.stores.counted_sets,
        flaky.stores.cache,
        AsyncMock(),
        bucket_members_max=1_000,
        backfill_follows_max=1,
        generation=1,
    )


def like(member: int, time_us: int = 1, *, removed: bool = False) -> EdgeRecord:
    return EdgeRecord(SetKind.LIKERS, member, PHOTO, time_us, removed)


def reads(flaky: FlakyStores) -> list[str]:
    """The reads of counted sets since the last look."""
    names = [
        each.operation for each in flaky.moments if each.operation in ("summaries", "read") and not each.done
    ]
    flaky.moments.clear()
    return names


async def count(flaky: FlakyStores) -> int:
    return (await flaky.real.counted_sets.summaries(SetKind.LIKERS, [PHOTO]))[PHOTO].total


async def test_a_small_set_is_read_once(flaky: FlakyStores) -> None:
    """Later batches know its rows: also an event that comes again, or too late, is counted right."""
    writer = writer_of(flaky)
    await writer.apply([like(1), like(2)], 0, 2)
    first = reads(flaky)
    await writer.apply([like(2), like(3), like(1, 5, removed=True), like(1, 4)], 2, 6)

    assert first == ["summaries", "read"]
    assert reads(flaky) == []
    assert await count(flaky) == 2


async def test_of_a_larger_set_the_rows_touched_are_read(flaky: FlakyStores) -> None:
    """Its head is known all the same."""
    writer = writer_of(flaky)
    await writer.apply([like(member) for member in range(1, KNOWN_ROWS_MAX + 2)], 0, 33)
    reads(flaky)
    await writer.apply([like(1), like(100)], 33, 35)

    assert reads(flaky) == ["read"]
    assert await count(flaky) == KNOWN_ROWS_MAX + 2


@pytest.mark.parametrize("done", [False, True])
async def test_after_a_write_without_an_answer_nothing_is_known(flaky: FlakyStores, done: bool) -> None:
    """Whether it was carried out or not: the database says."""
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
