"""The keys of cached values in Redis, and the bytes of the values.

    g + user     whom the user follows: pairs of followee and seen_ms, 8 bytes each; with a tail (`tails.py`)
    n + user     how many users the user follows, and how many removed rows there are; 8 bytes each
    s + photo    what readers see of the photo's row, as JSON; `null` if there is no such photo
    a + author   the author's newest photos: how many are ready, the ready ones, the others; 8 bytes each
    k + user + era   the user's newest likes of photos of one era: the floor, then the photos; 8 bytes each
    c + kind + owner   a counted set's total, decimal
    b + author + level + bucket + stamp   the followers in one bucket, 8 bytes each

Ids are 8 bytes, big-endian. A process that writes the database invalidates the cached value, or
appends its change to it. A new encoding needs a new letter, because during a deploy processes of
two versions share one Redis.
"""

from collections.abc import Iterable

from schemas.ids import ID_BYTES, pack_id, pack_ids
from schemas.internal import SetKind
from streams.core.sets import BucketKey

_COUNT_PREFIX = {SetKind.FOLLOWERS: b"cf", SetKind.LIKERS: b"cl", SetKind.READY_PHOTOS: b"cp"}


def following_key(user: int) -> bytes:
    return b"g" + pack_id(user)


def following_counts_key(user: int) -> bytes:
    return b"n" + pack_id(user)


def photo_key(photo: int) -> bytes:
    return b"s" + pack_id(photo)


def keys_of_photo(photo: int, author: int) -> tuple[bytes, bytes]:
    """Return the keys of the photo and of its author's list; both say whether it is ready."""
    return photo_key(photo), pull_list_key(author)


def photo_keys(photos: Iterable[int]) -> list[bytes]:
    return [b"s" + packed for packed in _packed(photos)]


def pull_list_key(author: int) -> bytes:
    return b"a" + pack_id(author)


def likes_key(user: int, era: int) -> bytes:
    return b"k" + pack_id(user) + pack_id(era)


def follower_page_key(bucket: BucketKey, stamp: int) -> bytes:
    return b"b" + pack_ids([bucket.owner, bucket.level, bucket.bucket, stamp])


def count_key(kind: SetKind, owner: int) -> bytes:
    return _COUNT_PREFIX[kind] + pack_id(owner)


def count_keys(kind: SetKind, owners: Iterable[int]) -> list[bytes]:
    prefix = _COUNT_PREFIX[kind]
    return [prefix + packed for packed in _packed(owners)]


def _packed(ids: Iterable[int]) -> list[bytes]:
    packed = pack_ids(ids)
    return [packed[at : at + ID_BYTES] for at in range(0, len(packed), ID_BYTES)]
