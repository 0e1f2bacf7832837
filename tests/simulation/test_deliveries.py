"""Law: complete means delivered, whatever is pushed, pulled or deferred, and however late the lanes are.

Authors cross the threshold between push and pull, one follower at a time or by a crowd, followers come
and go, photos are deleted, the breaker opens and closes, lanes stand still, the settler is replaced,
servers of the cache hang and go on with what they had, and workers are killed at any call, after which
what they had begun is handled again. Hypothesis looks for a schedule after which a page shows a photo
twice, a ghost, or claims to be complete without a photo that has been ready for more than five seconds;
or after which a feed, a count or the state of an author is wrong at the end.
"""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.simulation.caches import world_of_two
from tests.simulation.pipeline import AUTHORS, READERS, RECENT_FOLLOW_S, Step, World
from topics.catalogue import Lane

edges = st.lists(st.tuples(st.sampled_from(READERS), st.sampled_from(AUTHORS)), min_size=4, unique=True)
numbers = st.integers(0, 11)
names = st.sampled_from(
    [
        *("follow", "unfollow", "crowd", "count", "post", "post", "delete", "breaker", "apply", "apply"),
        *(
            "settle",
            "settle",
            "restart",
            "later",
            "later",
            "much later",
            "read",
            "read",
            "kill",
            "kill",
            "retry",
            "hang",
            "go on",
            "go on",
            "look",
            "look",
        ),
    ]
)
steps = st.lists(st.tuples(names, numbers, numbers), min_size=12, max_size=60)


@pytest.mark.law("L15")
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(network=edges, schedule=steps, starts_open=st.booleans())
@example(  # A page merges a new followee until the edge is counted, however long that takes.
    network=[(10, 3), (11, 2), (12, 2), (13, 2)],
    schedule=[
        ("post", 0, 0),
        ("apply", 0, 11),
        ("later", 0, 7),
        ("follow", 0, 0),
        ("much later", 0, 0),
        ("much later", 0, 0),
        ("read", 0, 0),
        ("count", 0, 0),
        ("much later", 0, 0),
        ("read", 0, 0),
    ],
    starts_open=False,
)
@example(  # And until a lane that is late makes pages `partial`.
    network=[(10, 3), (11, 2), (12, 2), (13, 2)],
    schedule=[
        ("post", 0, 0),
        ("apply", 0, 11),
        ("later", 0, 7),
        ("follow", 0, 0),
        ("later", 0, 3),
        ("read", 0, 0),
    ],
    starts_open=False,
)
@example(  # A server has an author's old list, and goes on with it.
    network=[(10, 3), (11, 2), (12, 2), (13, 2)],
    schedule=[
        *(("post", 1, 0), ("read", 0, 0), ("hang", 0, 0), ("hang", 1, 0), ("post", 1, 0), ("apply", 0, 11)),
        *(
            ("later", 0, 2),
            ("later", 0, 2),
            ("later", 0, 9),
            ("go on", 0, 0),
            ("go on", 1, 0),
            ("read", 0, 0),
        ),
        *(("look", 0, 0), ("look", 0, 0), ("later", 0, 2), ("read", 0, 0)),
    ],
    starts_open=False,
)
async def test_no_page_lies_whatever_happens(
    network: Sequence[tuple[int, int]], schedule: Sequence[Step], starts_open: bool
) -> None:
    """Nor at the end, when every timeline has what its owner follows."""
    world = World(*await world_of_two(recent_follow_s=RECENT_FOLLOW_S), is_breaker_open=starts_open)
    for reader, author in network:
        await world.follow(reader, author, removed=False)
    await world.count()
    await world.apply(Lane.BULK, len(network))
    await world.later(RECENT_FOLLOW_S + 1)
    for reader in READERS[::2]:  # These have a timeline from the start.
        await world.read(reader)
    for step in schedule:
        await world.take(step)
    await world.come_to_rest()
    await world.later(10)
    await world.check()
