"""The floor of each line of `bench.costs`, and the rivals: the same work without the product."""

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from redis import Redis

from bench.floors.calls import calls_of
from bench.floors.records import Records
from bench.floors.rows import Rows
from bench.floors.stream_framework import StreamFramework
from bench.floors.timelines import RIVALS, ScriptFloor, rival_deliver
from bench.measuring import workload
from bench.measuring.cpu import OWN_NAME, CpuClock, CpuUse
from bench.measuring.page_load import PAGE_PHOTOS, read_pages
from bench.measuring.samples import SERVERS, Sample
from bench.measuring.sides import Side
from bench.traffic.events import fresh_photo_ids, photo_of
from infra.local import ports
from infra.local.deployment import Deployment
from infra.local.processes.readiness import wait_ready
from infra.local.servers.probes import http_responds
from infra.local.stack import Stack
from schemas.ids import UserId
from shutterline.tokens import tokens_for
from streams.stores.cassandra.session import make_cluster
from topics.catalogue import FOLLOWS, LIKES, UPLOADS, Topic

FLOOR, BARE = "floor", "floor."
APP = "floor-app"
RIVAL_SERVERS = ("redis",)
TOPICS: Mapping[str, Topic] = {
    workload.FOLLOW: FOLLOWS,
    workload.LIKE: LIKES,
    workload.HOT_LIKE: LIKES,
    workload.POST: UPLOADS,
    workload.BULK: UPLOADS,
}
# What each rival delivers in a round. Only Redis works for it, so the other servers do not count.
RIVAL_PHOTOS = 5
RIVAL_OWNERS = workload.FOLLOWERS[:5_000]
STREAM_FRAMEWORK_OWNERS = workload.FOLLOWERS[:2_000]


class Floors:
    """Tables and timelines of their own on the servers of a stack; they read the topics of `side`."""

    def __init__(self, stack: Stack, side: Side, stream_framework: StreamFramework | None) -> None:
        self._stack, self._side, self._stream_framework = stack, side, stream_framework
        self._deployment = Deployment(stack, BARE)
        self._deployment.prepare()
        settings = self._deployment.settings
        self._cluster = make_cluster(settings, timeout_s=30.0)
        self._rows = Rows(self._cluster.connect(settings.keyspace))
        self._redis: Redis = Redis.from_url(settings.redis)
        self._script = ScriptFloor(self._redis, settings)
        self._app_address = f"127.0.0.1:{ports.unused(())}"
        self._records: dict[str, Records] = {}

    def prepare(self, cold_readers: Sequence[UserId]) -> None:
        """Make the network that the floors need."""
        self._script.make(workload.FOLLOWERS)
        edges = [
            (follower, author)
            for number, author in enumerate(workload.POST_AUTHORS)
            for follower in workload.followers_of(number)
        ]
        edges += [(reader, author) for reader in cold_readers for author in workload.PAGE_AUTHORS]
        self._rows.follows([{"follower_id": str(one), "followee_id": str(other)} for one, other in edges])
        photos = fresh_photo_ids(len(workload.PAGE_AUTHORS) * workload.PAGE_PHOTOS_EACH)
        facts = [
            photo_of(photo, workload.PAGE_AUTHORS[number % len(workload.PAGE_AUTHORS)])
            for number, photo in enumerate(photos)
        ]
        self._rows.photos([fact.model_dump(mode="json") for fact in facts])

    async def start_app(self, reader: UserId) -> None:
        """Start the raw app with what a warm page of `reader` asks of Redis, and with its bytes."""
        api, token_of = self._side.deployment.settings.api, tokens_for(self._side.deployment.settings)
        body = b""

        async def page() -> None:
            nonlocal body
            load, _ = await read_pages(api, [reader], token_of, connections=1)
            body = load.body

        redis = self._stack.port("redis") or 0
        calls = await calls_of("127.0.0.1", redis, page)
        folder = self._stack.home.root / "floor"
        folder.mkdir(exist_ok=True)
        (folder / "calls").write_bytes(b"".join(calls))
        (folder / "body").write_bytes(body)
        host, port = self._app_address.split(":")
        options = ["--lifespan", "off", "--no-access-log", "--no-server-header", "--ws", "none"]
        app = self._stack.start_process(
            APP,
            [
                sys.executable,
                "-m",
                "uvicorn",
                "bench.floors.raw_app:app",
                "--host",
                host,
                "--port",
                port,
                *options,
            ],
            {
                "FLOOR_REDIS": f"127.0.0.1:{redis}",
                "FLOOR_CALLS": str(folder / "calls"),
                "FLOOR_BODY": str(folder / "body"),
                "FLOOR_REPLIES": str(len(calls)),
            },
        )
        wait_ready({app: lambda: http_responds(self._app_address, "/")})

    def begin(self, line: str) -> None:
        """Read the topic of a line from here on; what the side publishes next is what the floor takes."""
        if line in TOPICS:
            topic, side = TOPICS[line], self._side.deployment
            self._records[line] = Records(
                self._deployment.settings.kafka, topic.named(side.namespace), side.sizes.partitions(topic)
            )

    async def measure(self, line: str, cold_readers: Sequence[UserId]) -> dict[str, Sample]:
        """The floor of a line, with the records that the side has handled since `begin`; and its rivals."""
        if line == workload.WARM:
            return {FLOOR: await self._warm()}
        if line == workload.COLD:
            work, count = (lambda: self._cold(cold_readers)), len(cold_readers)
        else:
            taking = self._records.pop(line)
            count = workload.EVENTS[line]
            work = {
                workload.FOLLOW: lambda: self._rows.follows(taking.take(count)),
                workload.LIKE: lambda: self._rows.likes(taking.take(count)),
                workload.HOT_LIKE: lambda: self._rows.likes(taking.take(count)),
                workload.POST: lambda: self._posts(taking, count),
                workload.BULK: lambda: self._bulk(taking, count),
            }[line]
        pieces = count * len(workload.FOLLOWERS) if line == workload.BULK else count
        samples = {FLOOR: await self._measured(work, pieces)}
        return samples | (await self._rivals() if line == workload.BULK else {})

    async def close(self) -> None:
        self._stack.stop_process(APP)
        await asyncio.to_thread(self._cluster.shutdown)
        self._redis.close()

    async def _measured(
        self, work: Callable[[], object], count: int, servers: Sequence[str] = SERVERS
    ) -> Sample:
        before, began_s = CpuClock.read(self._stack), time.monotonic()
        await asyncio.to_thread(work)
        took_s = time.monotonic() - began_s
        use = CpuUse(before, CpuClock.read(self._stack))
        return Sample.of(use, count, took_s, {"client": OWN_NAME}, servers=servers)

    async def _warm(self) -> Sample:
        settings = self._side.deployment.settings
        readers = [workload.WARM_READERS[0]] * workload.WARM_PAGES
        before = CpuClock.read(self._stack)
        _, took_s = await read_pages(
            f"http://{self._app_address}", readers, tokens_for(settings), connections=workload.CONNECTIONS
        )
        use = CpuUse(before, CpuClock.read(self._stack))
        return Sample.of(use, len(readers), took_s, {"api": APP})

    def _cold(self, readers: Sequence[UserId]) -> None:
        for reader in readers:
            photos = self._rows.cold_page(reader, PAGE_PHOTOS)
            self._redis.set(b"floor.cold%d" % reader, self._script.ring(photos), ex=60)

    def _posts(self, records: Records, count: int) -> None:
        taken = records.take(count)
        self._rows.photos(taken)
        photos: dict[int, list[int]] = defaultdict(list)
        for record in taken:
            photos[int(record["author_id"])].append(int(record["photo_id"]))
        followers = self._rows.followers(photos.keys())
        self._script.deliver([(photos[author], followers[author]) for author in photos])

    def _bulk(self, records: Records, count: int) -> None:
        photos = [int(record["photo_id"]) for record in records.take(count)]
        self._script.deliver([(photos, workload.FOLLOWERS)])

    async def _rivals(self) -> dict[str, Sample]:
        samples = {}
        for rival in RIVALS:
            photos = fresh_photo_ids(RIVAL_PHOTOS)
            samples[rival] = await self._measured(
                partial(rival_deliver, self._redis, rival, photos, RIVAL_OWNERS),
                RIVAL_PHOTOS * len(RIVAL_OWNERS),
                RIVAL_SERVERS,
            )
        if self._stream_framework is not None:
            samples["Stream-Framework"] = await self._stream_framework_sample(self._stream_framework)
        return samples

    async def _stream_framework_sample(self, rival: StreamFramework) -> Sample:
        before = CpuClock.read(self._stack)
        took_s, used_s = await asyncio.to_thread(
            rival.deliver,
            "127.0.0.1",
            self._stack.port("redis") or 0,
            RIVAL_PHOTOS,
            STREAM_FRAMEWORK_OWNERS,
        )
        count = RIVAL_PHOTOS * len(STREAM_FRAMEWORK_OWNERS)
        use = CpuUse(before, CpuClock.read(self._stack))
        sample = Sample.of(use, count, took_s, {}, servers=RIVAL_SERVERS)
        return Sample({**sample.cpu_ms, "client": 1_000 * used_s / count}, sample.rate, sample.counted_s)
