"""A process knows the deferred posts by reading only what has changed."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.ids import PhotoId, UserId, compose_id, id_ms
from streams.core.delivery import DeliveryReason
from streams.core.overload.deferral import PERIOD_MS, DeferredPost
from streams.errors import StoreUnavailable
from streams.overload.known_posts import STEADY_MS, KnownDeferredPosts
from streams.ports.groups import Stores
from streams.stores.memory.stores import memory_stores
from tests.worlds.flaky_stores import FlakyStores, Moment

NOW_MS = 1_800_000_000_000


LATER = compose_id(id_ms(PhotoId(1)) + PERIOD_MS, 0, 0)  # Ids above it are of the next period.


def post(photo: int, author: int, **fields: object) -> DeferredPost:
    made = DeferredPost(
        photo_id=PhotoId(photo),
        author_id=UserId(author),
        reason=DeliveryReason.BREAKER,
        followers=100,
        ready_ms=NOW_MS,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


@pytest.fixture
def stores() -> Stores:
    return memory_stores(clock_ms=lambda: NOW_MS)


async def test_photos_of_followed_authors_are_found_newest_first(stores: Stores) -> None:
    known = KnownDeferredPosts(stores.deferred, 100, lambda: NOW_MS)
    await stores.deferred.add([post(5, 1), post(7, 2), post(6, 1), post(LATER + 9, 3)])
    await known.refresh()

    assert known.photos_of({1: 0, 2: 0, 4: 0}.keys()) == [7, 6, 5]  # type: ignore[arg-type]
    assert known.photos_of([UserId(3)]) == [LATER + 9]
    assert known.photos_of([UserId(4)]) == []


async def test_only_periods_that_changed_are_read_again(stores: Stores) -> None:
    """And those that disappeared are forgotten."""
    flaky = FlakyStores(stores)
    known = KnownDeferredPosts(flaky.stores.deferred, 100, lambda: NOW_MS)

    async def read() -> int:
        before = len(flaky.moments)
        await known.refresh()
        return sum(moment.operation == "of_period" and not moment.done for moment in flaky.moments[before:])

    old, new = post(5, 1), post(LATER + 6, 2)
    await stores.deferred.add([old, new])
    assert [await read(), await read()] == [2, 0]
    await stores.deferred.save_progress([replace(new, is_sent=True)])
    assert [await read(), await read()] == [1, 0]
    assert list(known.sent) == [LATER + 6]
    await stores.deferred.remove([old])
    await stores.deferred.forget(old.period, (await stores.deferred.periods())[old.period])
    assert await read() == 0
    assert known.photos_of([UserId(1), UserId(2)]) == [LATER + 6]


async def test_a_version_that_is_young_may_hide_a_change(stores: Stores) -> None:
    """A writer whose clock is behind changes no version, so a period is read until its version was old
    when the read began, however long that takes."""
    now_ms = 0  # The versions of the twin are small numbers of microseconds.
    known = KnownDeferredPosts(stores.deferred, 100, lambda: now_ms)
    hidden: Any = stores.deferred
    await stores.deferred.add([post(5, 1)])
    await known.refresh()

    now_ms = STEADY_MS + 20_000  # The process was held up.
    hidden._posts[post(6, 2).period][PhotoId(6)] = post(6, 2)
    assert known.empty_periods() == {}
    await known.refresh()
    assert known.photos_of([UserId(2)]) == [6]

    hidden._posts[post(6, 2).period][PhotoId(7)] = post(7, 2)
    await known.refresh()
    assert known.photos_of([UserId(2)]) == [6]


async def test_posts_are_known_by_what_their_push_waits_for(stores: Stores) -> None:
    """Followers of slow pushes count until they are sent."""
    known = KnownDeferredPosts(stores.deferred, 100, lambda: NOW_MS)
    slow = post(5, 1, reason=DeliveryReason.SLOW_PUSH)
    posts = [
        slow,
        post(6, 1, reason=DeliveryReason.SHED),
        post(7, 1),
        post(8, 1, is_sent=True),
        post(9, 1, reason=DeliveryReason.CELEBRITY_PUSHED, followers=10**9),
    ]
    await stores.deferred.add(posts)
    await stores.deferred.save_progress([posts[3]])
    await known.refresh()

    assert (list(known.due), list(known.postponed), list(known.sent)) == ([5, 9], [6, 7], [8])
    assert known.slow_deliveries == 100
    known.put(replace(slow, is_sent=True))
    assert (list(known.due), sorted(known.sent), known.slow_deliveries) == ([9], [5, 8], 0)
    known.put(post(6, 1, reason=DeliveryReason.SHED, next_bucket=1))
    assert list(known.postponed) == [6, 7]
    known.drop(slow)
    known.put(slow)  # It was removed meanwhile.
    assert known.photos_of([UserId(1)]) == [9, 8, 7, 6]


async def test_what_the_settler_did_since_a_read_stays_known(stores: Stores) -> None:
    """Otherwise a post that was sent would be pushed once more."""
    now_ms = 0  # The period is read at every refresh.
    known = KnownDeferredPosts(stores.deferred, 100, lambda: now_ms)
    await stores.deferred.add([post(5, 1)])
    await known.refresh()
    known.put(post(5, 1, level=1, next_bucket=7))
    await known.refresh()
    assert known.postponed[PhotoId(5)].next_bucket == 7
    known.put(post(5, 1, level=1, next_bucket=16, is_sent=True))
    await known.refresh()
    assert (list(known.postponed), list(known.sent)) == ([], [5])


async def test_a_period_is_empty_only_once_nobody_adds_to_it(stores: Stores) -> None:
    """A writer with a clock that is behind could not list it again."""
    now_ms = 0
    known = KnownDeferredPosts(stores.deferred, 100, lambda: now_ms)
    await stores.deferred.add([post(5, 1)])
    await known.refresh()
    known.drop(post(5, 1))
    assert known.empty_periods() == {}

    await stores.deferred.remove([post(5, 1)])
    now_ms = STEADY_MS + 1
    assert known.empty_periods() == {}
    await known.refresh()
    assert known.empty_periods() == {post(5, 1).period: 1}


async def test_a_post_that_is_deferred_again_has_one_row_and_its_last_reason(stores: Stores) -> None:
    """Its event came twice, perhaps much later."""
    known = KnownDeferredPosts(stores.deferred, 100, lambda: NOW_MS)
    await stores.deferred.add([post(5, 1)])
    await known.refresh()
    again = post(5, 1, reason=DeliveryReason.SLOW_PUSH, ready_ms=NOW_MS + 3_600_000)
    await stores.deferred.add([again])
    await known.refresh()

    assert (list(known.due.values()), list(known.postponed)) == ([again], [])
    assert list(await stores.deferred.periods()) == [again.period]


async def test_only_the_oldest_posts_are_known_if_there_are_too_many(stores: Stores) -> None:
    """Then this process does not claim to know all."""
    known = KnownDeferredPosts(stores.deferred, 2, lambda: NOW_MS)
    periods = [post(1 + n * LATER, 1) for n in range(6)]
    await stores.deferred.add(periods)
    await known.refresh()
    assert (len(known), known.is_whole) == (4, False)  # Periods are read by fours.

    await stores.deferred.remove(periods[:4])
    for each in periods[:4]:
        await stores.deferred.forget(each.period, (await stores.deferred.periods())[each.period])
    await known.refresh()
    assert (len(known), known.is_whole) == (2, True)


async def test_what_was_read_before_a_failure_is_kept(stores: Stores) -> None:
    """A process that starts in the middle gets there by several tries."""
    posts = [post(1 + n * LATER, 1) for n in range(6)]
    await stores.deferred.add(posts)
    reads = 0

    async def at(moment: Moment) -> None:
        nonlocal reads
        if moment.operation == "of_period" and not moment.done:
            reads += 1
            if reads == 6:
                raise StoreUnavailable("cassandra", "read", "slow")

    known = KnownDeferredPosts(FlakyStores(stores, at).stores.deferred, 100, lambda: NOW_MS)
    with pytest.raises(StoreUnavailable):
        await known.refresh()
    assert len(known) == 4
    await known.refresh()
    assert (len(known), reads) == (6, 8)
