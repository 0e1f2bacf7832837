"""Deferred posts are pushed evenly, fairly and completely, and stay on the readers' list until then."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import pytest

from schemas.ids import PhotoId, UserId
from schemas.internal import FanoutPage, FanoutPosts, OwnPost, SetKind
from streams.core.counted import BUCKETS, level_for
from streams.core.delivery import DeliveryReason
from streams.core.overload.backlog import LaneBacklog
from streams.core.overload.deferral import DeferredPost
from streams.core.sets import SetSummary
from streams.errors import StoreUnavailable
from streams.overload.settling import TURN_S, Settler
from streams.ports.publishing import FanoutMessage
from streams.settings import OverloadSettings
from streams.stores.memory.stores import memory_stores
from tests.worlds.deliveries import OverloadWorld
from tests.worlds.kafka import LOCAL
from topics.catalogue import FANOUT, Lane

BULK = LOCAL.range_of(FANOUT, Lane.BULK)
SETTINGS = OverloadSettings()
COMMIT_S, REFRESH_S = 1.0, 0.5


@dataclass
class Sets:
    """The followers of each author; only their number is asked for."""

    totals: dict[int, int]

    async def summaries(self, kind: SetKind, owners: Sequence[int]) -> Mapping[int, SetSummary]:
        return {
            owner: SetSummary(level_for(self.totals[owner], 0, 1_000), self.totals[owner], 1)
            for owner in owners
        }


@dataclass
class World:
    """A bulk lane in simulated time, which applies what was published at `applied_per_s`.

    `log` has each message with the second in which it was published. `dies_at` names calls of the outbox and
    the stores, before which, or after which, the settler's process dies.
    """

    totals: dict[int, int]
    settings: OverloadSettings = SETTINGS
    applied_per_s: int = 10_000_000
    now_s: float = 0.0
    redis_s: float = 0.0
    log: list[tuple[float, int, FanoutMessage]] = field(default_factory=list)
    overload: OverloadWorld = field(init=False)
    settler: Settler = field(init=False)
    _applied: int = 0
    _committed: int = 0
    _credit: float = 0.0

    def __post_init__(self) -> None:
        self.overload = OverloadWorld(self.settings, memory_stores(clock_ms=lambda: self.overload.now_ms))
        self.restart()

    def restart(self) -> None:
        """Another worker becomes the one that settles."""
        self.overload.watch = self.overload.worker()
        self.overload.watch.clock_s = lambda: self.now_s
        sets: Any = Sets(self.totals)
        self.settler = Settler(
            self.settings,
            self.overload.stores.deferred,
            sets,
            self,
            self.overload.watch,
            self,
            LOCAL,
            owns=lambda: True,
            clock_ms=lambda: self.overload.now_ms,
            clock_s=lambda: self.now_s,
        )

    async def fanout(self, messages: Sequence[FanoutMessage], lane: Lane) -> Mapping[int, int]:
        assert lane is Lane.BULK
        for message in messages:
            self.log.append((self.now_s, BULK[len(self.log) % len(BULK)], message))
        ends = Counter(partition for _, partition, _ in self.log)
        return dict(ends)

    async def check(self) -> None:
        """The probe of Redis takes `redis_s`; if that is infinite, it is refused at once."""
        if self.redis_s == inf:
            raise StoreUnavailable("redis", "probe", "its breaker is open")
        self.now_s += self.redis_s

    async def edges(self, records: object) -> None:
        raise AssertionError

    async def renditions(self, tasks: object, lane: Lane) -> None:
        raise AssertionError

    async def defer(self, author: int, *photos: int, **fields: Any) -> None:
        post = DeferredPost(
            photo_id=PhotoId(1),
            author_id=UserId(author),
            reason=DeliveryReason.SLOW_PUSH,
            followers=self.totals[author],
            ready_ms=self.overload.now_ms,
        )
        await self.overload.stores.deferred.add(
            [replace(post, photo_id=PhotoId(photo), **fields) for photo in photos]
        )

    async def go(self, seconds: float) -> None:
        """Let time pass; commits and what the process knows are as old as they are on servers."""
        if not self.overload.watch.lanes:
            await self.overload.watch.refresh()
        for _ in range(round(seconds / TURN_S)):
            self.now_s = round(self.now_s + TURN_S, 3)
            self.overload.now_ms += int(TURN_S * 1_000)
            self._credit += self.applied_per_s * TURN_S
            while self._applied < len(self.log) and self._credit >= 0:
                self._credit -= self.log[self._applied][2].deliveries
                self._applied += 1
            self._credit = min(self._credit, 0.0) if self._applied == len(self.log) else self._credit
            if self.now_s % COMMIT_S < TURN_S:
                self.overload.backlog.commits = dict(
                    Counter(partition for _, partition, _ in self.log[: self._applied])
                )
                self._committed = self._applied
            if self.now_s % REFRESH_S < TURN_S:
                waiting = self.log[self._committed :]
                self.overload.backlog.lanes[Lane.BULK] = LaneBacklog(
                    sum(message.deliveries for _, _, message in waiting), len(waiting)
                )
                await self.overload.watch.refresh()
            await self.settler.turn()

    def published(self) -> dict[int, Counter[object]]:
        """How often each photo was put on its author's timeline, and on those of each bucket."""
        found: dict[int, Counter[object]] = defaultdict(Counter)
        for _, _, message in self.log:
            match message.record:
                case OwnPost(photo, _, _):
                    found[photo]["own"] += 1
                case FanoutPage() as page:
                    found[page.photo_id].update(range(page.bucket, page.bucket + page.buckets))
                case FanoutPosts() as posts:
                    for photo, _, level, _ in posts.posts:
                        found[photo]["own"] += 1
                        found[photo].update(range(BUCKETS[level]))
        return found

    def complete(self, author: int) -> set[object]:
        """What a photo of the author must have been put on."""
        return {"own", *range(BUCKETS[level_for(self.totals[author], 0, 1_000)])}

    def a_second(self) -> list[int]:
        """The most deliveries that were published in any second, for each photo of a giant."""
        by_photo: dict[int, list[tuple[float, int]]] = defaultdict(list)
        for at_s, _, message in self.log:
            if isinstance(message.record, FanoutPage):
                by_photo[message.record.photo_id].append((at_s, message.deliveries))
        return [
            max(sum(n for when_s, n in some if at_s <= when_s < at_s + 1) for at_s, _ in some)
            for some in by_photo.values()
        ]

    async def left(self) -> int:
        """How many posts are still deferred."""
        deferred = self.overload.stores.deferred
        return sum([len(await deferred.of_period(period)) for period in await deferred.periods()])


async def test_small_posts_are_pushed_together_and_leave_the_list_a_minute_after() -> None:
    world = World(dict.fromkeys(range(1, 21), 200))
    for author in range(1, 21):
        await world.defer(author, author, 100 + author)
    await world.go(3)
    assert all(counts == Counter(world.complete(1)) for counts in world.published().values())
    assert len(world.published()) == 40
    assert len(world.log) <= 20
    assert await world.left() == 40

    await world.go(56)
    assert await world.left() == 40
    await world.go(6)
    assert await world.left() == 0
    assert await world.overload.stores.deferred.periods() == {}
    assert world.overload.watch.known.photos_of([UserId(1)]) == []


@pytest.mark.parametrize("killed_s", [None, 10.0])
async def test_a_post_to_a_million_followers_takes_twenty_seconds_evenly(killed_s: float | None) -> None:
    """Also if the worker that settles is killed at half: another one goes on."""
    world = World({1: 1_000_000})
    await world.defer(1, 7, reason=DeliveryReason.CELEBRITY_PUSHED)
    if killed_s is not None:
        await world.go(killed_s)
        world.restart()
    await world.go(30)

    assert set(world.published()[7]) == world.complete(1)
    took_s = world.log[-1][0] - world.log[0][0]
    assert 18 <= took_s <= 22
    assert max(world.a_second()) <= 60_000


async def test_ten_giants_and_small_posts_share_the_budget() -> None:
    """Each ends within 1.5 times its fair share of it, and the small ones do not wait for the giants."""
    world = World(dict.fromkeys(range(1, 11), 100000) | {99: 200})
    for author in range(1, 11):
        await world.defer(author, author)
    await world.go(1)
    await world.defer(99, *range(1_000, 1_400))
    await world.go(40)

    deliveries = 10 * 100_000 + 400 * 201
    fair_s = deliveries / world.settings.bulk_deliveries_per_s
    ended_s = {
        message.record.photo_id: at_s
        for at_s, _, message in world.log
        if isinstance(message.record, FanoutPage)
    }
    assert len(ended_s) == 10
    assert max(ended_s.values()) <= 1.5 * fair_s
    shared_s = [at_s for at_s, _, message in world.log if isinstance(message.record, FanoutPosts)]
    assert max(shared_s) <= 1 + 1.5 * fair_s / 2
    assert len(world.published()) == 410


@pytest.mark.parametrize("redis_s", [0.051, inf])
async def test_the_lane_gives_way_while_redis_is_slow(redis_s: float) -> None:
    """To a twentieth of its budget, and comes back."""
    world = World({1: 1_000_000, 2: 1_000_000})
    await world.defer(1, 7)
    await world.defer(2, 8)
    world.redis_s = redis_s
    await world.go(15)
    late = sum(message.deliveries for at_s, _, message in world.log if at_s >= 8) / 7
    assert 3_000 <= late <= 8_000

    world.redis_s = 0.0
    await world.go(25)
    again = sum(message.deliveries for at_s, _, message in world.log if at_s >= world.now_s - 3) / 3
    assert 90_000 <= again <= 120_000


async def test_nobody_waits_for_many_giants() -> None:
    """Thirty giants advance alike, also with the least budget, and small posts are done in a few turns."""
    world = World(dict.fromkeys(range(1, 31), 1_000_000) | {99: 50})
    for author in range(1, 31):
        await world.defer(author, author)
    await world.go(5)
    await world.defer(99, *range(100, 105))
    world.redis_s = inf
    await world.go(15)

    done: Counter[int] = Counter()
    small_s = []
    for at_s, _, message in world.log:
        if isinstance(message.record, FanoutPage):
            done[message.record.photo_id] += message.deliveries
        elif isinstance(message.record, FanoutPosts):
            small_s.append(at_s)
    assert len(done) == 30
    assert max(done.values()) - min(done.values()) <= 3_000
    assert max(small_s) <= 7


async def test_a_lane_that_stood_still_gets_no_burst_of_one_post() -> None:
    """It applies as fast as it can what has waited, so only some seconds of a post may wait."""
    world = World({1: 2_000_000}, applied_per_s=0)
    world._credit = -1.0
    await world.defer(1, 7)
    await world.go(30)

    in_log = sum(message.deliveries for _, _, message in world.log)
    assert 150_000 <= in_log <= 155_000


async def test_after_an_outage_the_oldest_posts_go_on_first() -> None:
    world = World(dict.fromkeys(range(1, 400), 20_000))
    for author in range(1, 400):
        await world.defer(author, author)
    await world.go(3)
    begun = {message.record.photo_id for _, _, message in world.log if isinstance(message.record, FanoutPage)}
    world.settler._pushes.clear()  # As after a store that did not answer.
    before = len(world.log)
    await world.go(3)

    went_on = [m.record.photo_id for _, _, m in world.log[before:] if isinstance(m.record, FanoutPage)]
    assert begun <= set(range(1, 129))
    assert set(went_on) <= set(range(1, 129))


async def test_what_is_settled_never_opens_the_breaker() -> None:
    """However small its limits are: 3,000 to open and 200 to close, and 300 posts of 900 followers."""
    settings = OverloadSettings(breaker_open_deliveries=3_000, breaker_close_deliveries=200)
    world = World(dict.fromkeys(range(1, 301), 900), settings, applied_per_s=20_000)
    for author in range(1, 301):
        await world.defer(author, author, reason=DeliveryReason.BREAKER)
    await world.go(400)

    assert world.overload.announced == []
    assert len(world.published()) == 300
    assert await world.left() == 0


async def test_postponed_posts_wait_for_the_switch_and_others_do_not() -> None:
    settings = OverloadSettings(breaker_open_deliveries=1_000, breaker_close_deliveries=500)
    world = World({1: 100, 2: 100}, settings)
    world.overload.backlog.lanes[Lane.NORMAL] = LaneBacklog(2_000, 10)
    await world.defer(1, 7, reason=DeliveryReason.BREAKER)
    await world.defer(2, 8, reason=DeliveryReason.SLOW_PUSH)
    await world.go(10)
    assert set(world.published()) == {8}

    world.overload.backlog.lanes[Lane.NORMAL] = LaneBacklog()
    await world.go(10)
    assert set(world.published()) == {7, 8}


@pytest.mark.law("L15")
async def test_a_post_stays_on_the_list_while_its_records_are_not_applied() -> None:
    """A bulk lane without a worker applies nothing."""
    world = World({1: 100}, applied_per_s=0)
    world._credit = -1.0
    await world.defer(1, 7)
    await world.go(300)
    assert (len(world.published()), await world.left()) == (1, 1)

    world.applied_per_s, world._credit = 1_000, 0.0
    await world.go(65)
    assert await world.left() == 0


async def test_a_set_that_grew_to_another_level_is_pushed_again() -> None:
    """The buckets that were published are those of the level before."""
    world = World({1: 200_000})
    await world.defer(1, 7)
    await world.go(2)
    assert 0 < sum(world.published()[7].values()) < BUCKETS[2]
    world.totals[1] = 300_000
    world.restart()
    await world.go(20)

    pages = [
        message.record
        for _, _, message in world.log
        if isinstance(message.record, FanoutPage) and message.record.level == 3
    ]
    assert {n for page in pages for n in range(page.bucket, page.bucket + page.buckets)} == set(
        range(BUCKETS[3])
    )


@pytest.mark.law("L15")
@pytest.mark.parametrize("call", range(24))
@pytest.mark.parametrize("done", [False, True])
async def test_a_settler_that_dies_at_any_call_loses_nothing(call: int, done: bool) -> None:
    """Another one goes on; at no moment is a post neither on the list nor applied everywhere."""
    world = World({1: 30_000, 2: 5})
    await world.defer(1, 7)
    await world.defer(2, 8, 9)
    calls = 0
    died = False

    def dies(name: str, inner: Any) -> Any:
        async def around(*args: Any) -> Any:
            nonlocal calls, died
            calls += 1
            if calls == call and not done:
                died = True
                raise StoreUnavailable("any", name, "killed")
            result = await inner(*args)
            if calls == call:
                died = True
                raise StoreUnavailable("any", name, "killed")
            return result

        return around

    deferred: Any = world.overload.stores.deferred
    world.settler.deferred = type(
        "Dying",
        (),
        {
            name: staticmethod(dies(name, getattr(deferred, name)))
            for name in ("save_progress", "remove", "forget")
        },
    )()
    world.settler.outbox = type("Dying", (), {"fanout": staticmethod(dies("fanout", world.fanout))})()
    for _ in range(700):
        try:
            await world.go(TURN_S)
        except StoreUnavailable:
            world.restart()
        listed = {
            post.photo_id for period in await deferred.periods() for post in await deferred.of_period(period)
        }
        applied: dict[int, set[object]] = defaultdict(set)
        whole, world.log = world.log, world.log[: world._applied]
        for photo, counts in world.published().items():
            applied[photo] = set(counts)
        world.log = whole
        for photo, author in ((7, 1), (8, 2), (9, 2)):
            assert photo in listed or applied[photo] == world.complete(author)
    assert died or call == 0 or calls < call
    assert await world.left() == 0
