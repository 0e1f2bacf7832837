"""The cleaning job on real servers: it removes what is abandoned, leaves active uploads alone, and
reports lost objects."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from time import time

import pytest

from infra.local.deployment import Deployment
from schemas.ids import PhotoId, compose_id, id_ms
from streams.core.object_keys import ObjectKeys
from streams.core.photos import Photo, StoredRendition
from streams.core.renditions import LARGER, THUMBNAIL
from streams.jobs.cleaning.job import CleaningJob
from streams.jobs.cleaning.report import Inconsistency
from streams.kafka.offsets.offsets import Offsets
from streams.kafka.producing.outbox import KafkaOutbox
from streams.kafka.producing.producer import Producer
from streams.kafka.producing.publisher import KafkaPublisher
from streams.photos.begun import photo_begun
from streams.ports.groups import Stores
from streams.stores.connect import connect
from tests.contract.passing_time import RealTime
from tests.integration.conftest import DeploymentFactory
from tests.worlds.abandoned import AUTHOR, Half, halves, leave, remains
from tests.worlds.deliveries import PUSHED
from topics.catalogue import RENDITIONS, UPLOADS, Topic

UPLOAD_LIFE_S = 2
GRACE_S = 2
TIMEOUT_MS = 10_000
AT_ONCE = 4
# S3 refuses to finish an upload if a part is smaller, except the last one.
PART_BYTES_MIN = 5 * 1_048_576
_sequence = count(1)


@dataclass(frozen=True, slots=True)
class System:
    """One deployment without workers, its stores, and a cleaning job."""

    deployment: Deployment
    stores: Stores
    job: CleaningJob

    @property
    def keys(self) -> ObjectKeys:
        return ObjectKeys(self.deployment.settings.object_prefix)

    async def leave_all(self, states: Sequence[Half]) -> dict[PhotoId, Half]:
        """Begin one upload for each of these states and leave it in that state."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(half: Half) -> PhotoId:
            async with slots:
                photo = mint()
                part = b"x" * (PART_BYTES_MIN if half is Half.PARTS_FINISHED else 1_000)
                await leave(self.stores, self.keys, photo, half, part=part)
                return photo

        photos = await asyncio.gather(*(one(half) for half in states))
        return dict(zip(photos, states, strict=True))

    async def remain(self, photos: dict[PhotoId, Half]) -> dict[PhotoId, set[str]]:
        return {photo: await remains(self.stores, self.keys, photo) for photo in photos}

    async def objects(self) -> set[str]:
        return {
            stored.object_key
            for stored in await self.stores.media_objects.list(self.keys.prefix, limit=1_000)
        }

    async def records(self, topic: Topic) -> int:
        """Return how many records a topic has."""
        name = topic.named(self.deployment.namespace)
        ends = await Offsets(self.deployment.settings).ends(
            [(name, partition) for partition in range(self.deployment.sizes.partitions(topic))]
        )
        return sum(ends.values())

    async def ready_photo(self, *, lost: Sequence[str] = (), original: bool = True) -> PhotoId:
        """Make a ready photo with all renditions; the objects of the renditions in `lost` are
        missing."""
        photo = mint()
        key = self.keys.original(photo)
        if original:
            await self.stores.media_objects.put(key, b"original", content_type="image/jpeg")
        facts = Photo(
            photo_id=photo,
            author_id=AUTHOR,
            created_at=datetime.now(UTC),
            caption="",
            object_key=key,
            content_type="image/jpeg",
            renditions={},
        )
        await photo_begun(self.stores, facts)
        made = {
            name: StoredRendition(
                object_key=self.keys.rendition(photo, name, "a" * 64, "jpg"), width=1, height=1
            )
            for name in (THUMBNAIL, *LARGER)
        }
        for name, stored in made.items():
            if name not in lost:
                await self.stores.media_objects.put(stored.object_key, b"made", content_type="image/jpeg")
        await self.stores.photos.mark_ready({photo: made}, {photo: PUSHED})
        return photo

    async def clean_by_hand(self) -> tuple[int, str]:
        """Run `shutterline clean-media`; returns its exit code and its output."""
        process = await self.start_by_hand()
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()

    async def start_by_hand(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "shutterline", "clean-media"),
            env={**os.environ, **self.deployment.environment, "COLUMNS": "120"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )


def mint() -> PhotoId:
    return PhotoId(compose_id(int(time() * 1_000), 5, next(_sequence) % 1_024))


async def older_than(photos: Sequence[PhotoId], seconds: int) -> int:
    """Wait until all these photos are older than `seconds`; returns the time in milliseconds."""
    youngest_ms = max(id_ms(photo) for photo in photos)

    async def is_old() -> bool:
        return time() * 1_000 >= youngest_ms + seconds * 1_000

    await RealTime().until(is_old, f"{len(photos)} photos are {seconds} s old")
    return int(time() * 1_000)


@pytest.fixture
async def system(deploy: DeploymentFactory) -> AsyncIterator[System]:
    deployment = deploy(
        upload_life_s=UPLOAD_LIFE_S,
        upload_body_s_max=1,  # Shorter than an upload may live.
        orphan_grace_s=GRACE_S,
        rejected_original_grace_s=GRACE_S,
        missing_grace_s=GRACE_S,
        media_look_timeout_ms=TIMEOUT_MS,  # Two busy cores, and parts of 5 MiB beside each look.
    )
    async with _system(deployment) as made:
        yield made


@asynccontextmanager
async def _system(deployment: Deployment) -> AsyncIterator[System]:
    settings = deployment.settings
    async with (
        connect(settings, timeout_ms=TIMEOUT_MS) as stores,
        Producer(settings, timeout_ms=TIMEOUT_MS) as producer,
    ):
        outbox = KafkaOutbox(producer, settings.namespace, await producer.compare_sizes())
        publisher = KafkaPublisher(producer, namespace=settings.namespace, source="/test")
        job = CleaningJob(settings, settings, stores, outbox, publisher)
        yield System(deployment, stores, job)


def expected(photos: dict[PhotoId, Half]) -> dict[PhotoId, set[str]]:
    """Return what must remain: nothing of an abandoned upload, but object and photo of an upload
    that had been completed."""
    return {photo: {"object", "photo"} if half is Half.COMPLETED else set() for photo, half in photos.items()}


@pytest.mark.law("L10")
@pytest.mark.parametrize("seed", [1])
async def test_of_a_hundred_abandoned_uploads_nothing_is_left_and_live_ones_stay(
    system: System, seed: int
) -> None:
    """Two clean at once. Afterwards no row, object or part remains, as bucket and tables say."""
    chosen = random.Random(seed)
    abandoned = await system.leave_all(halves(100, chosen))
    # Parts begin later than their upload, and S3 reports their start only in whole seconds.
    now_ms = await older_than([mint()], UPLOAD_LIFE_S + 1)
    live = await system.leave_all([half for half in halves(30, chosen) if half is not Half.ROW_GONE])
    before = await system.remain(live)

    await asyncio.gather(*(system.job.run_once(now_ms) for _ in range(2)))

    assert expected(abandoned) == await system.remain(abandoned)
    assert before == await system.remain(live)
    completed = {photo for photo, half in abandoned.items() if half is Half.COMPLETED}
    assert len(completed) <= await system.records(UPLOADS) <= 2 * len(completed)
    # There are no other rows, parts or objects either.
    rows = {upload.photo_id async for upload in system.stores.uploads.all()}
    parts = await system.stores.media_uploads.unfinished(system.keys.prefix)
    with_object = {photo for photo, found in before.items() if "object" in found}
    assert {photo for photo, found in before.items() if "row" in found} == rows
    assert {photo for photo, found in before.items() if "parts" in found} == {
        system.keys.photo_of(part.object_key) for part in parts
    }
    assert {system.keys.original(photo) for photo in completed | with_object} == await system.objects()


async def test_a_cleaning_that_is_killed_is_made_good_by_the_next(system: System) -> None:
    """Two jobs run at the same time, and one is killed with kill -9 after it has removed a first
    row. The next run removes all that remains."""
    abandoned = await system.leave_all([*Half] * 6)
    rows = sum(half not in (Half.KEY_ONLY, Half.ROW_GONE) for half in abandoned.values())
    await older_than([mint()], UPLOAD_LIFE_S + 1)
    processes = [await system.start_by_hand() for _ in range(2)]

    async def has_begun() -> bool:
        return len([upload async for upload in system.stores.uploads.all()]) < rows

    await RealTime().until(has_begun, "a row has gone")
    processes[0].kill()
    said = [(await process.communicate())[0].decode() for process in processes]

    code, last = await system.clean_by_hand()

    assert processes[1].returncode == 0, said[1]
    assert code == 0, last
    assert expected(abandoned) == await system.remain(abandoned)


async def test_by_hand_orphans_go_and_what_is_lost_is_made_again(system: System) -> None:
    """The output is a table of what was found. Lost renditions are queued to be made again. If a
    photo has lost all its objects, the next run deletes it."""
    whole = await system.ready_photo()
    mended = await system.ready_photo(lost=["large"])
    gone = await system.ready_photo(lost=[THUMBNAIL, *LARGER], original=False)
    orphan, unnamed = system.keys.original(mint()), system.keys.rendition(whole, "small", "b" * 64, "jpg")
    unknown, theirs = f"{system.keys.prefix}notes", f"apps/{system.deployment.namespace}1.jpg"
    for key in (orphan, unnamed, unknown, theirs):
        await system.stores.media_objects.put(key, b"x", content_type="image/jpeg")
    # S3 reports the time of a PUT only in whole seconds.
    await older_than([mint()], GRACE_S + 1)

    code, said = await system.clean_by_hand()

    assert code == 0, said
    assert not {orphan, unnamed} & await system.objects()
    assert unknown in await system.objects()
    assert await system.stores.media_objects.size(theirs) == 1
    for kind in (
        Inconsistency.OBJECT_WITHOUT_ROW,
        Inconsistency.UNNAMED_OBJECT,
        Inconsistency.UNKNOWN_OBJECT,
        Inconsistency.LOST_RENDITION,
    ):
        assert kind.replace("_", " ") in said
    rows = await system.stores.photos.get([whole, mended, gone])
    assert [set(), {"large"}, set()] == [
        {THUMBNAIL, *LARGER} - set(rows[photo].renditions) for photo in (whole, mended, gone)
    ]
    assert await system.records(RENDITIONS) == 1
    assert not rows[gone].deleted

    await older_than([mint()], GRACE_S)
    code, said = await system.clean_by_hand()

    rows = await system.stores.photos.get([whole, mended, gone])
    assert [False, False, True] == [rows[photo].deleted for photo in (whole, mended, gone)], said
    assert {} == await system.stores.missing_objects.all()


async def test_the_servers_own_rule_is_done_without_where_it_is_not_known(system: System) -> None:
    """The S3 server of the test does not support lifecycle rules and returns 501. This is not an
    outage: S3 stays available."""
    for _ in range(10):
        assert not await system.stores.media_uploads.expire_unfinished(system.keys.prefix)

    assert await system.stores.media_objects.size("nothing") is None
