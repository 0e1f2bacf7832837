"""Pages say what is missing while deliveries are behind, and miss nothing that can be read elsewhere."""

from collections.abc import Sequence

import pytest

from schemas.ids import PhotoId, UserId
from streams.core.checkpoints import group_of
from streams.core.delivery import DeliveryLimits, DeliveryRules, Overload
from streams.core.feed import Completeness
from streams.errors import StoreUnavailable
from streams.photos.ready import ReadyPhoto, photos_ready
from streams.ports.publishing import Outbox
from streams.stores.memory.stores import memory_stores
from tests.simulation.caches import world_of_two
from tests.worlds.api import NOW_MS, RENDITIONS, Page, World, make_world, make_world_of
from tests.worlds.deliveries import rules_of
from tests.worlds.flaky_stores import FlakyStores, Killed, Moment
from tests.worlds.kafka import LOCAL
from tests.worlds.renditions import RULES, Log
from topics.catalogue import FANOUT

READER = 1
BREAKER_IS_OPEN = rules_of(DeliveryLimits(), Overload(is_breaker_open=True))


def shown(page: Page) -> tuple[list[int], Completeness]:
    return page.ids, page.completeness


async def ready(world: World, photo: int, author: int, outbox: Outbox, *, rules: DeliveryRules) -> None:
    photos = [ReadyPhoto(PhotoId(photo), UserId(author), RENDITIONS)]
    await photos_ready(world.stores, outbox, photos, delivery_rules=rules, sizes=LOCAL, now_ms=world.clock.ms)


@pytest.mark.law("L15")
@pytest.mark.parametrize("dies_at", ["invalidate_reachable", "edges", "fanout", "end"])
async def test_a_photo_whose_worker_died_before_it_delivered_is_on_complete_pages(dies_at: str) -> None:
    """Its author counts as pulled until another worker has delivered it, which takes 10 s and more."""
    world = await make_world()
    await world.follow(READER, 2)
    await world.later(120)
    await world.upload(9, 2)
    await world.page(READER)
    await world.page(2)  # Both the photo and its author's list are cached as they are now.
    outbox = Log()

    async def dies(moment: Moment) -> None:
        if moment.operation == dies_at:
            raise Killed

    flaky = FlakyStores(world.stores, dies)
    with pytest.raises(Killed):
        await photos_ready(
            flaky.stores,
            flaky.around("outbox", outbox),
            [ReadyPhoto(PhotoId(9), UserId(2), RENDITIONS)],
            delivery_rules=RULES,
            sizes=LOCAL,
            now_ms=world.clock.ms,
        )
    for _ in range(4):
        await world.later(1)
    assert ([9], Completeness.COMPLETE) == shown(await world.page(READER))

    await ready(world, 9, 2, outbox, rules=RULES)
    assert {} == await world.stores.undelivered.all()


@pytest.mark.law("L15")
async def test_a_deferred_photo_is_on_the_pages_of_followers_and_its_author() -> None:
    """Within a second, and nobody else's. Its author is not pulled, and nothing was published."""
    world = await make_world()
    for reader, followee in ((READER, 2), (READER, 3), (5, 3)):
        await world.follow(reader, followee)
    await world.later(120)
    for reader in (READER, 2, 5):
        await world.page(reader)
    await world.post(8, 3, followers=(READER, 5))
    await world.upload(9, 2)
    outbox = Log()
    await ready(world, 9, 2, outbox, rules=BREAKER_IS_OPEN)
    assert not outbox.fanout_log
    assert frozenset() == await world.stores.pulled_authors.all()

    for _ in range(9):
        await world.later(1)
    assert ([9, 8], Completeness.COMPLETE) == shown(await world.page(READER))
    assert ([9], Completeness.COMPLETE) == shown(await world.page(2))
    assert ([8], Completeness.COMPLETE) == shown(await world.page(5))

    await world.follow(READER, 2, removed=True)
    assert ([8], Completeness.COMPLETE) == shown(await world.page(READER))


@pytest.mark.law("L4")
async def test_a_walk_shows_own_and_followed_deferred_photos_once() -> None:
    """Whatever the sizes of pages. The reader's own ids are among those of others."""
    world = await make_world()
    await world.follow(READER, 2)
    await world.later(120)
    await world.page(READER)
    outbox = Log()
    for photo, author in ((11, READER), (12, 2), (13, READER), (14, 2), (15, 2), (16, READER), (17, 2)):
        await world.upload(photo, author)
        await ready(world, photo, author, outbox, rules=BREAKER_IS_OPEN)
    await world.later(1)

    for limit in (1, 2, 3, 5, 20):
        shown: list[int] = []
        below: int | None = None
        for _ in range(8):
            page = await world.page(READER, limit, below)
            shown, below = shown + page.ids, page.below
            if below is None:
                break
        assert shown == [17, 16, 15, 14, 13, 12, 11]


async def test_no_page_is_complete_while_the_partitions_are_not_known() -> None:
    """An API process that started without Kafka has not compared the topics with its profile."""
    world = await make_world()
    await world.page(READER)

    def unknown() -> range:
        raise StoreUnavailable("kafka", "sizes", "not compared")

    world.services.delivery.partitions = unknown
    with pytest.raises(StoreUnavailable):
        await world.services.delivery.refresh()
    world.clock.ms += 6_000
    await world.services.pulled.refresh()
    assert Completeness.PARTIAL is (await world.page(READER)).completeness


async def grouped_world() -> World:
    """A world whose timelines are in four groups."""
    return await make_world_of(memory_stores(clock_ms=lambda: NOW_MS, timeline_groups=4))


@pytest.mark.law("L15")
async def test_a_server_that_is_away_makes_pages_partial_for_its_own_readers_alone() -> None:
    """The pages of the others are complete, for as long as it takes; when it has caught up, all are."""
    world = await grouped_world()
    readers = {group_of(reader, 4): reader for reader in range(10, 40)}
    for reader in readers.values():
        await world.page(reader)
    world.log_ends.end_of[FANOUT.name, 0] = 1
    assert await world.memory.timelines.save_checkpoint(0, 1, expected=0, groups=[0, 1, 3])

    async def of_two_servers(partitions: Sequence[int]) -> Sequence[tuple[Sequence[int], object]]:
        return [([0, 1, 3], dict.fromkeys(partitions, 0) | {0: 1}), ([2], seen)]

    seen: dict[int, int] | None = None
    world.switches["timelines"].checkpoints_by_server = of_two_servers  # type: ignore[attr-defined]
    for _ in range(9):
        await world.later(1)
    pages = {group: (await world.page(reader)).completeness for group, reader in readers.items()}
    assert pages == dict.fromkeys((0, 1, 3), Completeness.COMPLETE) | {2: Completeness.PARTIAL}

    seen = dict.fromkeys(range(8), 0)  # It is back, without the record.
    for _ in range(9):
        await world.later(1)
    assert Completeness.PARTIAL is (await world.page(readers[2])).completeness

    seen[0] = 1
    await world.later(1)
    assert Completeness.COMPLETE is (await world.page(readers[2])).completeness


@pytest.mark.law("L15")
async def test_what_may_be_cached_of_an_undelivered_photo_matters_to_its_readers_alone() -> None:
    """The server that has it does not take the invalidation, so an old list may be read from it."""
    world, cache = await world_of_two()
    await world.follow(READER, 2)
    await world.follow(5, 3)
    await world.later(120)
    await world.upload(9, 2)
    for reader in (READER, 5, 2):
        await world.page(reader)
    await world.stores.undelivered.begin([(PhotoId(9), UserId(2))])
    cache.hangs |= {0, 1}
    for _ in range(9):
        await world.later(1)
    completeness = [(await world.page(reader)).completeness for reader in (READER, 2, 5)]
    assert completeness == [Completeness.PARTIAL, Completeness.PARTIAL, Completeness.COMPLETE]

    cache.hangs.clear()
    await world.later(1)
    assert Completeness.COMPLETE is (await world.page(READER)).completeness
