"""Up to when follows are backfilled, and what a page does with it."""

import pytest

from api.reading.follow_poller import EARLIER_MS_MAX, FollowPoller
from streams.core.feed import Completeness
from streams.errors import StoreUnavailable
from streams.roles import Role, group_of
from tests.worlds.api import make_world
from topics.catalogue import EDGES, FOLLOWS

READER = 10


class Logs:
    """Logs that are applied once `is_applied`."""

    is_applied = False

    async def is_done(self) -> bool:
        return self.is_applied


async def test_what_is_applied_was_there_when_the_look_began() -> None:
    logs, now_ms = Logs(), 100_000
    poller = FollowPoller(lambda: logs, lambda: now_ms, lambda: True)
    await poller.refresh()
    assert poller.backfilled_ms() is None

    now_ms, logs.is_applied = 200_000, True
    await poller.refresh()
    assert poller.backfilled_ms() == 100_000 - EARLIER_MS_MAX
    await poller.refresh()
    assert poller.backfilled_ms() == 200_000 - EARLIER_MS_MAX


async def test_nothing_is_known_while_the_clock_is_wrong() -> None:
    """It is an hour ahead when a walk begins; what was followed a minute ago would seem to be backfilled."""
    logs, now_ms, is_right = Logs(), 100_000, True
    logs.is_applied = True
    poller = FollowPoller(lambda: logs, lambda: now_ms, lambda: is_right)
    now_ms, is_right = now_ms + 3_600_000, False
    await poller.refresh()
    assert poller.backfilled_ms() is None

    now_ms, is_right = now_ms - 3_600_000, True
    assert poller.backfilled_ms() is None
    await poller.refresh()
    assert poller.backfilled_ms() == now_ms - EARLIER_MS_MAX


async def test_a_follow_behind_an_open_transaction_is_not_backfilled() -> None:
    """An upstream app's transaction holds the API's own record back."""
    world = await make_world()
    await world.page(READER)
    await world.later(30)
    world.log_ends.held_back_of[FOLLOWS.name, 0] = 2
    await world.post(1, 2)
    await world.follow(READER, 2)
    await world.later(3_600)

    page = await world.page(READER)
    assert (page.ids, page.completeness) == ([1], Completeness.COMPLETE)


async def test_a_followee_is_merged_until_the_edge_is_counted() -> None:
    world = await make_world()
    await world.page(READER)
    await world.later(30)
    world.log_ends.end_of[EDGES.name, 0] = 1
    await world.post(1, 2)
    await world.follow(READER, 2)
    await world.later(3_600)

    page = await world.page(READER)
    assert (page.ids, page.completeness) == ([1], Completeness.COMPLETE)
    world.log_ends.commit_of[group_of(world.settings.namespace, Role.EDGES), EDGES.name, 0] = 1
    await world.later(1)
    await world.later(1)
    # The edge is counted, so its backfill has been there; in this test nobody has made it.
    assert (await world.page(READER)).ids == []


async def test_no_page_is_complete_before_a_process_knows_how_far_follows_are() -> None:
    world = await make_world()
    await world.page(READER)
    assert (await world.page(READER)).completeness is Completeness.COMPLETE

    def away() -> Logs:
        raise StoreUnavailable("kafka", "offsets", "no brokers")

    follows = world.services.feed.sources.follows
    follows.walk, follows._applied_ms = away, None
    with pytest.raises(StoreUnavailable):
        await follows.refresh()
    assert (await world.page(READER)).completeness is Completeness.PARTIAL
