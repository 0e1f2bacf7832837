"""`shutterline demo`: the whole pipeline at work on the local stack, and a check of the result.

The demo publishes a network with a realistic tail of large accounts. Then some users read their
feeds while others post, like, follow and delete at a steady rate, and the photo of one account
with more than 10,000 followers goes through the bulk lane. At the end `shutterline check`
compares what is served with Cassandra's rows.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

import uvloop
from more_itertools import sliced
from rich.console import Console

from infra.local.commands import WORKER
from infra.local.deployment import Deployment
from infra.local.paths import Home
from schemas.ids import PhotoId, UserId
from shutterline.check.report import CheckReport
from shutterline.check.run import check_users
from shutterline.check.stores import CheckedStores
from shutterline.client.feed import FeedClient, Json, feed_client, feed_path
from shutterline.client.upload import upload_client
from shutterline.contact_sheet import write_contact_sheet
from shutterline.demo.metrics import Sample, sample
from shutterline.demo.picture import put_picture
from shutterline.demo.play import EVENTS_PER_S, Publishers
from shutterline.demo.progress import Live, bar
from shutterline.demo.readers import Readers
from shutterline.demo.report import DemoReport, show, show_next
from shutterline.demo.stack import start
from shutterline.demo.uploads import PICTURES, Uploaded, upload_pictures
from shutterline.demo.world import CELEBRITY, World
from shutterline.failures import CommandFailed
from shutterline.tokens import tokens_for
from streams.core.photos import Status
from streams.jobs.minting import leased_minter
from streams.kafka.producing.producer import Producer
from streams.ports.coordination import ShardLeases
from streams.ports.photos import Photos
from streams.stores.connect import connect, redis_client
from streams.stores.redis.inspect import RedisInspect

READERS = 1_000
CHECKED_READERS = 100
TIMELINES_MEASURED = 20
PHOTOS_A_CALL = 1_000
TIMEOUT_MS = 60_000
DRAIN_S = 300.0
SHEET = "demo-feed.html"


@dataclass(frozen=True, slots=True)
class Plan:
    """How many users, and how long. The same seed makes the same network and the same play."""

    users: int
    seconds: int
    seed: int


def run(home: Home, plan: Plan, console: Console) -> None:
    """Start what is missing, play, and show the result. The stack keeps running, also after a Ctrl-C.

    Raises:
        CommandFailed: What is served differs from what is stored, or a photo was lost.
        StackError: Something did not start.
        KeyboardInterrupt: It was interrupted.
    """
    deployment = start(home, console)
    demo = _Demo(deployment, plan, console)
    try:
        report = uvloop.run(demo.run())
    except KeyboardInterrupt:
        console.print("Interrupted. The stack keeps running; `make down` stops it.")
        raise
    show(report, console)
    if report.difference:
        raise CommandFailed(
            f"Difference {report.difference}, but must be 0. `shutterline check` looks again, "
            f"`shutterline inspect` shows what is stored, and {home.log} has the logs."
        )
    console.print()
    write_contact_sheet(demo.viewer, uvloop.run(demo.viewers_page()), home.root / SHEET, console)
    show_next(deployment, demo.viewer, console)


@dataclass(slots=True)
class _Demo:
    deployment: Deployment
    plan: Plan
    console: Console
    world: World = field(init=False)
    readers_ids: Sequence[UserId] = field(init=False)

    def __post_init__(self) -> None:
        self.world = World(self.plan.users, self.plan.seed)
        self.readers_ids = [UserId(user) for user in self.world.readers(READERS)]

    @property
    def viewer(self) -> UserId:
        """The reader who follows most, whose feed has most to look at."""
        return max(self.readers_ids, key=lambda user: len(self.world.followees(user)))

    async def run(self) -> DemoReport:
        settings = self.deployment.settings
        async with AsyncExitStack() as closing:
            stores = await closing.enter_async_context(connect(settings, timeout_ms=TIMEOUT_MS))
            publishers = await closing.enter_async_context(self._publishers(stores.shard_leases))
            client = await closing.enter_async_context(feed_client(settings, tokens_for(settings)))
            await self._make_network(publishers)
            return await self._play(stores, publishers, client)

    @asynccontextmanager
    async def _publishers(self, shard_leases: ShardLeases) -> AsyncIterator[Publishers]:
        renditions = await put_picture(self.deployment.settings)
        async with (
            Producer(self.deployment.settings, timeout_ms=TIMEOUT_MS) as producer,
            leased_minter(shard_leases) as minter,
        ):
            yield Publishers(self.deployment, producer, minter.mint, renditions)

    async def _make_network(self, publishers: Publishers) -> None:
        began_s, edges = monotonic(), self.world.network()
        with bar(self.console, "publishing follows", len(edges)) as advance:
            await publishers.follow_all(edges, advance)
        with self.console.status("the worker writes the outgoing and the incoming edge of every follow"):
            await self._drained()
        took_s = monotonic() - began_s
        self._done(
            f"{len(edges):,} follows through Kafka into both tables: {took_s:.1f} s, "
            f"{len(edges) / took_s:,.0f} a second"
        )

    async def _play(self, stores: CheckedStores, publishers: Publishers, client: FeedClient) -> DemoReport:
        readers = Readers(client, self.readers_ids, self.plan.seed)
        began_s = monotonic()
        with bar(self.console, "first reads", len(readers.users)) as advance:
            await readers.read_first(advance)
        self._done(f"{len(readers.users)} users have read their feeds: {monotonic() - began_s:.1f} s")
        actions = list(self.world.actions(self.plan.seconds * EVENTS_PER_S))
        progress_line = Live(self.deployment, self.console, readers, len(actions))
        before = await self._sample()
        helpers = [asyncio.create_task(readers.keep_reading()), asyncio.create_task(progress_line.run())]
        try:
            play_s = await publishers.play(actions, progress_line.advance)
            with self.console.status("waiting until everything is handled"):
                drain_s = await self._drained()
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
        self._done(f"{len(actions):,} events published in {play_s:.1f} s, handled {drain_s:.1f} s later")
        measured = (await self._sample()).since(before)
        uploaded = await self._upload()
        await self._drained()
        photos = [*publishers.photos, *uploaded.photos]
        return DemoReport(
            events=len(actions),
            play_s=play_s,
            drain_s=drain_s,
            measured=measured,
            uploaded=uploaded,
            deliveries_per_s_peak=progress_line.peak_per_s,
            reads=len(readers.took_s),
            reads_failed=readers.failed,
            read_p50_ms=readers.percentile_ms(50),
            read_p99_ms=readers.percentile_ms(99),
            bytes_an_entry=await self._bytes_an_entry(),
            photos=len(photos),
            photos_lost=await _lost(stores.photos, photos),
            check=await self._check(stores),
        )

    async def viewers_page(self) -> Json:
        """The newest photos of the viewer's feed, as the API serves them."""
        settings = self.deployment.settings
        async with feed_client(settings, tokens_for(settings)) as client:
            page, _ = await client.get(feed_path(PICTURES), self.viewer)
        return page

    async def _upload(self) -> Uploaded:
        """Upload pictures of authors whom the viewer follows."""
        settings = self.deployment.settings
        authors = [UserId(user) for user in self.world.followees(self.viewer)[:PICTURES]]
        folder = self.deployment.stack.home.root / "demo"
        async with upload_client(settings, tokens_for(settings), waiting=lambda _: None) as client:
            with bar(self.console, "uploading pictures", len(authors)) as advance:
                uploaded = await upload_pictures(client, authors, folder, advance)
        self._done(f"{len(uploaded.photos)} pictures drawn, uploaded over HTTP, and ready")
        return uploaded

    async def _drained(self) -> float:
        """Wait until the worker has handled everything; returns how many seconds that took.

        Raises:
            CommandFailed: The worker has ended, or is not done within `DRAIN_S`.
        """
        worker = self.deployment.stack.process(WORKER)
        waiting = asyncio.create_task(self.deployment.drained(DRAIN_S))
        while not (await asyncio.wait({waiting}, timeout=1.0))[0]:
            if worker.pid is None:
                waiting.cancel()
                raise CommandFailed(f"{WORKER} has ended; the end of its log:\n{worker.log_tail()}")
        try:
            return waiting.result()
        except TimeoutError as error:
            raise CommandFailed(f"The events are not handled in time: {error}") from error

    async def _check(self, stores: CheckedStores) -> CheckReport:
        users = [UserId(CELEBRITY), *self.readers_ids[:CHECKED_READERS]]
        settings = self.deployment.settings
        with bar(self.console, "comparing with Cassandra", len(users)) as advance:
            return await check_users(settings, stores, users, token_of=tokens_for(settings), progress=advance)

    async def _bytes_an_entry(self) -> float | None:
        """The memory that Redis takes for a timeline, for each photo that fits in it."""
        settings = self.deployment.settings
        client = redis_client(settings, TIMEOUT_MS / 1_000)
        redis = RedisInspect(client, namespace=settings.namespace)
        try:
            stored = [await redis.timeline(user) for user in self.readers_ids[:TIMELINES_MEASURED]]
        finally:
            await client.close()
        sizes = [timeline.memory_bytes for timeline in stored if timeline is not None]
        return sum(sizes) / len(sizes) / self.deployment.settings.timeline_ids if sizes else None

    async def _sample(self) -> Sample:
        return await asyncio.to_thread(sample, self.deployment.stack.home.run)

    def _done(self, text: str) -> None:
        self.console.print(f"[green]✓[/green] {text}", highlight=False)


async def _lost(photos: Photos, posted: Sequence[PhotoId]) -> int:
    """Law: no lost post. How many of the photos posted are neither ready nor deleted."""
    lost = 0
    for batch in sliced(posted, PHOTOS_A_CALL):
        rows = await photos.get(batch)
        lost += len(batch) - sum(row.deleted or row.status is Status.READY for row in rows.values())
    return lost
