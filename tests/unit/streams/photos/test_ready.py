"""A ready photo's pages name all buckets of its author's followers, and the stamp of their total."""

import pytest

from schemas.ids import PhotoId
from schemas.internal import FanoutPage, OwnPost, SetKind
from streams.core.counted import BUCKETS, RECORD_MEMBERS
from streams.core.delivery import DeliveryLimits
from streams.core.sets import BucketKey, BucketWrite, SetSummary
from streams.photos.ready import ReadyPhoto, photos_ready
from streams.photos.uploaded import photos_uploaded
from streams.stores.memory.stores import memory_stores
from tests.worlds.renditions import AUTHOR, LIMITS, NOW_MS, PHOTO, UPLOADED, Log

EVERYBODY_IS_PUSHED = DeliveryLimits(celebrity_push_followers_max=10**9)


@pytest.mark.law("L1")
@pytest.mark.parametrize(
    ("level", "total", "pages"),
    [(0, 200, 1), (1, 1_500, 2), (1, 16 * RECORD_MEMBERS, 16), (2, 20_000, 22), (2, 100 * 16_000, 256)],
)
async def test_pages_have_every_bucket_once(level: int, total: int, pages: int) -> None:
    """However full the buckets are, a record has about a thousand followers."""
    stores, log, stamp = memory_stores(clock_ms=lambda: NOW_MS), Log(), 1 << 48 | 9
    await photos_uploaded(stores, log, [UPLOADED], limits=LIMITS, now_ms=NOW_MS, original_poll_ms=2_000)
    of_author = BucketKey(SetKind.FOLLOWERS, AUTHOR, 0, 0)
    await stores.counted_sets.write(
        [BucketWrite(of_author, rows={}, count=None, summary=SetSummary(level, total), stamp=stamp)]
    )

    photos = [ReadyPhoto(PhotoId(PHOTO), AUTHOR, {})]
    await photos_ready(stores, log, photos, limits=EVERYBODY_IS_PUSHED, now_ms=NOW_MS)

    records = [record for record in log.fanout_log if isinstance(record, FanoutPage)]
    assert [
        bucket for record in records for bucket in range(record.bucket, record.bucket + record.buckets)
    ] == list(range(BUCKETS[level]))
    assert {(record.photo_id, record.level, record.stamp) for record in records} == {(PHOTO, level, stamp)}
    assert len(records) == pages
    assert log.fanout_log[0] == OwnPost(PHOTO, AUTHOR, NOW_MS)
