"""The least that deliveries cost on this Redis: the product's script and rings, in pipelines.

And rivals on the same Redis: what other systems send for each timeline of a photo without mentions,
here in pipelines, though they pay a round trip for most commands. Their timelines begin empty, too.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from more_itertools import chunked, sliced
from redis import Redis

from schemas.ids import ID_BYTES, pack_id, pack_ids
from streams.core import ring
from streams.settings import TimelineSettings

PREFIX = b"floor.t"
CALLS_A_PIPELINE = 32
OWNERS_A_PIPELINE = 1_000
FEED_ITEMS_MAX = 400


class ScriptFloor:
    """`timeline_append.lua` on rings of its own; its arguments are those of `RedisTimelines.append`."""

    def __init__(self, redis: Redis, settings: TimelineSettings) -> None:
        self._redis = redis
        self._settings = settings
        script = files("streams.stores.redis") / "lua" / "timeline_append.lua"
        self._sha = redis.script_load(script.read_text())

    def make(self, owners: Sequence[int]) -> None:
        """Give each owner an empty timeline."""
        for some in chunked(owners, OWNERS_A_PIPELINE):
            self._redis.mset({PREFIX + pack_id(owner): self.ring(()) for owner in some})

    def ring(self, photos: Sequence[int]) -> bytes:
        slots = self._settings.timeline_slots
        return ring.lay_out(sorted(photos)[-slots:], slots=slots, floor=0, version=0, token=ring.NO_TOKEN)

    def deliver(self, posts: Sequence[tuple[Sequence[int], Sequence[int]]]) -> None:
        """Append each (photos, owners)."""
        page_bytes = self._settings.append_owners_max * ID_BYTES
        calls = [(photos, page) for photos, owners in posts for page in sliced(pack_ids(owners), page_bytes)]
        for some in chunked(calls, CALLS_A_PIPELINE):
            pipe = self._redis.pipeline(transaction=False)
            for photos, page in some:
                pipe.evalsha(self._sha, 1, PREFIX, PREFIX, pack_ids(photos), page)
            pipe.execute()


def _mastodon(pipe: Any, owner: int, photo: int, number: int) -> None:
    """mastodon/mastodon 000dabb18b21, app/lib/feed_manager.rb: push_to_home, add_to_feed, trim."""
    feed = f"feed:home:{owner}"
    pipe.zscore(f"{feed}:reblogs", photo)
    pipe.zadd(feed, {str(photo): photo})
    pipe.zremrangebyrank(feed, 0, -FEED_ITEMS_MAX - 1)
    pipe.zrevrange(feed, 40, 40, withscores=True)
    pipe.zrangebyscore(f"{feed}:reblogs", 0, photo)
    pipe.exists(f"subscribed:timeline:{owner}")


def _pixelfed(pipe: Any, owner: int, photo: int, number: int) -> None:
    """pixelfed/pixelfed 115a9d2dec6e, app/Services/HomeTimelineService.php: add."""
    feed = f"pf:services:timeline:home:{owner}"
    pipe.zcard(feed)
    pipe.zadd(feed, {str(photo): photo})


def _misskey(pipe: Any, owner: int, photo: int, number: int) -> None:
    """misskey-dev/misskey 0b2dd3a5f3dd, packages/backend/src/core/FanoutTimelineService.ts: push.

    A note with files goes to two lists; each is trimmed one time in ten.
    """
    for feed in (f"list:homeTimeline:{owner}", f"list:homeTimelineWithFiles:{owner}"):
        pipe.lpush(feed, f"{photo:x}")
        if number % 10 == 0:
            pipe.ltrim(feed, 0, FEED_ITEMS_MAX - 1)


RIVALS: Mapping[str, Callable[[Any, int, int, int], None]] = {
    "Mastodon's commands": _mastodon,
    "Pixelfed's commands": _pixelfed,
    "Misskey's commands": _misskey,
}


def rival_deliver(redis: Redis, rival: str, photos: Sequence[int], owners: Sequence[int]) -> None:
    """Send the commands of a rival for each photo and owner."""
    commands = RIVALS[rival]
    for photo in photos:
        for start in range(0, len(owners), OWNERS_A_PIPELINE):
            pipe = redis.pipeline(transaction=False)
            for number, owner in enumerate(owners[start : start + OWNERS_A_PIPELINE]):
                commands(pipe, owner, photo, number)
            pipe.execute()
