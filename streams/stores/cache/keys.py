"""How the copies in Redis are called, and what their bytes are.

    f + user     whom the user follows: pairs of followee and seen_ms, 8 bytes each
    s + photo    what readers see of the photo's row, as JSON; `null` for one that does not exist
    a + author   the author's newest photos: how many are ready, these, then the others; 8 bytes each
    k + user + era   the newest photos of one era that the user likes: the floor, then these, 8 bytes each
    c + kind + owner   a counted set's total, decimal

Ids are 8 bytes, big-endian. Whoever writes the truth drops the copy. A copy of another
shape gets another letter, because processes of two versions share a Redis for a while.
"""

from schemas.ids import pack_id
from schemas.internal import SetKind

_COUNT_PREFIX = {SetKind.FOLLOWERS: b"cf", SetKind.LIKERS: b"cl", SetKind.READY_PHOTOS: b"cp"}


def following_key(user: int) -> bytes:
    return b"f" + pack_id(user)


def photo_key(photo: int) -> bytes:
    return b"s" + pack_id(photo)


def pull_list_key(author: int) -> bytes:
    return b"a" + pack_id(author)


def likes_key(user: int, era: int) -> bytes:
    return b"k" + pack_id(user) + pack_id(era)


def count_key(kind: SetKind, owner: int) -> bytes:
    return _COUNT_PREFIX[kind] + pack_id(owner)
