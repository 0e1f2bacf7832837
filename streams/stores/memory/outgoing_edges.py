"""Outgoing edges, and marks of removals, in memory."""

from collections.abc import Callable, Sequence

from schemas.ids import PhotoId, UserId
from streams.core.counted import Membership
from streams.core.edges import EraLikes, Following, FollowingCounts, FollowingRows, OutgoingEdge
from streams.core.eras import era_of
from streams.core.feed import END
from streams.ports.edges import OutgoingEdges, RemovalMarks, ScannedUsers, UserScan
from streams.stores.memory.photos import MemoryAuthorPhotos
from streams.stores.memory.rows import LatestRows


class MemoryOutgoingEdges(OutgoingEdges):
    """Each user's followees and liked photos."""

    def __init__(self, clock_ms: Callable[[], int], removed_ttl_ms: int) -> None:
        self._clock_ms = clock_ms
        self._removed_ttl_ms = removed_ttl_ms
        self._rows: dict[tuple[OutgoingEdge, UserId], LatestRows] = {}
        self._seen_ms: dict[tuple[UserId, int], int] = {}

    async def write(self, kind: OutgoingEdge, member: UserId, owner: int, state: Membership) -> None:
        await self.write_all(kind, [(member, owner, state)])

    async def write_all(self, kind: OutgoingEdge, edges: Sequence[tuple[UserId, int, Membership]]) -> None:
        for member, owner, state in edges:
            rows = self._member_rows(kind, member)
            rows.put(owner, state)
            if kind is OutgoingEdge.FOLLOWING and rows.get(owner) == state:
                self._seen_ms[member, owner] = self._clock_ms()

    async def state(self, kind: OutgoingEdge, member: UserId, owner: int) -> Membership | None:
        return self._member_rows(kind, member).get(owner)

    async def following(self, follower: UserId) -> Following:
        return (await self.following_rows(follower)).following

    async def following_rows(self, follower: UserId) -> FollowingRows:
        rows = dict(self._member_rows(OutgoingEdge.FOLLOWING, follower).items())
        following = {
            UserId(followee): self._seen_ms[follower, followee]
            for followee, state in rows.items()
            if not state.removed
        }
        expired_us = (self._clock_ms() - self._removed_ttl_ms) * 1_000
        return FollowingRows(following, max(0, expired_us, *(state.time_us for state in rows.values())))

    async def following_counts(self, follower: UserId) -> FollowingCounts:
        states = [state for _, state in self._member_rows(OutgoingEdge.FOLLOWING, follower).items()]
        removed = sum(state.removed for state in states)
        return FollowingCounts(followees=len(states) - removed, removed=removed)

    async def liked(self, user: UserId, photos: Sequence[PhotoId]) -> set[PhotoId]:
        rows = self._member_rows(OutgoingEdge.LIKES, user)
        return {photo for photo in photos if (state := rows.get(photo)) is not None and not state.removed}

    async def newest_likes(self, user: UserId, era: int, count: int) -> EraLikes:
        rows = [
            (photo, state)
            for photo, state in self._member_rows(OutgoingEdge.LIKES, user).items()
            if era_of(photo) == era
        ]
        newest = rows[-count:]
        return EraLikes(
            photos=[PhotoId(photo) for photo, state in reversed(newest) if not state.removed],
            floor=newest[0][0] - 1 if len(newest) == count else END,
        )

    def followers(self) -> set[UserId]:
        """Return everybody who has a row of a follow."""
        return {member for kind, member in self._rows if kind is OutgoingEdge.FOLLOWING}

    def _member_rows(self, kind: OutgoingEdge, member: UserId) -> LatestRows:
        return self._rows.setdefault((kind, member), LatestRows(self._clock_ms, self._removed_ttl_ms))


class MemoryUserScan(UserScan):
    """Scans in the order of ids, which are the positions."""

    def __init__(self, outgoing_edges: MemoryOutgoingEdges, author_photos: MemoryAuthorPhotos) -> None:
        self._ids = {
            ScannedUsers.FOLLOWERS: outgoing_edges.followers,
            ScannedUsers.AUTHORS: author_photos.authors,
        }

    async def after(self, users: ScannedUsers, position: int, *, limit: int) -> Sequence[tuple[int, UserId]]:
        return [(user, user) for user in sorted(self._ids[users]()) if user > position][:limit]


class MemoryRemovalMarks(RemovalMarks):
    """The time and the expiry of each mark."""

    def __init__(self, clock_ms: Callable[[], int], ttl_ms: int) -> None:
        self._clock_ms = clock_ms
        self._ttl_ms = ttl_ms
        self._marks: dict[tuple[OutgoingEdge, UserId, int], tuple[int, int]] = {}

    async def put(self, kind: OutgoingEdge, member: UserId, owner: int, time_us: int) -> None:
        self._marks[kind, member, owner] = time_us, self._clock_ms() + self._ttl_ms

    async def times(self, kind: OutgoingEdge, edges: Sequence[tuple[UserId, int]]) -> list[int | None]:
        return [self._time(kind, *edge) for edge in edges]

    def _time(self, kind: OutgoingEdge, member: UserId, owner: int) -> int | None:
        time_us, expires_ms = self._marks.get((kind, member, owner), (None, 0))
        return time_us if self._clock_ms() < expires_ms else None
