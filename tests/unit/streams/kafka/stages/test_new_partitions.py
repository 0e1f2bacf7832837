"""A partition that was just assigned is verified at once: until then feed pages are `partial`."""

import asyncio

from bench.traffic.waiting import eventually
from tests.unit.streams.kafka.stages.test_redis_checkpoints import with_checkpoints

# Longer than the test waits.
WATCH_S = 600.0


async def test_a_new_partition_does_not_wait_for_the_next_look() -> None:
    worker = await with_checkpoints(p0=4)
    worker.commit(0, 6)
    worker.owned = set()
    worker.checkpoints.watch_s = WATCH_S
    watching = asyncio.create_task(worker.checkpoints.watch())
    await asyncio.sleep(0)  # The first look, which finds no partition.
    worker.owned = {0}

    assert not worker.checkpoints.is_verified()
    await eventually("it is verified", worker.checkpoints.is_verified)
    watching.cancel()

    assert worker.applied == [(0, 4), (0, 5)]
