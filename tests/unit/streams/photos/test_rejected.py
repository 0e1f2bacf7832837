"""A rejection is counted where the photo's state changes, and nowhere else."""

from prometheus_client import REGISTRY

from streams.photos.rejected import photo_rejected
from streams.photos.uploaded import photo_uploaded
from streams.stores.memory.stores import memory_stores
from tests.worlds.renditions import AUTHOR, LIMITS, NOW_MS, PHOTO, UPLOADED, Log


def rejections() -> float:
    return REGISTRY.get_sample_value("shutterline_rejected_photos_total", {"reason": "broken"}) or 0.0


async def test_a_repeated_rejection_is_counted_once() -> None:
    """If Kafka delivers a task again, only the removal is queued again."""
    stores, log, before = memory_stores(clock_ms=lambda: NOW_MS), Log(), rejections()
    await photo_uploaded(stores, log, UPLOADED, limits=LIMITS, now_ms=NOW_MS, original_poll_ms=2_000)
    for _ in range(3):
        await photo_rejected(stores, log, PHOTO, AUTHOR, "broken")

    assert before + 1 == rejections()
    assert 3 == len(log.waiting)
