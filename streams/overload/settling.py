"""Settle deferred posts: push them through the bulk lane, then take them off the readers' list.

One worker settles, the owner of the first partition of the bulk lane. So the pace of a post and the budget of
the lane hold for all workers together. Posts take turns of one record each, the oldest first: a giant shares
the budget with others, and a small post is done in one turn.

A worker may die between any two lines. What was published and not stored as such is published again, which
changes nothing. A post leaves the list only some time after the commits of the bulk lane show that its last
record was applied, because readers take the list before the timeline. Two owners for a moment do the same
work twice.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import inf
from statistics import median
from time import monotonic

from schemas.ids import PhotoId
from schemas.internal import OwnPost, SetKind
from streams.clock import unix_ms
from streams.core.checkpoints import reached
from streams.core.counted import BUCKETS, RECORD_MEMBERS
from streams.core.overload.budget import BulkBudget
from streams.core.overload.deferral import DeferredPost
from streams.core.overload.pace import Pace
from streams.core.sets import SetSummary
from streams.errors import StoreUnavailable
from streams.metrics import BULK_BUDGET
from streams.overload.watch import OverloadWatch
from streams.photos.fanout_messages import is_one_record, pages_of, shared_messages
from streams.ports.edges import CountedSets
from streams.ports.health import StoreProbe
from streams.ports.photos import DeferredPosts
from streams.ports.publishing import FanoutMessage, Outbox
from streams.settings import OverloadSettings
from streams.telemetry.lines import log_each
from topics.catalogue import Lane
from topics.sizes import Sizes

TURN_S = 0.1
MEASURE_S = 1.0
LATE_S_MAX = 0.2  # A turn that comes later than this does not make up for all of it.
PUSHES_MAX = 256  # Posts that take turns, of which at most half are large.
# Commits, and what this process knows of them, are up to two seconds old. With less in flight a push would
# be slower than its pace.
IN_FLIGHT_S = 3
# Of the waiting posts of each kind, when places are given to them.
LOOKED_AT_MAX = 1_000
# A record that was published so long before a look at the log was seen by it.
SEEN_S_MAX = 1.0
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Push:
    """A post whose records are published one by one; None for one that shares its record with others."""

    post: DeferredPost
    followers: SetSummary
    pace: Pace
    records: Iterator[tuple[FanoutMessage, int]] | None  # With the first bucket after it.
    chosen: int = 0  # Deliveries of the records that are being published.
    # Ends of the logs after records of this post, and their deliveries, until they are applied.
    in_flight: deque[tuple[Mapping[int, int], int]] = field(default_factory=deque)


@dataclass(slots=True)
class Settler:
    """`owns` says whether this worker settles; `clock_ms` is the wall clock, `clock_s` is monotonic."""

    settings: OverloadSettings
    deferred: DeferredPosts
    counted_sets: CountedSets
    outbox: Outbox
    watch: OverloadWatch
    redis_probe: StoreProbe
    sizes: Sizes
    owns: Callable[[], bool]
    clock_ms: Callable[[], int] = unix_ms
    clock_s: Callable[[], float] = monotonic
    _budget: BulkBudget = field(init=False)
    _pace_of_all: Pace = field(init=False)
    _measured_s: float = field(init=False)
    _pushes: dict[PhotoId, _Push] = field(default_factory=dict, init=False)
    _published: deque[tuple[float, int]] = field(default_factory=deque, init=False)
    _applied_s: dict[PhotoId, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self._budget = BulkBudget(
            settings.bulk_deliveries_per_s, settings.bulk_redis_ms_max, settings.bulk_oldest_s_max
        )
        self._pace_of_all = self._pace(self._budget.per_s)
        self._measured_s = self.clock_s()

    async def run(self) -> None:
        """Settle until cancelled."""
        while True:
            began_s = self.clock_s()
            try:
                await self.turn()
            except StoreUnavailable as error:
                log.debug("deferred posts are not settled, and tried again soon: %s", error)
            await asyncio.sleep(max(0.0, TURN_S - (self.clock_s() - began_s)))

    async def turn(self) -> None:
        """Publish what the budget allows, and remove the posts that have been applied for long enough.

        Raises:
            StoreUnavailable: Some posts may be published and not stored as such; they are published again.
        """
        if not self.owns():
            self._pushes.clear()
            self._applied_s.clear()
            return
        now_s = self.clock_s()
        if now_s - self._measured_s >= MEASURE_S:
            self._measured_s = now_s
            await self._measure()
            await self._remove_applied(now_s)
        try:
            while await self._publish(now_s):
                pass
        except StoreUnavailable:
            self._pushes.clear()  # What is stored says where to go on.
            raise

    async def _measure(self) -> None:
        """Adjust the budget to how quick Redis and the normal lane are."""
        began_s = self.clock_s()
        try:
            await self.redis_probe.check()
            redis_ms = 1_000 * (self.clock_s() - began_s)
        except StoreUnavailable:
            redis_ms = inf
        # Of most partitions: one that stands still says nothing of what the bulk lane uses.
        oldest_s = median(self.watch.now().oldest_s.values() or [0.0])
        self._budget.observe(redis_ms=redis_ms, oldest_s=oldest_s)
        self._pace_of_all.per_s = self._budget.per_s
        BULK_BUDGET.set(self._budget.per_s)

    async def _publish(self, now_s: float) -> bool:
        """Publish a round of turns; returns whether there may be another one."""
        await self._begin()
        records, shared = self._choose(now_s)
        if not records and not shared:
            return False
        records += shared_messages(
            [(push.post.photo_id, push.post.author_id) for push in shared],
            {push.post.author_id: push.followers for push in shared},
            self.clock_ms(),
            self.sizes,
            Lane.BULK,
        )
        self._published.append((now_s, sum(record.deliveries for record in records)))
        await self._save(await self.outbox.fanout(records, Lane.BULK))
        return True

    async def _begin(self) -> None:
        """Let further posts take turns, the oldest first; large ones leave places to others."""
        known = self.watch.known
        kinds = [known.due] if self.watch.is_postponing() else [known.due, known.postponed]
        posts: list[DeferredPost] = []
        for is_large in (False, True):
            free = PUSHES_MAX // 2 - sum(_is_large(push.post) is is_large for push in self._pushes.values())
            waiting = (
                post
                for kind in kinds
                for post in islice(kind.values(), LOOKED_AT_MAX)
                if post.photo_id not in self._pushes and _is_large(post) is is_large
            )
            posts += islice(waiting, max(0, free))
        if not posts:
            return
        authors = list({post.author_id for post in posts})
        followers = await self.counted_sets.summaries(SetKind.FOLLOWERS, authors)
        for post in sorted(posts, key=lambda post: post.photo_id):
            self._pushes[post.photo_id] = self._push(post, followers[post.author_id])

    def _push(self, post: DeferredPost, followers: SetSummary) -> _Push:
        pace = self._pace(self.settings.post_deliveries_per_s)
        if is_one_record(followers):
            return _Push(post, followers, pace, None)
        if post.level != followers.level:  # The buckets that were published are those of another level.
            post = replace(post, level=followers.level, next_bucket=0)
        return _Push(post, followers, pace, self._records(post, followers))

    def _records(self, post: DeferredPost, followers: SetSummary) -> Iterator[tuple[FanoutMessage, int]]:
        if not post.next_bucket:
            yield FanoutMessage(OwnPost(post.photo_id, post.author_id, self.clock_ms()), 1), 0
        pages = pages_of(
            post.photo_id, post.author_id, followers, self.clock_ms(), first_bucket=post.next_bucket
        )
        for page in pages:
            yield page, page.record.bucket + page.record.buckets  # type: ignore[union-attr]

    def _choose(self, now_s: float) -> tuple[list[FanoutMessage], Sequence[_Push]]:
        """Return the records of the next turns, and the posts whose records are still to be made.

        Who has had a turn goes to the end, so that the next call begins with those who waited.
        """
        room = self._room()
        records: list[FanoutMessage] = []
        shared: list[_Push] = []
        had_turn = True
        while had_turn:
            had_turn = False
            for photo, push in list(self._pushes.items()):
                if room <= 0 or not self._pace_of_all.is_free(now_s):
                    return records, shared
                if push.post.is_sent:
                    continue
                if push.records is None:
                    shared.append(push)
                    push.post = replace(push.post, is_sent=True)
                    deliveries = push.followers.total + 1
                elif push.pace.is_free(now_s) and self._may_be_in_flight(push):
                    record, next_bucket = next(push.records)
                    is_sent = next_bucket == BUCKETS[push.followers.level]
                    push.post = replace(push.post, next_bucket=next_bucket, is_sent=is_sent)
                    records.append(record)
                    deliveries = record.deliveries
                    push.pace.spend(deliveries, now_s)
                else:
                    continue
                push.chosen += deliveries
                self._pace_of_all.spend(deliveries, now_s)
                room -= deliveries
                self._pushes[photo] = self._pushes.pop(photo)
                had_turn = True
        return records, shared

    def _may_be_in_flight(self, push: _Push) -> bool:
        """Whether more of the post may be in the log: the lane applies as fast as it can what has waited."""
        committed = self.watch.backlog.committed
        while push.in_flight and reached(push.in_flight[0][0], committed):
            push.in_flight.popleft()
        in_flight = push.chosen + sum(deliveries for _, deliveries in push.in_flight)
        return in_flight <= IN_FLIGHT_S * self.settings.post_deliveries_per_s

    def _room(self) -> int:
        """Return how many deliveries may be published now; one record may when nothing is in flight.

        What is settled must never open the breaker, nor keep it open.
        """
        while self._published and self._published[0][0] < self.watch.refreshed_s - SEEN_S_MAX:
            self._published.popleft()
        in_flight = self.watch.lanes[Lane.BULK].deliveries + sum(count for _, count in self._published)
        most = min(
            IN_FLIGHT_S * self.settings.bulk_deliveries_per_s, self.settings.breaker_open_deliveries // 2
        )
        if self.watch.now().is_breaker_open:
            most = min(most, self.settings.breaker_close_deliveries // 2)
        return max(most - in_flight, 1 if not in_flight else 0)

    async def _save(self, ends: Mapping[int, int]) -> None:
        """Store what was published; `ends` may be later than the ends of a post's own records."""
        published = [push for push in self._pushes.values() if push.chosen]
        for push in published:
            push.post = replace(push.post, ends={**push.post.ends, **ends})
            push.in_flight.append((ends, push.chosen))
            push.chosen = 0
        await self.deferred.save_progress([push.post for push in published])
        for push in published:
            self.watch.known.put(push.post)
            if push.post.is_sent:
                del self._pushes[push.post.photo_id]

    async def _remove_applied(self, now_s: float) -> None:
        committed, known = self.watch.backlog.committed, self.watch.known
        for photo in self._applied_s.keys() - known.sent.keys():
            del self._applied_s[photo]
        for photo, post in known.sent.items():
            if photo not in self._applied_s and reached(post.ends, committed):
                self._applied_s[photo] = now_s
        over = [
            known.sent[photo]
            for photo, applied_s in self._applied_s.items()
            if now_s - applied_s >= self.settings.deferred_after_applied_s
        ]
        await self.deferred.remove(over)
        for post in over:
            known.drop(post)
        rows = ({"photo_id": str(post.photo_id)} for post in over)
        log_each(log, logging.INFO, "settled: a deferred photo is on all timelines", rows, {})
        for period, version in known.empty_periods().items():
            await self.deferred.forget(period, version)

    def _pace(self, per_s: int) -> Pace:
        return Pace(per_s, LATE_S_MAX, self.clock_s())


def _is_large(post: DeferredPost) -> bool:
    return post.followers > RECORD_MEMBERS
