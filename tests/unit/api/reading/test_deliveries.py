"""Pages say what is missing while deliveries are behind, and miss nothing that can be read elsewhere."""

import pytest

from schemas.ids import PhotoId, UserId
from schemas.internal import FanoutPage
from streams.core.delivery import DeliveryLimits
from streams.core.feed import Completeness
from streams.errors import StoreUnavailable
from streams.photos.ready import ReadyPhoto, photos_ready
from streams.ports.publishing import Outbox
from tests.worlds.api import RENDITIONS, Page, World, make_world
from tests.worlds.flaky_stores import FlakyStores, Killed, Moment
from tests.worlds.kafka import LOCAL
from tests.worlds.renditions import LIMITS, Log
from topics.catalogue import FANOUT, Lane

READER = 1
EVERYBODY_IS_A_PUSHED_CELEBRITY = DeliveryLimits(
    pull_followers_min=0, push_again_followers_max=-1, celebrity_push_followers_max=10
)


def shown(page: Page) -> tuple[list[int], Completeness]:
    return page.ids, page.completeness


async def ready(world: World, photo: int, author: int, outbox: Outbox, *, limits: DeliveryLimits) -> None:
    photos = [ReadyPhoto(PhotoId(photo), UserId(author), RENDITIONS)]
    await photos_ready(world.stores, outbox, photos, limits=limits, sizes=LOCAL, now_ms=world.clock.ms)


@pytest.mark.parametrize("dies_at", ["invalidate", "edges", "fanout", "end"])
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
            limits=LIMITS,
            sizes=LOCAL,
            now_ms=world.clock.ms,
        )
    for _ in range(4):
        await world.later(1)
    assert ([9], Completeness.COMPLETE) == shown(await world.page(READER))

    await ready(world, 9, 2, outbox, limits=LIMITS)
    assert {} == await world.stores.undelivered.all()


async def test_a_bulk_lane_that_is_behind_makes_no_page_partial() -> None:
    """Posts of its authors are pulled as well, so even their followers miss nothing."""
    world = await make_world()
    await world.follow(READER, 2)
    await world.follow(READER, 3)
    await world.later(120)
    await world.page(READER)
    await world.post(8, 3, followers=(READER,))
    await world.upload(9, 2)
    outbox = Log()
    await ready(world, 9, 2, outbox, limits=EVERYBODY_IS_A_PUSHED_CELEBRITY)
    assert any(isinstance(record, FanoutPage) for record in outbox.fanout_log)
    world.log_ends.end_of[FANOUT.name, LOCAL.range_of(FANOUT, Lane.BULK).start] = 1

    for _ in range(9):
        await world.later(1)
    assert ([9, 8], Completeness.COMPLETE) == shown(await world.page(READER))


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
