"""Law: complete means delivered, whatever is pushed, pulled or deferred, and however late the lanes are.

Real handlers, applier calls, settler and pages over stores in memory. Authors cross the threshold between
push and pull, followers come and go, photos are deleted, the breaker opens and closes, lanes stand still, and
the settler is replaced. Hypothesis looks for a schedule after which a page shows a photo twice, a ghost, or
claims to be complete without a photo that has been ready for more than five seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.ids import PhotoId, UserId, compose_id
from schemas.internal import Backfill, EdgeRecord, SetKind
from streams.core.delivery import DeliveryLimits, DeliveryRules, Overload
from streams.core.feed import Completeness
from streams.core.overload.backlog import LaneBacklog
from streams.edges.counting import SetWriter
from streams.overload.settling import Settler
from streams.photos.ready import ReadyPhoto, photos_ready
from streams.settings import OverloadSettings
from streams.timelines.fanout import backfill, photos_for_owners, put_photos
from tests.worlds.api import RENDITIONS, make_world
from tests.worlds.api import World as Api
from tests.worlds.deliveries import OverloadWorld
from tests.worlds.kafka import LOCAL
from tests.worlds.renditions import Log
from topics.catalogue import FANOUT, Lane

AUTHORS, READERS = (2, 3), tuple(range(10, 16))
LIMITS = DeliveryLimits(
    pull_followers_min=4, push_again_followers_max=2, celebrity_push_followers_max=0, push_s_max=5
)
SETTINGS = OverloadSettings(
    breaker_open_deliveries=1_000, breaker_close_deliveries=500, deferred_after_applied_s=2
)
READY_S_MAX = 5.0
FIRST = {lane: LOCAL.range_of(FANOUT, lane).start for lane in (Lane.NORMAL, Lane.BULK)}
Step = tuple[str, int, int]


@dataclass
class World:
    """The whole pipeline; each lane has one log, of which `applied` records are in the timelines."""

    api: Api
    log: Log = field(default_factory=Log)
    applied: dict[Lane, int] = field(default_factory=lambda: {Lane.NORMAL: 0, Lane.BULK: 0})
    edges: list[EdgeRecord] = field(default_factory=list)
    following: set[tuple[int, int]] = field(default_factory=set)
    ready_ms: dict[int, int] = field(default_factory=dict)
    author_of: dict[int, int] = field(default_factory=dict)
    is_breaker_open: bool = False
    counted: int = 0
    overload: OverloadWorld = field(init=False)
    settler: Settler = field(init=False)

    def __post_init__(self) -> None:
        self.overload = OverloadWorld(SETTINGS, self.api.memory)
        self.writer = SetWriter(
            self.api.memory.counted_sets,
            self.api.memory.cache,
            self.log,
            bucket_members_max=1_000,
            backfill_follows_max=10,
            generation=1,
        )
        self.restart()

    def restart(self) -> None:
        """Another worker becomes the one that settles."""
        clock = self.api.clock
        self.overload.now_ms = clock.ms
        self.overload.watch = watch = self.overload.worker()
        watch.clock_s = lambda: clock.ms / 1_000
        probe: Any = self.api.memory.redis_probe
        self.settler = Settler(
            SETTINGS,
            self.api.memory.deferred,
            self.api.memory.counted_sets,
            self.log,
            watch,
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
            case "count":
                await self.count()
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
            case "later":
                await self.later(two / 2)
            case "read":
                await self.read(reader)

    async def follow(self, reader: int, author: int, *, removed: bool) -> None:
        await self.api.follow(reader, author, removed=removed)
        (self.following.discard if removed else self.following.add)((reader, author))
        self.edges.append(EdgeRecord(SetKind.FOLLOWERS, reader, author, self.api.clock.us(), removed=removed))

    async def count(self) -> None:
        """The one writer of the followers takes what is on `edges`."""
        records, self.edges = self.edges, []
        if records:
            await self.writer.apply(records, self.counted, self.counted + len(records))
            self.counted += len(records)

    async def post(self, author: int) -> None:
        self.api.clock.ms += 1
        photo = compose_id(self.api.clock.ms, 5_000, 0)
        await self.api.upload(photo, author)
        await photos_ready(
            self.api.memory,
            self.log,
            [ReadyPhoto(PhotoId(photo), UserId(author), RENDITIONS)],
            delivery_rules=DeliveryRules(LIMITS, lambda: Overload(is_breaker_open=self.is_breaker_open)),
            sizes=LOCAL,
            now_ms=self.api.clock.ms,
        )
        self.ready_ms[photo], self.author_of[photo] = self.api.clock.ms, author

    async def delete(self, which: int) -> None:
        if self.author_of:
            photo = sorted(self.author_of)[which % len(self.author_of)]
            await self.api.delete(photo, self.author_of.pop(photo))

    def records(self, lane: Lane) -> list[Any]:
        of_all = zip(self.log.fanout_log, self.log.fanout_lanes, strict=True)
        return [record for record, of_lane in of_all if of_lane is lane]

    async def apply(self, lane: Lane, count: int) -> None:
        """Apply the next records of a lane, store the checkpoint, and commit."""
        stores, at = self.api.memory, self.applied[lane]
        records = self.records(lane)[at : at + count]
        posts = [record for record in records if not isinstance(record, Backfill)]
        puts = await photos_for_owners(stores, posts, page_copy_s=60)
        await put_photos(stores, puts, fresh_since_ms=self.api.clock.ms - 60_000)
        for record in records:
            if isinstance(record, Backfill):
                await backfill(stores, record, photos_max=100)
        self.applied[lane] = at + len(records)
        if records:
            assert await stores.timelines.save_checkpoint(FIRST[lane], at + len(records), expected=at)
            await stores.timelines.confirm({FIRST[lane]: at + len(records)})
        self.overload.backlog.commits[FIRST[lane]] = at + len(records)

    async def settle(self) -> None:
        """What the watch knows, then a turn."""
        self.overload.now_ms = self.api.clock.ms
        self.overload.backlog.lanes = {
            lane: LaneBacklog(10 * waiting, waiting)
            for lane in (Lane.NORMAL, Lane.BULK)
            if (waiting := len(self.records(lane)) - self.applied[lane]) >= 0
        }
        await self.overload.watch.refresh()
        await self.settler.turn()

    async def later(self, seconds: float) -> None:
        for lane, partition in FIRST.items():
            self.api.log_ends.end_of[FANOUT.name, partition] = len(self.records(lane))
        await self.api.later(seconds)

    async def read(self, reader: int) -> None:
        page = await self.api.page(reader, limit=100)
        assert page.ids == sorted(set(page.ids), reverse=True)
        wanted = {photo for photo, author in self.author_of.items() if (reader, author) in self.following}
        assert set(page.ids) <= wanted
        if page.completeness is Completeness.COMPLETE:
            since_ms = self.api.clock.ms - READY_S_MAX * 1_000
            assert {photo for photo in wanted if self.ready_ms[photo] < since_ms} <= set(page.ids)

    async def come_to_rest(self) -> None:
        """Let everything be handled, and every deferred post be settled."""
        self.is_breaker_open = False
        await self.count()
        for _ in range(100):
            for lane in FIRST:
                await self.apply(lane, len(self.log.fanout_log))
            await self.later(1)
            await self.settle()
            if not await self.api.memory.deferred.periods():
                return
        raise AssertionError("posts are still deferred")


edges = st.lists(st.tuples(st.sampled_from(READERS), st.sampled_from(AUTHORS)), min_size=4, unique=True)
numbers = st.integers(0, 11)
names = st.sampled_from(
    [
        *("follow", "unfollow", "count", "post", "post", "delete", "breaker", "apply", "apply", "settle"),
        *("settle", "restart", "later", "later", "read", "read"),
    ]
)
steps = st.lists(st.tuples(names, numbers, numbers), min_size=12, max_size=60)


@pytest.mark.law("L15")
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(network=edges, schedule=steps, starts_open=st.booleans())
async def test_no_page_lies_whatever_happens(
    network: Sequence[tuple[int, int]], schedule: Sequence[Step], starts_open: bool
) -> None:
    """Nor at the end, when every timeline has what its owner follows."""
    world = World(await make_world(recent_follow_s=1), is_breaker_open=starts_open)
    for reader, author in network:
        await world.follow(reader, author, removed=False)
    await world.count()
    await world.apply(Lane.NORMAL, len(network))
    await world.later(2)
    for reader in READERS[::2]:  # These have a timeline from the start.
        await world.read(reader)
    for step in schedule:
        await world.take(step)
    await world.come_to_rest()
    await world.later(10)
    for reader in READERS:
        await world.read(reader)
        assert (await world.api.page(reader)).completeness is Completeness.COMPLETE
