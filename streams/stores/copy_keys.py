"""How the copies in Redis are called, and what their bytes are.

    f + user     whom the user follows: pairs of followee and seen_ms, 8 bytes each
    p + photo    the photo's row as JSON; `null` for one that does not exist
    l + author   the author's newest photos: pairs of photo and 1 when ready, 8 bytes each
    c + kind + owner   a counted set's total, decimal

Ids are 8 bytes, big-endian. Whoever writes the truth drops the copy.
"""

from schemas.ids import pack_id
from streams.stores.ports import SetKind

_COUNT_PREFIX = {SetKind.FOLLOWERS: b"cf", SetKind.LIKERS: b"cl", SetKind.READY_PHOTOS: b"cp"}


def following_key(user: int) -> bytes:
    return b"f" + pack_id(user)


def photo_key(photo: int) -> bytes:
    return b"p" + pack_id(photo)


def pull_list_key(author: int) -> bytes:
    return b"l" + pack_id(author)


def count_key(kind: SetKind, owner: int) -> bytes:
    return _COUNT_PREFIX[kind] + pack_id(owner)
