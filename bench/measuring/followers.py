"""Followers by the hundred thousand, written by the code that counts them, but without Kafka.

50,000 followers are one batch. Through Kafka about 1,500 follows a second are counted.
"""

import time
from collections.abc import Collection, Mapping, Sequence

from more_itertools import chunked

from schemas.ids import UserId
from schemas.internal import EdgeRecord, SetKind
from streams.core.counted import Membership, bucket_of, level_for
from streams.core.edges import OutgoingEdge
from streams.edges.counting import SetWriter
from streams.errors import StoreUnavailable
from streams.ports.groups import Stores
from streams.ports.publishing import FanoutMessage
from streams.retrying import with_backoff
from streams.settings import Settings
from topics.catalogue import Lane

BATCH_FOLLOWERS = 50_000


class _NoBackfills:
    """The timelines of these followers are empty, and need no backfill."""

    async def fanout(self, messages: Sequence[FanoutMessage], lane: Lane) -> Mapping[int, int]:
        return {}


async def load_followers(
    stores: Stores,
    settings: Settings,
    account: UserId,
    followers: Sequence[UserId],
    readers: Collection[UserId],
) -> None:
    """Make `followers` follow the account, before any worker has counted a follower of it.

    Only `readers`, who are among them, also have the followee in what they follow; others cannot read a feed.
    """
    now_us = time.time_ns() // 1_000
    state = Membership(now_us, removed=False)
    # Before all generations, so that workers write later.
    writer = SetWriter(
        stores.counted_sets,
        stores.cache,
        _NoBackfills(),
        bucket_members_max=settings.bucket_members_max,
        backfill_follows_max=settings.backfill_follows_max,
        generation=0,
    )
    # Cassandra may be too slow for so much at once.
    retrying = with_backoff(on=StoreUnavailable, first_s=1.0, max_s=10.0, tries_max=20)
    level = level_for(len(followers), 0, settings.bucket_members_max)
    # By bucket, so that most pages are written once.
    ordered = sorted(followers, key=lambda follower: bucket_of(follower, level))
    for number, some in enumerate(chunked(ordered, BATCH_FOLLOWERS)):
        records = [EdgeRecord(SetKind.FOLLOWERS, one, account, now_us, removed=False) for one in some]
        await retrying(writer.apply, records, number, number + 1)
    for reader in readers:
        await stores.outgoing_edges.write(OutgoingEdge.FOLLOWING, reader, account, state)
