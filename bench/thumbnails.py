"""How long a thumbnail takes with and without a backlog of full renditions.

    python -m bench.thumbnails [--queued 2000] [--seconds 40]

12-megapixel photos are posted at a steady rate, in turns without and with a backlog of full
renditions of the same photo. The time of each runs from `photo.uploaded` until the photo is ready.
The ratio of the two p99 shows how well the lanes separate thumbnails from full renditions.
"""

import argparse
import asyncio
import statistics
import time
from datetime import UTC, datetime

import psutil
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from rich.console import Console

from bench.measuring.running import bench_arguments, bench_stack, percentiles
from bench.traffic.events import fresh_photo_ids
from infra.local.deployment import Deployment
from schemas.facts import PhotoUploaded
from schemas.ids import PhotoId, UserId
from schemas.internal import FullTask
from shutterline.demo.picture import draw
from streams.core.delivery import Delivery, DeliveryReason, Mode
from streams.core.photos import Photo, Status, StoredRendition
from streams.kafka.offsets.offsets import Offsets
from streams.kafka.offsets.queued import queued_records
from streams.kafka.producing.outbox import KafkaOutbox
from streams.kafka.producing.producer import Producer
from streams.ports.groups import Stores
from streams.roles import Role, group_of
from streams.stores.connect import connect
from topics.catalogue import RENDITIONS, Lane

AUTHOR = UserId(7)
ORIGINAL = "bench/12-megapixels.jpg"
WIDTH = 4_243  # 3:2 makes 12 megapixels.
POSTS_PER_S = 2.0
LOOK_S = 0.005
GIVE_UP_S = 120.0
THUMBNAIL = {"thumbnail": StoredRendition(object_key="bench/thumbnail.jpg", width=150, height=100)}
PUSHED = Delivery(
    mode=Mode.PUSH, lane=Lane.NORMAL, reason=DeliveryReason.FEW_FOLLOWERS, mode_by_size=Mode.PUSH
)


async def post(stores: Stores, deployment: Deployment, producer: Producer) -> float:
    """Post a photo; returns the seconds from before its event until it is ready."""
    [photo] = fresh_photo_ids(1)
    data = PhotoUploaded(
        photo_id=photo,
        author_id=AUTHOR,
        object_key=ORIGINAL,
        content_type="image/jpeg",
        created_at=datetime.now(UTC),
    )
    began = time.monotonic()
    await producer.send([deployment.outgoing(data)])
    while time.monotonic() - began < GIVE_UP_S:
        row = (await stores.photos.get([photo])).get(photo)
        if row is not None and row.status is Status.READY:
            return time.monotonic() - began
        await asyncio.sleep(LOOK_S)
    raise TimeoutError(f"{photo} is not ready after {GIVE_UP_S:.0f} s")


async def posts(stores: Stores, deployment: Deployment, producer: Producer, seconds: float) -> list[float]:
    async def later(number: int) -> float:
        await asyncio.sleep(number / POSTS_PER_S)
        return await post(stores, deployment, producer)

    return list(await asyncio.gather(*(later(number) for number in range(int(seconds * POSTS_PER_S)))))


async def queue_full(stores: Stores, outbox: KafkaOutbox, count: int) -> None:
    """Make photos that have their thumbnail, and queue their full renditions."""
    photos = fresh_photo_ids(count)

    async def ready(photo: PhotoId) -> None:
        row = Photo(
            photo_id=photo,
            author_id=AUTHOR,
            created_at=datetime.now(UTC),
            caption="",
            object_key=ORIGINAL,
            content_type="image/jpeg",
            renditions={},
        )
        await stores.photos.insert([row])
        await stores.photos.mark_ready({photo: THUMBNAIL}, {photo: PUSHED})

    await asyncio.gather(*(ready(photo) for photo in photos))
    now_ms = time.time_ns() // 1_000_000
    await outbox.renditions([FullTask(photo, AUTHOR, ORIGINAL, now_ms) for photo in photos], Lane.FULL)


async def queued(deployment: Deployment) -> int:
    """Full renditions that nobody has made yet."""
    return await queued_records(
        Offsets(deployment.settings),
        group=group_of(deployment.namespace, Role.FULL),
        topic=RENDITIONS.named(deployment.namespace),
        partitions=deployment.sizes.range_of(RENDITIONS, Lane.FULL),
    )


async def run(arguments: argparse.Namespace, console: Console) -> None:
    with bench_stack() as stack:
        deployment = Deployment(stack, "", {})
        deployment.prepare()
        deployment.start_worker()
        deployment.start_media()
        settings = deployment.settings
        picture = await asyncio.to_thread(lambda: draw(1, WIDTH).jpegsave_buffer(Q=90))
        async with (
            connect(settings, timeout_ms=60_000) as stores,
            Producer(settings, timeout_ms=60_000) as producer,
        ):
            await stores.media_objects.put(ORIGINAL, picture, content_type="image/jpeg")
            outbox = KafkaOutbox(producer, deployment.namespace, deployment.sizes)
            await posts(stores, deployment, producer, 5)  # These warm up the processes.
            alone: list[float] = []
            beside: list[float] = []
            for turn in range(2):
                psutil.cpu_percent()
                alone += await posts(stores, deployment, producer, arguments.seconds / 2)
                idle_cpu = psutil.cpu_percent()
                if turn == 1:
                    continue
                await queue_full(stores, outbox, arguments.queued)
                psutil.cpu_percent()
                beside += await posts(stores, deployment, producer, arguments.seconds)
                left = await queued(deployment)
                console.print(
                    f"{left} full renditions were still queued in the end; CPU {psutil.cpu_percent():.0f} % "
                    f"with them, {idle_cpu:.0f} % without"
                )
                await drop_backlog(deployment)
        ratio = _p99(beside) / _p99(alone)
        console.print(f"thumbnails alone: {percentiles(alone)}")
        console.print(
            f"beside {arguments.queued} full renditions: {percentiles(beside)}; p99 ratio {ratio:.2f}"
        )
        deployment.stop()


async def drop_backlog(deployment: Deployment) -> None:
    """Commit the end offsets, so that the last turn has no backlog: handling it takes minutes."""
    deployment.stack.stop_process("media-1")
    name = RENDITIONS.named(deployment.namespace)
    partitions = deployment.sizes.range_of(RENDITIONS, Lane.FULL)
    ends = await Offsets(deployment.settings).ends([(name, partition) for partition in partitions])
    wanted = ConsumerGroupTopicPartitions(
        group_of(deployment.namespace, Role.FULL),
        [TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()],
    )
    admin = AdminClient({"bootstrap.servers": deployment.settings.kafka})
    for future in admin.alter_consumer_group_offsets([wanted]).values():
        future.result()
    deployment.start_media()


def _p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100, method="inclusive")[98]


def main() -> None:
    asyncio.run(run(bench_arguments(__doc__, queued=2_000, seconds=40.0), Console()))


if __name__ == "__main__":
    main()
