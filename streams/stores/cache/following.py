"""The cached copy of whom a user follows: a value with a tail, which own changes do not remove.

Without the tail, each change of a user with 10,000 followees would make the next page read all their rows.
The version of a tail's record is twice the time of the row, plus one if it is removed. So a removed row
wins at equal times, as in the database. The detail of a record is `seen_ms`.
"""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from struct import Struct
from sys import byteorder
from typing import cast

from schemas.ids import UserId
from streams.core.counted import Membership
from streams.core.edges import Following, FollowingRows
from streams.ports.cache import Cache
from streams.stores.cache.keys import following_counts_key, following_key

_RECORD = Struct(">3Q")
_PAIR_BYTES = 16


async def cache_follows(
    cache: Cache, edges: Sequence[tuple[UserId, int, Membership]], *, seen_ms: int
) -> None:
    """Append the changes to the followers' cached followees, and invalidate their cached counts.

    The rows must have been written before; `seen_ms` is the time of that, to about a second.

    May be repeated, late and in any order: a copy that cannot have a change is removed.

    Raises:
        StoreUnavailable: It is unknown whether a reader may still see an older copy.
    """
    records: dict[UserId, list[bytes]] = {}
    for follower, followee, state in edges:
        records.setdefault(follower, []).append(_RECORD.pack(followee, _version(state), seen_ms))
    await cache.append({following_key(follower): changes for follower, changes in records.items()})
    await cache.invalidate([following_counts_key(follower) for follower in records])


def encode_following(rows: FollowingRows) -> bytes:
    numbers = array("Q", bytes(_PAIR_BYTES * (1 + len(rows.following))))
    # A follow must be later than all rows. A removal of the same time wins against each of them.
    numbers[0] = _version(Membership(rows.newest_us, removed=False))
    numbers[1] = _PAIR_BYTES * len(rows.following)
    numbers[2::2] = array("Q", rows.following.keys())
    numbers[3::2] = array("Q", rows.following.values())
    if byteorder == "little":
        numbers.byteswap()
    return numbers.tobytes()


def decode_following(value: bytes) -> FollowingRows:
    # An array reads 10,000 pairs in 20 µs. `struct.unpack` would be slower, as it builds a tuple.
    numbers = array("Q", value)
    if byteorder == "little":
        numbers.byteswap()
    base_end = 2 + numbers[1] // 8
    followees, seen_ms = numbers[2:base_end:2], numbers[3:base_end:2]
    if base_end < len(numbers):
        _apply(numbers[base_end:], followees, seen_ms)
    following = dict(zip(followees, seen_ms, strict=True))
    return FollowingRows(cast(Following, following), newest_us=numbers[0] >> 1)


def _apply(tail: Sequence[int], followees: "array[int]", seen_ms: "array[int]") -> None:
    """Apply the records of the tail to the followees, which stay ascending."""
    for followee, version, detail in zip(tail[::3], tail[1::3], tail[2::3], strict=True):
        at = bisect_left(followees, followee)
        if followees[at : at + 1] == array("Q", [followee]):
            followees.pop(at)
            seen_ms.pop(at)
        if not version & 1:
            followees.insert(at, followee)
            seen_ms.insert(at, detail)


def _version(state: Membership) -> int:
    return state.time_us * 2 + state.removed
