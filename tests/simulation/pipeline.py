"""The whole pipeline in memory, whose workers may be killed at any call of a store or of the outbox.

Real handlers, applier calls, settler and pages over stores in memory. What a killed worker had not committed
is handled again, later. `World.read` and `World.check` say what readers may see, meanwhile and at the end.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from schemas.ids import PhotoId, UserId, compose_id
from schemas.internal import Backfill, EdgeRecord, SetKind
from streams.core.delivery import Delivery, DeliveryLimits, DeliveryRules, Mode, Overload
from streams.core.feed import Completeness
from streams.core.overload.backlog import LaneBacklog
from streams.core.photos import Status
from streams.edges.counting import SetWriter
from streams.errors import StoreUnavailable
from streams.jobs.undelivered import UndeliveredJob
from streams.overload.settling import Settler
from streams.photos.deleted import hide_photo
from streams.photos.ready import ReadyPhoto, photos_ready
from streams.ports.groups import Stores
from streams.roles import Role, group_of
from streams.settings import OverloadSettings
from streams.timelines.fanout import backfill, photos_for_owners, put_photos
from tests.simulation.caches import CacheOfTwo
from tests.worlds.api import RENDITIONS
from tests.worlds.api import World as Api
from tests.worlds.deliveries import OverloadWorld
from tests.worlds.flaky_stores import FlakyStores, KillAt, Killed
from tests.worlds.kafka import LOCAL
from tests.worlds.renditions import Log
from topics.catalogue import EDGES, FANOUT, Lane

AUTHORS, READERS = (2, 3), tuple(range(10, 16))
LIMITS = DeliveryLimits(
    pull_followers_min=4, push_again_followers_max=2, celebrity_push_followers_max=0, push_s_max=5
)
SETTINGS = OverloadSettings(
    breaker_open_deliveries=1_000, breaker_close_deliveries=500, deferred_after_applied_s=2
)
READY_S_MAX = 5.0
# Much less than edges are late.
RECENT_FOLLOW_S = 1
PAGE_OF_WALK = 3
ROLE_OF = {Lane.NORMAL: Role.NORMAL, Lane.BULK: Role.BULK}
FIRST = {lane: LOCAL.range_of(FANOUT, lane).start for lane in (Lane.NORMAL, Lane.BULK)}
Step = tuple[str, int, int]
Work = Callable[[Stores, Any], Awaitable[None]]


@dataclass
class World:
    """The whole pipeline; each lane has one log, of which `applied` records are in the timelines."""

    api: Api
    cache: CacheOfTwo
    log: Log = field(default_factory=Log)
    applied: dict[Lane, int] = field(default_factory=lambda: {Lane.NORMAL: 0, Lane.BULK: 0})
    edges: list[EdgeRecord] = field(default_factory=list)  # The log; `counted` of them are in the sets.
    following: set[tuple[int, int]] = field(default_factory=set)
    ready_ms: dict[int, int] = field(default_factory=dict)
    delivery_of: dict[PhotoId, Delivery] = field(default_factory=dict)
    author_of: dict[int, int] = field(default_factory=dict)
    is_breaker_open: bool = False
    counted: int = 0
    # What killed workers had begun and not committed: posts, deletes, and how many records of a lane.
    unfinished: list[ReadyPhoto] = field(default_factory=list)
    leaving: dict[int, int] = field(default_factory=dict)
    begun: dict[Lane, int] = field(default_factory=lambda: {Lane.NORMAL: 0, Lane.BULK: 0})
    dies: KillAt | None = None  # The next worker.
    kills: int = 0
    followers_max: dict[int, int] = field(default_factory=lambda: dict.fromkeys(AUTHORS, 0))
    overload: OverloadWorld = field(init=False)
    settler: Settler = field(init=False)
    delivery_rules: DeliveryRules = field(init=False)
    undelivered: UndeliveredJob = field(init=False)

    def __post_init__(self) -> None:
        self.delivery_rules = DeliveryRules(LIMITS, lambda: Overload(is_breaker_open=self.is_breaker_open))
        self.undelivered = UndeliveredJob(
            self.api.memory,
            self.log,
            self.delivery_rules,
            LOCAL,
            owns=lambda: True,
            clock_ms=lambda: self.api.clock.ms,
        )
        self.overload = OverloadWorld(SETTINGS, self.api.memory)
        self.restart()

    async def survives(self, work: Work) -> bool:
        """Let a worker do the work, with its stores and its outbox; returns whether it was not killed."""
        dies, self.dies = self.dies, None
        flaky = FlakyStores(self.api.memory, dies) if dies else None
        try:
            if flaky is None:
                await work(self.api.memory, self.log)
            else:
                await work(flaky.stores, flaky.around("outbox", self.log))
        except Killed:
            self.kills += 1
            return False
        except StoreUnavailable:  # A delete waits for a server that hangs.
            assert self.cache.hangs
            return False
        return True

    def restart(self) -> None:
        """Another worker becomes the one that settles."""
        clock = self.api.clock
        self.overload.now_ms = clock.ms
        self.overload.watch = watch = self.overload.worker()
        watch.clock_s = lambda: clock.ms / 1_000
        self.settler = self.settler_of(self.api.memory, self.log)

    def settler_of(self, stores: Stores, outbox: Any) -> Settler:
        clock = self.api.clock
        probe: Any = self.api.memory.redis_probe
        return Settler(
            SETTINGS,
            stores.deferred,
            stores.counted_sets,
            outbox,
            self.overload.watch,
            probe,
            LOCAL,
            owns=lambda: True,
            clock_ms=lambda: clock.ms,
            clock_s=lambda: clock.ms / 1_000,
        )

    async def take(self, step: Step) -> None:
        name, one, two = step
        author, reader = AUTHORS[one % 2], READERS[two % len(READERS)]
        match name:
            case "follow" | "unfollow":
                await self.follow(reader, author, removed=name == "unfollow")
            case "crowd":
                await self.crowd(author, removed=bool(two % 2))
            case "count":
                await self.count()
            case "kill":
                self.dies = KillAt(number=one, done=bool(two % 2))
            case "retry":
                await self.retry()
            case "post":
                await self.post(author)
            case "delete":
                await self.delete(one)
            case "breaker":
                self.is_breaker_open = bool(one % 2)
            case "apply":
                await self.apply((Lane.NORMAL, Lane.BULK)[one % 2], 1 + two)
            case "settle":
                await self.settle()
            case "restart":
                self.restart()
            case "hang":
                self.cache.hangs.add(one % 2)
            case "go on":
                self.cache.hangs.discard(one % 2)
            case "look":
                await self.look()
            case "later":
                await self.later(two / 2)
            case "much later":
                await self.later(30)
            case "read":
                await self.read(reader)

    async def follow(self, reader: int, author: int, *, removed: bool) -> None:
        await self.api.follow(reader, author, removed=removed)
        (self.following.discard if removed else self.following.add)((reader, author))
        self.edges.append(EdgeRecord(SetKind.FOLLOWERS, reader, author, self.api.clock.us(), removed=removed))
        followers = sum(followee == author for _, followee in self.following)
        self.followers_max[author] = max(self.followers_max[author], followers)

    async def crowd(self, author: int, *, removed: bool) -> None:
        """All readers follow the author, or all leave: the author crosses both thresholds at once."""
        for reader in READERS:
            await self.follow(reader, author, removed=removed)
        await self.count()

    async def count(self) -> None:
        """The one writer of the followers takes what is on `edges`."""

        async def work(stores: Stores, outbox: Any) -> None:
            writer = SetWriter(
                stores.counted_sets,
                stores.cache,
                outbox,
                bucket_members_max=1_000,
                backfill_follows_max=10,
                generation=1,
            )
            end = len(self.edges)
            await writer.apply(self.edges[self.counted :], self.counted, end)
            self.counted = end

        if self.counted < len(self.edges):
            await self.survives(work)

    async def post(self, author: int) -> None:
        await self.retry()
        self.api.clock.ms += 1
        photo = compose_id(self.api.clock.ms, 5_000, 0)
        await self.api.upload(photo, author)
        self.author_of[photo] = author
        await self.make_ready(ReadyPhoto(PhotoId(photo), UserId(author), RENDITIONS))

    async def make_ready(self, photo: ReadyPhoto) -> None:
        async def work(stores: Stores, outbox: Any) -> None:
            self.delivery_of |= await photos_ready(
                stores,
                outbox,
                [photo],
                delivery_rules=self.delivery_rules,
                sizes=LOCAL,
                now_ms=self.api.clock.ms,
            )

        if not await self.survives(work):
            self.unfinished.append(photo)
        row = (await self.api.memory.photos.get([photo.photo_id]))[photo.photo_id]
        if row.status is Status.READY:
            self.ready_ms.setdefault(photo.photo_id, self.api.clock.ms)

    async def look(self) -> None:
        """Finish what was delivered beside a server that hung."""

        async def work(stores: Stores, outbox: Any) -> None:
            self.undelivered.stores, self.undelivered.outbox = stores, outbox
            await self.undelivered.look()

        await self.survives(work)

    async def retry(self) -> None:
        """Handle again what killed workers left, or else the newest post, whose commit was lost."""
        unfinished, self.unfinished = self.unfinished, []
        if not unfinished and self.ready_ms and (newest := max(self.ready_ms)) in self.author_of:
            unfinished = [ReadyPhoto(PhotoId(newest), UserId(self.author_of[newest]), RENDITIONS)]
        for photo in unfinished:
            # A handler looks for the tombstone before it makes a photo ready.
            if photo.photo_id in self.author_of:
                await self.make_ready(photo)
        for deleted, author in list(self.leaving.items()):
            await self.finish_delete(deleted, author)

    async def delete(self, which: int) -> None:
        if self.author_of:
            photo = sorted(self.author_of)[which % len(self.author_of)]
            self.leaving[photo] = author = self.author_of.pop(photo)
            await self.finish_delete(photo, author)

    async def finish_delete(self, photo: int, author: int) -> None:
        async def work(stores: Stores, _: Any) -> None:
            await stores.photos.write_tombstone(PhotoId(photo), UserId(author))
            await hide_photo(stores, PhotoId(photo), UserId(author))

        if await self.survives(work):
            del self.leaving[photo]

    def records(self, lane: Lane) -> list[Any]:
        of_all = zip(self.log.fanout_log, self.log.fanout_lanes, strict=True)
        return [record for record, of_lane in of_all if of_lane is lane]

    async def apply(self, lane: Lane, count: int) -> None:
        """Apply the next records of a lane, store the checkpoint, and commit."""
        at, partition = self.applied[lane], FIRST[lane]
        records = self.records(lane)[at : at + max(count, self.begun[lane])]

        async def work(stores: Stores, _: Any) -> None:
            posts = [record for record in records if not isinstance(record, Backfill)]
            puts = await photos_for_owners(stores, posts, page_copy_s=60)
            await put_photos(stores, puts, fresh_since_ms=self.api.clock.ms - 60_000)
            for record in records:
                if isinstance(record, Backfill):
                    await backfill(stores, record, photos_max=100)
            if records:
                # A worker that was killed may have stored the checkpoint, and not committed.
                stored = (await stores.timelines.checkpoints([partition]))[partition]
                end = at + len(records)
                assert await stores.timelines.save_checkpoint(partition, end, expected=stored)
                await stores.timelines.confirm({partition: end})

        if not await self.survives(work):
            self.begun[lane] = len(records)
            return
        self.begun[lane] = 0
        self.applied[lane] = at + len(records)
        self.overload.backlog.commits[partition] = at + len(records)

    async def settle(self) -> None:
        """What the watch knows, then a turn."""
        self.overload.now_ms = self.api.clock.ms
        self.overload.backlog.lanes = {
            lane: LaneBacklog(10 * waiting, waiting)
            for lane in (Lane.NORMAL, Lane.BULK)
            if (waiting := len(self.records(lane)) - self.applied[lane]) >= 0
        }
        await self.overload.watch.refresh()
        if self.dies is None:
            await self.settler.turn()
        # A worker that has just begun to settle, and is killed.
        elif not await self.survives(lambda stores, outbox: self.settler_of(stores, outbox).turn()):
            self.restart()

    async def later(self, seconds: float) -> None:
        broker, namespace = self.api.log_ends, self.api.settings.namespace
        broker.end_of[EDGES.name, 0] = len(self.edges)
        broker.commit_of[group_of(namespace, Role.EDGES), EDGES.name, 0] = self.counted
        for lane, partition in FIRST.items():
            broker.end_of[FANOUT.name, partition] = len(self.records(lane))
            broker.commit_of[group_of(namespace, ROLE_OF[lane]), FANOUT.name, partition] = self.applied[lane]
        await self.api.later(seconds)

    def wanted(self, reader: int) -> set[int]:
        """Return the ready photos of the reader's followees."""
        return {
            photo
            for photo, author in self.author_of.items()
            if (reader, author) in self.following and photo in self.ready_ms
        }

    async def read(self, reader: int) -> None:
        """Assert that a page has nothing twice, no ghost, and what it says to be complete in."""
        page = await self.api.page(reader, limit=100)
        assert page.ids == sorted(set(page.ids), reverse=True)
        wanted = self.wanted(reader)
        # While a delete is not acknowledged, its photo may be shown, or not.
        leaving = {photo for photo, author in self.leaving.items() if (reader, author) in self.following}
        assert set(page.ids) - leaving <= wanted
        if page.completeness is Completeness.COMPLETE:
            since_ms = self.api.clock.ms - READY_S_MAX * 1_000
            assert {photo for photo in wanted if self.ready_ms[photo] < since_ms} <= set(page.ids)

    async def walk(self, reader: int) -> list[int]:
        """Return the reader's whole feed, from pages of a few photos; every page must be complete."""
        ids: list[int] = []
        below: int | None = None
        while True:
            page = await self.api.page(reader, limit=PAGE_OF_WALK, below=below)
            assert page.completeness is Completeness.COMPLETE
            ids += page.ids
            below = page.below
            if below is None:
                return ids

    async def come_to_rest(self) -> None:
        """Let everything be handled, and every deferred post be settled."""
        self.is_breaker_open, self.dies = False, None
        self.cache.hangs.clear()
        await self.retry()
        await self.count()
        for _ in range(100):
            await self.look()
            for lane in FIRST:
                await self.apply(lane, len(self.log.fanout_log))
            await self.later(1)
            await self.settle()
            if not await self.api.memory.deferred.periods() and not await self.undelivered_photos():
                return
        raise AssertionError("posts are still deferred, or undelivered")

    async def undelivered_photos(self) -> set[PhotoId]:
        """Return those that exist: a handler that is late may list one again that was deleted meanwhile."""
        return (await self.api.memory.undelivered.all()).keys() & self.author_of.keys()

    async def check(self) -> None:
        """Assert that counts, authors and feeds are right, and feeds also after all timelines are lost."""
        memory = self.api.memory
        summaries = await memory.counted_sets.summaries(SetKind.FOLLOWERS, AUTHORS)
        assert {author: summary.total for author, summary in summaries.items()} == {
            author: sum(followee == author for _, followee in self.following) for author in AUTHORS
        }
        expected = {reader: sorted(self.wanted(reader), reverse=True) for reader in READERS}
        assert {reader: await self.walk(reader) for reader in READERS} == expected
        await memory.timelines.forget_all()
        assert {reader: await self.walk(reader) for reader in READERS} == expected
        await self.check_authors()

    async def check_authors(self) -> None:
        """Assert that the next post of each author is delivered by their number, and the pulled authors."""
        memory = self.api.memory
        pulled = await memory.pulled_authors.all()
        assert all(self.followers_max[author] >= LIMITS.pull_followers_min for author in pulled)
        for author in AUTHORS:
            before = (await memory.authors.modes_by_size([UserId(author)]))[UserId(author)]
            followers = sum(followee == author for _, followee in self.following)
            least = LIMITS.push_again_followers_max + 1 if before is Mode.PULL else LIMITS.pull_followers_min
            mode = Mode.PULL if followers >= least else Mode.PUSH
            await self.post(author)
            photo = PhotoId(max(self.author_of))
            after = (await memory.authors.modes_by_size([UserId(author)]))[UserId(author)]
            assert (self.delivery_of[photo].mode, after) == (mode, mode)
            if mode is Mode.PULL:
                assert author in await memory.pulled_authors.all()
