"""The canary posts every few seconds, and reads the feed of its follower as an app does.

It publishes as an upstream app. The renditions that its photos name do not exist, and nobody but its follower
sees them. It deletes what the feed still shows of former posts, so nothing piles up whenever the process is
killed; but only posts that are too old for another monitor to wait for. Its authors take turns: a deleted
photo is a row to read past in its author's list for ten days (Cassandra's `gc_grace_seconds`), and of one
author that would be 86,000 rows.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic
from typing import NamedTuple

from schemas.facts import EventData, PhotoDeleted, PhotoUploaded, Rendition, UserFollowed
from schemas.ids import PhotoId, UserId, compose_id, id_ms
from schemas.times import utc_datetime_of_ms
from streams.clock import unix_ms
from streams.errors import StoreUnavailable
from streams.limited_log import LimitedLog
from streams.monitor.metrics import CANARY_FRESHNESS, CANARY_POSTS, CANARY_SEEN
from streams.settings.canary import CANARY_AUTHORS

# Between two reads of the feed: at first this, later a tenth of the time since the post.
READ_S = 0.1
OBJECT_KEY, THUMBNAIL_KEY = "canary/original.jpg", "canary/thumbnail.jpg"
THUMBNAIL_SIDE = 150
log = LimitedLog(logging.getLogger(__name__))


class Outcome(StrEnum):
    """What became of a post."""

    SEEN = "seen"
    LATE = "late"
    FAILED = "failed"


class Post(NamedTuple):
    """A photo of a feed."""

    photo_id: PhotoId
    author_id: UserId


@dataclass(slots=True, kw_only=True)
class Canary:
    """Posts every `interval_s`; its authors have the ids after `reader`. `clock_s` is monotonic.

    `noted` is told what became of each post.
    `publish` returns when an event is acknowledged, `feed` the newest photos of the reader's feed. Both raise
    StoreUnavailable.
    """

    publish: Callable[[EventData], Awaitable[None]]
    feed: Callable[[], Awaitable[Sequence[Post]]]
    reader: UserId
    shard: int
    interval_s: float
    late_s: float
    wait_s_max: float
    noted: Callable[[Outcome], None] = lambda _: None
    clock_ms: Callable[[], int] = unix_ms
    clock_s: Callable[[], float] = monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _posts: int = field(default=0, init=False)
    _followed: set[UserId] = field(default_factory=set, init=False)
    # What the feed has shown at the last read.
    _shown: Sequence[Post] = field(default=(), init=False)

    async def run(self) -> None:
        """Post until cancelled, through the outages of everything."""
        for outcome in Outcome:
            CANARY_POSTS.labels(outcome.value)  # So that a rate of 0 is known before the first of its kind.
        while True:
            began_s = self.clock_s()
            try:
                outcome = await self.post()
            except Exception:  # The monitor must not end by what it only watches.
                logging.getLogger(__name__).exception("the canary failed by a bug")
                outcome = Outcome.FAILED
            CANARY_POSTS.labels(outcome.value).inc()
            self.noted(outcome)
            await self.sleep(max(0.0, self.interval_s - (self.clock_s() - began_s)))

    async def post(self) -> Outcome:
        """Post once, wait until that is seen, and delete what the feed shows; returns what became of it."""
        author = UserId(self.reader + 1 + self._posts % CANARY_AUTHORS)
        self._posts += 1
        began_s, now_ms = self.clock_s(), self.clock_ms()
        post = Post(PhotoId(compose_id(now_ms, self.shard, 0)), author)
        try:
            await self._publish(post, now_ms)
            took_s = await self._seen_after(post, began_s)
        except StoreUnavailable as error:
            log.warning(error.operation, "the post of the canary was not published: %s", error)
            took_s = None
        await self._delete({post, *(shown for shown in self._shown if self._is_left(shown))})
        if took_s is None:
            return Outcome.FAILED
        CANARY_FRESHNESS.observe(took_s)
        CANARY_SEEN.set(self.clock_ms() / 1_000)
        return Outcome.SEEN if took_s <= self.late_s else Outcome.LATE

    async def _publish(self, post: Post, now_ms: int) -> None:
        if post.author_id not in self._followed:
            await self.publish(UserFollowed(follower_id=self.reader, followee_id=post.author_id))
            self._followed.add(post.author_id)
        thumbnail = Rendition(object_key=THUMBNAIL_KEY, width=THUMBNAIL_SIDE, height=THUMBNAIL_SIDE)
        await self.publish(
            PhotoUploaded(
                photo_id=post.photo_id,
                author_id=post.author_id,
                object_key=OBJECT_KEY,
                content_type="image/jpeg",
                created_at=utc_datetime_of_ms(now_ms),
                renditions={"thumbnail": thumbnail},
            )
        )

    async def _seen_after(self, post: Post, began_s: float) -> float | None:
        """Read the feed until it shows the post; returns how long that took, None if it took too long."""
        failure: StoreUnavailable | None = None
        while True:
            try:
                self._shown = await self.feed()
            except StoreUnavailable as error:
                failure = error
            took_s = self.clock_s() - began_s
            if post in self._shown:
                return took_s
            if took_s >= self.wait_s_max:
                log.warning(
                    "feed", "no feed has shown the post of the canary for %.0f s: %s", took_s, failure or ""
                )
                return None
            await self.sleep(max(READ_S, took_s / 10))

    def _is_left(self, post: Post) -> bool:
        """Whether it is of a canary that no longer waits for it."""
        is_ours = self.reader < post.author_id <= self.reader + CANARY_AUTHORS
        return is_ours and self.clock_ms() - id_ms(post.photo_id) > self.wait_s_max * 1_000

    async def _delete(self, posts: set[Post]) -> None:
        """Delete the posts. What fails is shown and deleted at a later time."""
        for photo, author in sorted(posts):
            try:
                await self.publish(PhotoDeleted(photo_id=photo, author_id=author))
            except StoreUnavailable as error:
                log.warning(error.operation, "the post of the canary was not deleted: %s", error)
                return
