"""The cleaning job runs periodically, and continues after a store was unavailable."""

import asyncio

from prometheus_client import REGISTRY

from tests.worlds.abandoned import Half, leave
from tests.worlds.cleaning import DAY_MS, HOUR_MS, CleaningWorld
from tests.worlds.flaky_stores import FlakyStores, Moment, fail


async def test_it_goes_on_after_a_store_that_did_not_answer() -> None:
    """After a failure the job retries within a minute; after a success it waits for an hour."""
    world = CleaningWorld()
    asked, ended = 0, asyncio.Event()

    async def at(moment: Moment) -> None:
        nonlocal asked
        if (moment.store, moment.done) == ("uploads", False):
            asked += 1
            if asked <= 3:
                fail(moment)
        if (moment.store, moment.operation, moment.done) == ("missing_objects", "all", True):
            ended.set()

    job = asyncio.create_task(world.job(FlakyStores(world.stores, at).stores, retry_s=0).run())
    try:
        await asyncio.wait_for(ended.wait(), timeout=10)
        for _ in range(100):
            await asyncio.sleep(0)

        assert not job.done()
        assert asked == 4
    finally:
        job.cancel()


async def test_a_pass_is_measured() -> None:
    """The metrics say what was found and removed, and when the pass ended."""
    world = CleaningWorld()
    await leave(world.stores, world.keys, world.mint(), Half.ROW_ONLY, part=b"x")
    world.now_ms += HOUR_MS
    for _ in range(3):
        await world.put(world.keys.original(world.mint(age_ms=DAY_MS)), age_ms=DAY_MS, body=b"four")
    kind = {"kind": "object_without_row"}
    found, settled = (f"shutterline_cleaning_{what}_total" for what in ("found", "settled"))
    before = sample(found, kind), sample(settled, kind), sample("shutterline_cleaning_removed_bytes_total")

    await world.clean()

    assert 1 == sample("shutterline_uploads_unfinished")
    assert (3, 3, 12) == (
        sample(found, kind) - before[0],
        sample(settled, kind) - before[1],
        sample("shutterline_cleaning_removed_bytes_total") - before[2],
    )
    assert world.now_ms / 1_000 == sample("shutterline_cleaning_ended_timestamp_seconds")


def sample(name: str, labels: dict[str, str] | None = None) -> float:
    """A metric's value now."""
    return REGISTRY.get_sample_value(name, labels) or 0.0
