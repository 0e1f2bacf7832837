"""The queue of renditions is counted as the broker says, and never from an old answer."""

import pytest

from streams.errors import StoreUnavailable
from streams.kafka.offsets.renditions_queue import AGE_S_MAX, RenditionsQueue
from topics.catalogue import RENDITIONS, Lane

pytestmark = pytest.mark.anyio
Place = tuple[str, int]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class FakeOffsets:
    """A broker's offsets by partition of `renditions`; `down` answers nothing."""

    def __init__(self) -> None:
        self.begin = dict.fromkeys(range(RENDITIONS.partitions), 0)
        self.end = dict.fromkeys(range(RENDITIONS.partitions), 0)
        self.commits: dict[tuple[str, int], int] = {}
        self.down = False
        self.asked = 0

    async def committed(self, group: str, topic: str, partitions: range) -> dict[int, int]:
        self._ask(topic)
        return {each: self.commits[group, each] for each in partitions if (group, each) in self.commits}

    async def begins(self, places: list[Place]) -> dict[Place, int]:
        return {place: self.begin[place[1]] for place in places}

    async def ends(self, places: list[Place]) -> dict[Place, int]:
        return {place: self.end[place[1]] for place in places}

    def _ask(self, topic: str) -> None:
        assert topic == "t.renditions"
        self.asked += 1
        if self.down:
            raise StoreUnavailable("kafka", "committed", "down")


async def test_a_full_task_counts_as_three() -> None:
    """End less commit, by the lane's own group; without a commit all that the log still holds."""
    offsets = FakeOffsets()
    thumbnail, full = RENDITIONS.range_of(Lane.THUMBNAIL), RENDITIONS.range_of(Lane.FULL)
    offsets.end[thumbnail[0]], offsets.commits["t.renditions-thumbnail", thumbnail[0]] = 110, 100
    offsets.end[thumbnail[1]], offsets.begin[thumbnail[1]] = 50, 43
    offsets.end[full[0]], offsets.commits["t.renditions-full", full[0]] = 20, 18
    offsets.end[full[1]], offsets.commits["t.renditions-thumbnail", full[1]] = 5, 5

    assert await RenditionsQueue(offsets, namespace="t.").queued() == 10 + 7 + 3 * 2 + 3 * 5


async def test_commits_outside_the_log_count_nothing_twice() -> None:
    """Past the end: nothing waits. Before the beginning: what is gone does not wait."""
    offsets = FakeOffsets()
    offsets.end[0], offsets.commits["t.renditions-thumbnail", 0] = 10, 12
    offsets.begin[1], offsets.end[1], offsets.commits["t.renditions-thumbnail", 1] = 90, 100, 50

    assert await RenditionsQueue(offsets, namespace="t.").queued() == 10


async def test_an_answer_counts_while_it_is_fresh() -> None:
    """Then the broker is asked again; where it does not say, nobody is told a number."""
    now = [0.0]
    offsets = FakeOffsets()
    queue = RenditionsQueue(offsets, namespace="t.", clock_s=lambda: now[0])
    await queue.queued()
    offsets.down, offsets.end[0] = True, 4
    now[0] = AGE_S_MAX

    assert await queue.queued() == 0
    now[0] += 0.1
    with pytest.raises(StoreUnavailable):
        await queue.queued()
    offsets.down = False
    assert await queue.queued() == 4
