"""Law: delete and upload cannot miss each other. A delete writes its tombstone first, then reads the row."""

import pytest

from schemas.ids import ID_MAX
from streams.photos.deleted import photo_deleted
from streams.photos.uploaded import photos_uploaded
from streams.stores.memory.stores import memory_stores
from tests.worlds.flaky_stores import FlakyStores, Moment
from tests.worlds.kafka import LOCAL
from tests.worlds.renditions import AUTHOR, DELETED, NOW_MS, PHOTO, RULES, UPLOADED, Log


@pytest.fixture
def flaky() -> FlakyStores:
    return FlakyStores(memory_stores(clock_ms=lambda: NOW_MS))


async def upload(flaky: FlakyStores) -> None:
    await photos_uploaded(
        flaky.stores,
        Log(),
        [UPLOADED],
        delivery_rules=RULES,
        sizes=LOCAL,
        now_ms=NOW_MS,
        original_poll_ms=2_000,
    )


def photo_calls(flaky: FlakyStores) -> list[str]:
    return [moment.operation for moment in flaky.moments if moment.store == "photos" and moment.done]


async def test_a_delete_writes_its_tombstone_once_and_before_it_reads_the_row(flaky: FlakyStores) -> None:
    """If it read first, an upload between the read and the write would be missed by both."""
    await upload(flaky)
    flaky.moments.clear()
    await photo_deleted(flaky.stores, Log(), DELETED)

    calls = photo_calls(flaky)
    assert ["write_tombstone", "get"] == calls[:2]
    assert 1 == calls.count("write_tombstone")


async def test_an_upload_after_the_delete_finds_the_tombstone(flaky: FlakyStores) -> None:
    """The delete found no row, so the upload hides the photo."""
    await photo_deleted(flaky.stores, Log(), DELETED)
    await upload(flaky)

    assert (await flaky.real.photos.get([PHOTO]))[PHOTO].deleted


async def test_an_upload_at_any_moment_of_the_delete_leaves_no_photo() -> None:
    """The whole upload runs before or after any one call of the delete."""
    number = 0
    while True:
        flaky = FlakyStores(memory_stores(clock_ms=lambda: NOW_MS))
        uploading = FlakyStores(flaky.real)
        seen = 0

        async def at(_: Moment, uploading: FlakyStores = uploading, number: int = number) -> None:
            nonlocal seen
            seen += 1
            if seen == number + 1:
                await upload(uploading)

        flaky.at = at
        await photo_deleted(flaky.stores, Log(), DELETED)
        if seen <= number:
            break

        assert (await flaky.real.photos.get([PHOTO]))[PHOTO].deleted, flaky.moments[number]
        assert {AUTHOR: []} == await flaky.real.author_photos.newest([AUTHOR], below=ID_MAX, each_max=3)
        number += 1

    # Without an upload the delete makes two calls: the tombstone and the read.
    assert 4 == number
