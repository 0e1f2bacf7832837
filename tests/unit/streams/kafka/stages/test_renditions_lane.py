"""A lane of renditions: the tasks of a batch run concurrently and are acknowledged together."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from bench.traffic.waiting import eventually
from schemas.envelope import Record
from schemas.facts import PhotoUploaded
from schemas.ids import PhotoId
from schemas.internal import FullTask, RemovalTask, RenditionTask, ThumbnailTask, encode_task
from streams.core.photos import Status
from streams.core.renditions import EncodedRendition
from streams.errors import StoreUnavailable
from streams.kafka.consuming.agent import Delivered
from streams.kafka.consuming.progress import GroupPartition, Progress
from streams.kafka.stages.decode_slots import DecodeSlots
from streams.kafka.stages.renditions_lane import RenditionsLane
from streams.settings import Settings
from tests.worlds.kafka import LOCAL
from tests.worlds.renditions import AUTHOR, NOW_MS, PHOTO, RULES, UPLOADED, FakeDecoder, World
from topics.catalogue import Lane

WITHIN_S = 10.0


class HeldDecoder(FakeDecoder):
    """A decoder that holds the original `slow` until `released` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()

    async def thumbnail(self, original: bytes) -> EncodedRendition:
        await asyncio.sleep(0)  # Other tasks run meanwhile, as with a real decoder.
        if original == b"slow":
            await self.released.wait()
        return await super().thumbnail(original)


@dataclass(slots=True)
class Bench:
    """A world with several photos, and the rendition lanes that work on it."""

    world: World
    decoder: HeldDecoder = field(default_factory=HeldDecoder)
    decode_slots: DecodeSlots = field(default_factory=lambda: DecodeSlots(thumbnails_max=2, fulls_max=2))
    progress: Progress = field(default_factory=Progress)

    def lane(self, lane: Lane) -> RenditionsLane:
        return RenditionsLane(
            retry=Settings(),
            stores=self.world.stores,
            cdn=self.world.stores.cdn,
            outbox=self.world.outbox,
            decoder=self.decoder,
            rules=self.world.rules,
            delivery_rules=RULES,
            sizes=LOCAL,
            topic="renditions",
            group="renditions-thumbnail",
            lane=lane,
            decode_slots=self.decode_slots,
            progress=self.progress,
            put_off_s=0,
        )

    async def uploaded(self, *originals: bytes | None) -> list[ThumbnailTask]:
        """Upload photos with these originals (None: no original); return their thumbnail tasks."""
        tasks = []
        for number, original in enumerate(originals, 1):
            photo = PhotoId(PHOTO + number)
            key = f"app/{photo}"
            if original is not None:
                self.world.objects[key] = original
            await self.world.handle(
                PhotoUploaded.model_validate({**UPLOADED.model_dump(), "photo_id": photo, "object_key": key})
            )
            tasks.append(ThumbnailTask(photo, AUTHOR, key, NOW_MS))
        return tasks

    async def statuses(self, tasks: Sequence[ThumbnailTask]) -> list[Status]:
        rows = await self.world.real.photos.get([task.photo_id for task in tasks])
        return [rows[task.photo_id].status for task in tasks]


def delivered(tasks: Sequence[RenditionTask], acked: list[int], *, ours: bool = True) -> Delivered:
    records = [
        Record("renditions", 0, 5 + at, NOW_MS, None, encode_task(task), ()) for at, task in enumerate(tasks)
    ]
    return Delivered(records, 1, lambda: ours, acked.append)


async def settled() -> None:
    """Let every task run until it ends or waits for `released`."""
    for _ in range(100):
        await asyncio.sleep(0)


@pytest.fixture
def bench() -> Bench:
    return Bench(World(objects={}))


@pytest.mark.law("L7")
async def test_a_batch_is_acknowledged_when_all_of_it_is_done(bench: Bench) -> None:
    """And the watchdog is told how far it came."""
    partition = GroupPartition("renditions-thumbnail", "renditions", 0)
    bench.progress.own(partition.group, {partition})
    tasks, acked = await bench.uploaded(b"a", b"b", b"c"), list[int]()
    await bench.lane(Lane.THUMBNAIL)(delivered(tasks, acked))

    assert ([3], [Status.READY] * 3) == (acked, await bench.statuses(tasks))
    assert [] == bench.progress.stuck({partition: 8}, 0.0)


async def test_neighbours_of_slow_and_missing_originals_are_ready_meanwhile(bench: Bench) -> None:
    """One original decodes for long, one is missing: the others get ready before any commit."""
    tasks, acked = await bench.uploaded(b"slow", None, b"a", b"b", b"c"), list[int]()
    partition = GroupPartition("renditions-thumbnail", "renditions", 0)
    bench.progress.own(partition.group, {partition})
    running = asyncio.create_task(bench.lane(Lane.THUMBNAIL)(delivered(tasks, acked)))
    others = [Status.PROCESSING, Status.PROCESSING, *[Status.READY] * 3]

    async def others_are_ready() -> bool:
        return await bench.statuses(tasks) == others

    await eventually("the others are ready", others_are_ready)
    assert acked == []
    # A batch that takes long does not count as a consumer that has stopped.
    assert [] == bench.progress.stuck({partition: 99}, -1.0)
    assert [] == bench.progress.stuck({partition: 99}, -1.0)
    bench.decoder.released.set()
    await running

    assert ([5], Status.READY) == (acked, (await bench.statuses(tasks))[0])
    assert {tasks[1].photo_id} == {parked.photo_id for parked in await bench.world.real.parked.due(2**41, 9)}


async def test_full_renditions_wait_while_thumbnails_do(bench: Bench) -> None:
    """If more thumbnails than slots wait, no full task begins before each of them has a slot."""
    tasks = await bench.uploaded(b"slow", b"slow", b"a")
    thumbnails = asyncio.create_task(bench.lane(Lane.THUMBNAIL)(delivered(tasks, [])))
    await settled()
    acked: list[int] = []
    full = FullTask(tasks[2].photo_id, AUTHOR, tasks[2].object_key, NOW_MS)
    fulls = asyncio.create_task(bench.lane(Lane.FULL)(delivered([full], acked)))
    await settled()
    assert bench.decoder.decoded == []
    bench.decoder.released.set()
    await asyncio.gather(thumbnails, fulls)

    assert acked == [1]
    assert "small" in bench.decoder.decoded


@pytest.mark.law("L7")
async def test_a_store_that_is_down_is_waited_for(bench: Bench) -> None:
    """No commit, whatever the number of tries; when it is back, the task is done."""
    tasks, acked = await bench.uploaded(b"a"), list[int]()
    real, tries = bench.world.real.media_objects.read, 0

    async def read(object_key: str, *, bytes_max: int) -> bytes | None:
        nonlocal tries
        tries += 1
        if tries < 6:
            raise StoreUnavailable("s3", "read", "a test said so")
        return await real(object_key, bytes_max=bytes_max)

    bench.world.real.media_objects.read = read  # type: ignore[method-assign]
    await bench.lane(Lane.THUMBNAIL)(delivered(tasks, acked))

    assert ([1], 6) == (acked, tries)


@pytest.mark.law("L7")
async def test_a_partition_that_has_gone_is_not_acknowledged(bench: Bench) -> None:
    """Another worker has its tasks now."""
    tasks, acked = await bench.uploaded(b"a"), list[int]()

    async def read(object_key: str, *, bytes_max: int) -> bytes | None:
        raise StoreUnavailable("s3", "read", "a test said so")

    bench.world.real.media_objects.read = read  # type: ignore[method-assign]
    async with asyncio.timeout(10):
        await bench.lane(Lane.THUMBNAIL)(delivered(tasks, acked, ours=False))

    assert acked == []


async def test_tasks_of_one_photo_go_in_their_order(bench: Bench) -> None:
    """Several tasks for the same thumbnail in one batch decode it once."""
    [task] = await bench.uploaded(b"a")
    await bench.lane(Lane.THUMBNAIL)(delivered([task, task, task], []))

    assert bench.decoder.decoded == ["thumbnail"]


async def test_an_edge_that_is_away_holds_no_rendition_up(bench: Bench) -> None:
    """The removal is queued again at the end, and is acknowledged after that."""

    async def purge(object_keys: Sequence[str]) -> None:
        raise StoreUnavailable("edge", "purge", "a test said so")

    bench.world.real.cdn.purge = purge  # type: ignore[method-assign]
    removal, acked = RemovalTask(PHOTO, ("a", "b"), original=True), list[int]()
    await bench.lane(Lane.FULL)(delivered([removal], acked))

    assert ([1], [removal]) == (acked, list(bench.world.log.waiting))
