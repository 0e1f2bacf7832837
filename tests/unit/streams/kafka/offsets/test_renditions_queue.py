"""The queue of renditions is counted from the broker's offsets, and an old count is never used."""

import asyncio

import pytest

from streams.errors import StoreUnavailable
from streams.kafka.offsets.renditions_queue import AGE_S_MAX, FRESH_S, RenditionsQueue
from streams.roles import RENDITION_LANES
from tests.worlds.kafka import LOCAL, FakeOffsets
from topics.catalogue import RENDITIONS, Lane

TOPIC = "t.renditions"
THUMBNAILS, FULLS = LOCAL.range_of(RENDITIONS, Lane.THUMBNAIL), LOCAL.range_of(RENDITIONS, Lane.FULL)


async def test_a_full_task_counts_as_three() -> None:
    """A lane counts what its own group has not committed; a full task makes three renditions."""
    offsets = FakeOffsets()
    offsets.end_of[TOPIC, THUMBNAILS[0]] = 110
    offsets.commit_of["t.renditions-thumbnail", TOPIC, THUMBNAILS[0]] = 100
    offsets.end_of[TOPIC, FULLS[0]] = 20
    offsets.commit_of["t.renditions-full", TOPIC, FULLS[0]] = 18
    # A commit of the other lane's group does not count.
    offsets.end_of[TOPIC, FULLS[1]] = 5
    offsets.commit_of["t.renditions-thumbnail", TOPIC, FULLS[1]] = 5

    assert await RenditionsQueue(offsets, namespace="t.", sizes=lambda: LOCAL).queued() == 10 + 3 * 2 + 3 * 5


async def test_a_count_is_used_while_it_is_fresh() -> None:
    """After that the broker is asked again, once for all who ask."""
    now_s = [0.0]
    offsets = FakeOffsets()
    queue = RenditionsQueue(offsets, namespace="t.", sizes=lambda: LOCAL, clock_s=lambda: now_s[0])
    await queue.queued()
    questions, offsets.end_of[TOPIC, THUMBNAILS[0]] = offsets.questions, 4
    now_s[0] = FRESH_S

    assert await queue.queued() == 0
    now_s[0] += 0.1
    assert await asyncio.gather(*(queue.queued() for _ in range(3))) == [4, 4, 4]
    assert offsets.questions == 2 * questions


async def test_an_old_count_is_used_for_seconds_while_the_broker_is_down() -> None:
    """Callers do not all wait for it: it is asked once a second. Then the call raises instead of guessing."""
    now_s = [0.0]
    offsets = FakeOffsets()
    queue = RenditionsQueue(offsets, namespace="t.", sizes=lambda: LOCAL, clock_s=lambda: now_s[0])
    await queue.queued()
    offsets.is_down, offsets.end_of[TOPIC, THUMBNAILS[0]] = True, 4
    questions, now_s[0] = offsets.questions, AGE_S_MAX - 0.1

    assert [await queue.queued() for _ in range(3)] == [0, 0, 0]
    assert offsets.questions == questions + len(RENDITION_LANES)
    now_s[0] += 0.2
    with pytest.raises(StoreUnavailable):
        await queue.queued()
    offsets.is_down = False
    assert await queue.queued() == 4
