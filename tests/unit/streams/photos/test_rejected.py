"""A rejection is counted where the photo's state changes, and nowhere else."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from schemas.envelope import Record
from schemas.events import EventType, claimed_upload, encode_event
from schemas.ids import UserId
from streams.core.photos import Status
from streams.errors import StoreUnavailable
from streams.photos.rejected import photo_rejected, upload_dead_lettered
from streams.photos.uploaded import photos_uploaded
from streams.stores.memory.stores import memory_stores
from tests.worlds.deliveries import PUSHED
from tests.worlds.flaky_stores import FlakyStores, Moment, fail
from tests.worlds.kafka import LOCAL
from tests.worlds.renditions import AUTHOR, NOW_MS, PHOTO, RULES, UPLOADED, Log


def rejections() -> float:
    return REGISTRY.get_sample_value("shutterline_rejected_photos_total", {"reason": "broken"}) or 0.0


async def test_a_repeated_rejection_is_counted_once() -> None:
    """If Kafka delivers a task again, only the removal is queued again."""
    stores, log, before = memory_stores(clock_ms=lambda: NOW_MS), Log(), rejections()
    await photos_uploaded(
        stores, log, [UPLOADED], delivery_rules=RULES, sizes=LOCAL, now_ms=NOW_MS, original_poll_ms=2_000
    )
    for _ in range(3):
        await photo_rejected(stores, log, PHOTO, AUTHOR, "broken")

    assert before + 1 == rejections()
    assert 3 == len(log.waiting)


async def test_a_rejection_that_fails_on_its_way_is_counted() -> None:
    """The row is rejected, then Redis does not respond; the repeat finds the row rejected."""
    stores, log, before = memory_stores(clock_ms=lambda: NOW_MS), Log(), rejections()
    await photos_uploaded(
        stores, log, [UPLOADED], delivery_rules=RULES, sizes=LOCAL, now_ms=NOW_MS, original_poll_ms=2_000
    )

    async def at(moment: Moment) -> None:
        if moment.store == "cache":
            fail(moment)

    with pytest.raises(StoreUnavailable):
        await photo_rejected(FlakyStores(stores, at).stores, log, PHOTO, AUTHOR, "broken")
    await photo_rejected(stores, log, PHOTO, AUTHOR, "broken")

    assert before + 1 == rejections()


REASON = "from_the_future"


async def test_a_photo_whose_event_was_dead_lettered_is_rejected() -> None:
    """Its author sees the reason; repeating it changes nothing."""
    stores, log = memory_stores(clock_ms=lambda: NOW_MS), Log()
    await photos_uploaded(
        stores, log, [UPLOADED], delivery_rules=RULES, sizes=LOCAL, now_ms=NOW_MS, original_poll_ms=2_000
    )
    for reason in (REASON, "invalid_data"):
        await upload_dead_lettered(stores, log, PHOTO, AUTHOR, reason)
    row = (await stores.photos.get([PHOTO]))[PHOTO]

    assert (row.status, row.reason) == (Status.REJECTED, REASON)


async def test_a_row_that_the_api_writes_after_the_dead_letter_is_rejected() -> None:
    """The API publishes first, so the worker may be faster than the API's own write."""
    stores, log = memory_stores(clock_ms=lambda: NOW_MS), Log()
    rejecting = asyncio.create_task(upload_dead_lettered(stores, log, PHOTO, AUTHOR, REASON))
    await asyncio.sleep(0)  # It has looked in vain.
    await photos_uploaded(
        stores, log, [UPLOADED], delivery_rules=RULES, sizes=LOCAL, now_ms=NOW_MS, original_poll_ms=2_000
    )
    await rejecting

    assert (await stores.photos.get([PHOTO]))[PHOTO].status is Status.REJECTED


async def test_a_dead_letter_touches_no_other_photo() -> None:
    """One that is ready, one of another author, one that has no row."""
    stores, log = memory_stores(clock_ms=lambda: NOW_MS), Log()
    await upload_dead_lettered(stores, log, PHOTO, AUTHOR, REASON, waits_s=(0,))
    assert await stores.photos.get([PHOTO]) == {}

    await photos_uploaded(
        stores, log, [UPLOADED], delivery_rules=RULES, sizes=LOCAL, now_ms=NOW_MS, original_poll_ms=2_000
    )
    await upload_dead_lettered(stores, log, PHOTO, UserId(AUTHOR + 1), REASON)
    assert (await stores.photos.get([PHOTO]))[PHOTO].status is Status.PROCESSING

    await stores.photos.mark_ready({PHOTO: {}}, {PHOTO: PUSHED})
    await upload_dead_lettered(stores, log, PHOTO, AUTHOR, REASON)
    assert (await stores.photos.get([PHOTO]))[PHOTO].status is Status.READY


@pytest.mark.parametrize(("source", "claimed"), [("/own", (PHOTO, AUTHOR)), ("/other", None)])
def test_only_the_apis_own_event_ends_its_photo(source: str, claimed: object) -> None:
    """Otherwise an upstream app's bad duplicate would end a photo that is being processed."""
    key, value, headers = encode_event(
        EventType.PHOTO_UPLOADED, UPLOADED, id="1", source=source, time_us=NOW_MS * 1_000
    )

    assert claimed_upload(Record("uploads", 0, 0, NOW_MS, key, value, tuple(headers)), "/own") == claimed
    assert claimed_upload(Record("uploads", 0, 0, NOW_MS, key, b"not json", tuple(headers)), "/own") is None
    no_ids = Record("uploads", 0, 0, NOW_MS, key, b'{"photo_id": 1.5}', tuple(headers))
    assert claimed_upload(no_ids, "/own") is None
