"""Authors' delivery modes, the authors whose photos are pulled, and deferred posts, in Cassandra."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from uuid import uuid1

from more_itertools import sliced

from schemas.ids import UserId
from streams.core.delivery import DeliveryReason, Mode
from streams.core.overload.deferral import NO_ENDS, DeferredPost
from streams.ports.photos import Authors, DeferredPosts, PulledAuthors
from streams.stores.cassandra.session import CassandraSession

AUTHORS_A_CALL = 100


class CassandraAuthors(Authors):
    """Table `authors`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._select = session.prepare("SELECT author_id, mode_by_size FROM authors WHERE author_id IN ?")
        self._insert = session.prepare("INSERT INTO authors (author_id, mode_by_size) VALUES (?, ?)")

    async def modes_by_size(self, authors: Sequence[UserId]) -> dict[UserId, Mode]:
        calls = [self._session.rows(self._select, list(ids)) for ids in sliced(authors, AUTHORS_A_CALL)]
        modes = dict.fromkeys(authors, Mode.PUSH)
        for rows in await asyncio.gather(*calls):
            modes |= {UserId(author): Mode(mode) for author, mode in rows}
        return modes

    async def remember_modes(self, modes: Mapping[UserId, Mode]) -> None:
        await self._session.batches([(self._insert, (author, mode)) for author, mode in modes.items()])


class CassandraPulledAuthors(PulledAuthors):
    """Table `pulled_authors`: one partition.

    `add` also changes the static cell `changed`, in the same mutation. So the cell is the version.
    """

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._add = session.prepare("INSERT INTO pulled_authors (shard, author_id, changed) VALUES (0, ?, ?)")
        self._changed = session.prepare("SELECT DISTINCT shard, changed FROM pulled_authors WHERE shard = 0")
        self._all = session.prepare("SELECT author_id FROM pulled_authors WHERE shard = 0")

    async def add(self, authors: Collection[UserId]) -> None:
        await self._session.batches([(self._add, (author, uuid1())) for author in authors])

    async def version(self) -> str:
        rows = await self._session.rows(self._changed)
        return str(rows[0][1]) if rows else ""

    async def all(self) -> frozenset[UserId]:
        return frozenset(UserId(row[0]) for row in await self._session.rows(self._all))


class CassandraDeferredPosts(DeferredPosts):
    """Tables `deferred_posts`, a partition for each period, and `deferred_periods`, one partition.

    The version of a period is the write timestamp of its row, which is written after the posts. A period is
    forgotten with that timestamp, so a row that was written meanwhile stays.
    """

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._add = session.prepare(
            "INSERT INTO deferred_posts (period, photo_id, author_id, reason, followers, ready_ms)"
            " VALUES (?, ?, ?, ?, ?, ?)"
        )
        self._touch = session.prepare(
            "INSERT INTO deferred_periods (shard, period, is_listed) VALUES (0, ?, true)"
        )
        self._periods = session.prepare(
            "SELECT period, WRITETIME(is_listed) FROM deferred_periods WHERE shard = 0"
        )
        self._of_period = session.prepare(
            "SELECT photo_id, author_id, reason, followers, ready_ms, level, next_bucket, ends, is_sent"
            " FROM deferred_posts WHERE period = ?"
        )
        self._save = session.prepare(
            "INSERT INTO deferred_posts (period, photo_id, author_id, reason, followers, ready_ms, level,"
            " next_bucket, ends, is_sent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        self._remove = session.prepare("DELETE FROM deferred_posts WHERE period = ? AND photo_id = ?")
        self._forget = session.prepare(
            "DELETE FROM deferred_periods USING TIMESTAMP ? WHERE shard = 0 AND period = ?"
        )

    async def add(self, posts: Collection[DeferredPost]) -> None:
        await self._session.batches([(self._add, _facts(post)) for post in posts])
        await self._list({post.period for post in posts})

    async def periods(self) -> Mapping[int, int]:
        rows = await self._session.rows(self._periods)
        return {period: written_us for period, written_us in rows if written_us is not None}

    async def of_period(self, period: int) -> list[DeferredPost]:
        return [
            DeferredPost(
                photo_id=photo,
                author_id=author,
                reason=DeliveryReason(reason),
                followers=followers,
                ready_ms=ready_ms,
                level=level or 0,
                next_bucket=next_bucket or 0,
                ends=dict(ends) if ends else NO_ENDS,
                is_sent=bool(is_sent),
            )
            for (
                photo,
                author,
                reason,
                followers,
                ready_ms,
                level,
                next_bucket,
                ends,
                is_sent,
            ) in await self._session.rows(self._of_period, period)
        ]

    async def save_progress(self, posts: Collection[DeferredPost]) -> None:
        # With all facts, so that no part of a row is left of a post that was removed meanwhile.
        await self._session.batches(
            [
                (
                    self._save,
                    (*_facts(post), post.level, post.next_bucket, dict(post.ends), post.is_sent),
                )
                for post in posts
            ]
        )
        await self._list({post.period for post in posts if post.is_sent})

    async def remove(self, posts: Collection[DeferredPost]) -> None:
        await self._session.batches([(self._remove, (post.period, post.photo_id)) for post in posts])

    async def forget(self, period: int, version: int) -> None:
        await self._session.rows(self._forget, version, period)

    async def _list(self, periods: Collection[int]) -> None:
        await self._session.batches([(self._touch, (period,)) for period in periods])


def _facts(post: DeferredPost) -> tuple[object, ...]:
    return (
        post.period,
        post.photo_id,
        post.author_id,
        post.reason.value,
        post.followers,
        post.ready_ms,
    )
