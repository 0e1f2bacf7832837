"""A batch of ready photos: what it asks of the stores, and deletes meanwhile."""

from itertools import count

import pytest

from schemas.facts import Rendition
from schemas.ids import PhotoId
from streams.photos.uploaded import photos_uploaded
from streams.stores.memory.stores import memory_stores
from tests.worlds.flaky_stores import FlakyStores, Moment
from tests.worlds.renditions import DELETED, LIMITS, NOW_MS, PHOTO, UPLOADED, Log, Message, World

WITH_THUMBNAIL = UPLOADED.model_copy(
    update={"renditions": {"thumbnail": Rendition(object_key="theirs/t.jpg", width=150, height=100)}}
)


async def test_a_batch_writes_its_rows_twice_and_reads_them_once() -> None:
    """Facts, then rows and tombstones, then status, renditions and delivery in one statement a photo."""
    flaky = FlakyStores(memory_stores(clock_ms=lambda: NOW_MS))
    uploads = [WITH_THUMBNAIL.model_copy(update={"photo_id": PhotoId(PHOTO + n)}) for n in range(20)]
    await photos_uploaded(flaky.stores, Log(), uploads, limits=LIMITS, now_ms=NOW_MS, original_poll_ms=2_000)

    calls = [moment.operation for moment in flaky.moments if moment.store == "photos" and not moment.done]
    assert calls == ["insert", "get", "tombstones", "mark_ready"]


@pytest.mark.law("L3")
@pytest.mark.parametrize(
    ("first", "second"), [(WITH_THUMBNAIL, DELETED), (DELETED, WITH_THUMBNAIL)], ids=["upload", "delete"]
)
async def test_a_delete_hides_a_photo_that_comes_ready_meanwhile(first: Message, second: Message) -> None:
    """Before and after every call of one handler, the other handler runs completely."""
    seen = 0
    for number, done in ((number // 2, bool(number % 2)) for number in count()):
        world, happened = World(objects={}), False

        async def at(moment: Moment, world: World = world, wanted: tuple[int, bool] = (number, done)) -> None:
            nonlocal happened
            if not happened and (moment.number, moment.done) == wanted:
                happened = True
                undisturbed = World(objects={})
                undisturbed.real = undisturbed.stores = world.real
                undisturbed.log = undisturbed.outbox = world.log
                await undisturbed.handle(second)

        flaky = FlakyStores(world.real, at)
        world.stores, world.outbox = flaky.stores, flaky.around("outbox", world.log)
        await world.handle(first)
        if not happened:
            break
        end = await world.end_state()
        assert (True, (), 0) == (end.deleted, end.listed, end.ready_total), f"at call {number}, {done}"
        seen += 1
    assert seen > 3
