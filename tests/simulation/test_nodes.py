"""One server of timelines that is away, slow or older delays its own readers, and loses nothing."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.simulation.nodes import READERS, Step, World

names = st.sampled_from(
    [
        *("post", "post", "post", "follow", "handle", "handle", "handle", "handle", "zombie", "watch"),
        *("catch up", "catch up", "rebalance", "restart", "kill", "away", "stop", "lost reply"),
        *("dropped", "dropped", "back", "back", "back", "save", "older", "expire", "poll", "poll"),
        *("later", "read", "read"),
    ]
)
numbers = st.integers(0, 11)
steps = st.lists(st.tuples(names, numbers, numbers), min_size=20, max_size=80)


def schedule_of(*texts: str) -> list[Step]:
    """Return steps from texts such as `handle 0 3`; numbers that are left out are 0."""
    words = [text.split() for text in texts]
    return [(" ".join(word for word in some if not word.isdigit()), *_numbers(some)) for some in words]


def _numbers(words: Sequence[str]) -> tuple[int, int]:
    one, two = ([int(word) for word in words if word.isdigit()] + [0, 0])[:2]
    return one, two


# The readers of places 0, 2, 4 and so on have timelines from the start.
READ_ALL = [f"read 0 {place}" for place in range(0, 12, 2)]


@pytest.mark.law("L15")
@pytest.mark.law("L8")
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(schedule=steps)
@example(  # A server lacks a batch, and responds again when the checkpoint is stored.
    schedule=schedule_of("post", "dropped 0", "handle 0 3")
)
@example(  # Its readers' pages are not complete until it has caught up.
    schedule=schedule_of(
        "post", "handle 0 3", "poll", "away 0", "post", "handle 0 3", "back 0", "later 0 6", "poll", *READ_ALL
    )
)
@example(  # A worker that had the partition before does not know what the other one left out.
    schedule=schedule_of(
        *("post", "handle", "rebalance", "away 1", "post", "handle 0 3", "back 1", "rebalance", "post"),
        *("handle 0 3", "catch up 0", "catch up 1"),
    )
)
@example(  # Two servers are behind, one more than the other.
    schedule=schedule_of(
        *("post", "away 0", "handle", "post", "back 0", "away 1", "handle", "post", "handle"),
        *("back 1", "watch", "catch up"),
    )
)
@example(  # What a server that stood still was sent arrives after it has caught up.
    schedule=schedule_of(
        "post", "post", "stop 0", "handle", "handle", "save 0", "back 0", "catch up", "post", "handle"
    )
)
@example(  # A replica without the last batch takes over before its checkpoint is stored.
    schedule=schedule_of("post", "handle", "save 1", "post", "away 1", "handle", "older 1", "post", "handle")
)
@example(  # A server is away while a backfill of the version before is applied again.
    schedule=schedule_of(
        *("kill", "post 5 7", "lost reply 1", "stop 8", "zombie 0 2", "follow 11 7", "handle 11 11"),
        *("rebalance", "post 7 5", "handle 10 10", "lost reply 1", "away 7", "back 0", "handle 1 11"),
    )
)
async def test_no_page_lies_and_nothing_is_lost_whatever_a_server_does(schedule: Sequence[Step]) -> None:
    """Nor whatever happens to the workers meanwhile."""
    world = World()
    await world.begin()
    await world.take(("watch", 0, 0))
    await world.take(("catch up", 0, 0))
    for reader in READERS[::2]:
        await world.read(reader)
    for step in schedule:
        await world.take(step)
    await world.come_to_rest()
    await world.check()
