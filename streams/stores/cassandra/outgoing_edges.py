"""Outgoing edges in Cassandra, with the event's time as write timestamp."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from operator import itemgetter

from cassandra.query import PreparedStatement

from schemas.ids import PhotoId, UserId
from streams.clock import unix_us
from streams.core.counted import Membership
from streams.core.edges import EraLikes, Following, FollowingCounts, FollowingRows, OutgoingEdge
from streams.core.eras import era_of
from streams.core.feed import END
from streams.ports.edges import OutgoingEdges
from streams.stores.cassandra.session import CassandraSession, Row

# One request with 100 rows costs a tenth of 100 requests, on the client and on the server.
# A call takes a few milliseconds, however many rows the user has.
FOLLOWING_ROWS_A_CALL = 2_000


class CassandraOutgoingEdges(OutgoingEdges):
    """Tables `following` and `likes_by_user`.

    At equal write timestamps Cassandra prefers a cell that expires over one that does not, and a
    greater value over a smaller one. So `removed = true` wins, as the port promises.
    """

    def __init__(
        self,
        session: CassandraSession,
        removed_ttl_s: int,
        *,
        following_rows_a_call: int = FOLLOWING_ROWS_A_CALL,
    ) -> None:
        self._session = session
        self._removed_ttl_us = removed_ttl_s * 1_000_000
        self._following_rows_a_call = following_rows_a_call
        self._follow = session.prepare(
            "INSERT INTO following (follower_id, followee_id, removed, seen_at) VALUES (?, ?, false, ?)"
            " USING TIMESTAMP ?"
        )
        self._unfollow = session.prepare(
            # Also overwrites seen_at. Without that, the follow's seen_at would keep the row after
            # the TTL.
            "INSERT INTO following (follower_id, followee_id, removed, seen_at) VALUES (?, ?, true, ?)"
            f" USING TIMESTAMP ? AND TTL {removed_ttl_s}"
        )
        self._following = session.prepare(
            # An integer, because a datetime costs the driver and us most of the time of a large set.
            "SELECT followee_id, removed, to_unix_timestamp(seen_at), WRITETIME(removed) FROM following"
            f" WHERE follower_id = ? AND followee_id > ? LIMIT {following_rows_a_call}"
        )
        # COUNT(*) would be one call that takes longer the more rows there are, and as long in all.
        self._following_states = session.prepare(
            "SELECT followee_id, removed FROM following WHERE follower_id = ? AND followee_id > ?"
            f" LIMIT {following_rows_a_call}"
        )
        self._follow_state = session.prepare(
            "SELECT removed, WRITETIME(removed) FROM following WHERE follower_id = ? AND followee_id = ?"
        )
        self._like = session.prepare(
            "INSERT INTO likes_by_user (user_id, era, photo_id, removed) VALUES (?, ?, ?, false)"
            " USING TIMESTAMP ?"
        )
        self._unlike = session.prepare(
            "INSERT INTO likes_by_user (user_id, era, photo_id, removed) VALUES (?, ?, ?, true)"
            f" USING TIMESTAMP ? AND TTL {removed_ttl_s}"
        )
        self._liked = session.prepare(
            "SELECT photo_id, removed FROM likes_by_user WHERE user_id = ? AND era IN ? AND photo_id IN ?"
        )
        self._newest_likes = session.prepare(
            "SELECT photo_id, removed FROM likes_by_user WHERE user_id = ? AND era = ?"
            " ORDER BY photo_id DESC LIMIT ?"
        )
        self._like_state = session.prepare(
            "SELECT removed, WRITETIME(removed) FROM likes_by_user"
            " WHERE user_id = ? AND era = ? AND photo_id = ?"
        )

    async def write(self, kind: OutgoingEdge, member: UserId, owner: int, state: Membership) -> None:
        await self.write_all(kind, [(member, owner, state)])

    async def write_all(self, kind: OutgoingEdge, edges: Sequence[tuple[UserId, int, Membership]]) -> None:
        bound = [self._bound(kind, *edge) for edge in edges]
        await self._session.batches(bound)

    def _bound(
        self, kind: OutgoingEdge, member: UserId, owner: int, state: Membership
    ) -> tuple[PreparedStatement, tuple[object, ...]]:
        if kind is OutgoingEdge.LIKES:
            statement = self._unlike if state.removed else self._like
            return statement, (member, era_of(owner), owner, state.time_us)
        statement = self._unfollow if state.removed else self._follow
        return statement, (member, owner, datetime.now(UTC), state.time_us)

    async def state(self, kind: OutgoingEdge, member: UserId, owner: int) -> Membership | None:
        if kind is OutgoingEdge.LIKES:
            rows = await self._session.rows(self._like_state, member, era_of(owner), owner)
        else:
            rows = await self._session.rows(self._follow_state, member, owner)
        return Membership(time_us=rows[0][1], removed=rows[0][0]) if rows else None

    async def following(self, follower: UserId) -> Following:
        return (await self.following_rows(follower)).following

    async def following_rows(self, follower: UserId) -> FollowingRows:
        pages = [rows async for rows in self._pages(self._following, follower)]
        following = {
            followee: seen_ms for rows in pages for followee, removed, seen_ms, _ in rows if removed is False
        }
        newest_us = max(map(itemgetter(3), chain.from_iterable(pages)), default=0)
        # A row that has expired was written at least its TTL ago.
        return FollowingRows(following, max(newest_us, unix_us() - self._removed_ttl_us))

    async def following_counts(self, follower: UserId) -> FollowingCounts:
        followees = removed = 0
        async for rows in self._pages(self._following_states, follower):
            removed_here = sum(row[1] for row in rows)
            removed += removed_here
            followees += len(rows) - removed_here
        return FollowingCounts(followees=followees, removed=removed)

    async def _pages(self, statement: PreparedStatement, follower: UserId) -> AsyncIterator[list[Row]]:
        """Yield all rows of the follower, a call at a time; the first column is the followee."""
        after = 0
        while True:
            rows = await self._session.rows(statement, follower, after)
            yield rows
            if len(rows) < self._following_rows_a_call:
                return
            after = rows[-1][0]

    async def liked(self, user: UserId, photos: Sequence[PhotoId]) -> set[PhotoId]:
        if not photos:
            return set()
        eras = sorted({era_of(photo) for photo in photos})
        rows = await self._session.rows(self._liked, user, eras, list(photos))
        return {PhotoId(photo) for photo, removed in rows if removed is False}

    async def newest_likes(self, user: UserId, era: int, count: int) -> EraLikes:
        rows = await self._session.rows(self._newest_likes, user, era, count)
        return EraLikes(
            photos=[PhotoId(photo) for photo, removed in rows if removed is False],
            # All likes above the floor are known. The last row's photo is known too, liked or not,
            # so the floor is the id below it.
            floor=rows[-1][0] - 1 if len(rows) == count else END,
        )
