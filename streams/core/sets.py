"""Counted sets as they are stored: a summary for each set, rows and a count for each bucket."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.ids import PackedIds
from schemas.internal import SetKind
from streams.core.counted import Membership


@dataclass(frozen=True, slots=True)
class SetSummary:
    """A set's level and exact total; an unknown set is level 0 and total 0.

    `stamp` is the total's, as read; a write has its own.
    """

    level: int = 0
    total: int = 0
    stamp: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class BucketKey:
    kind: SetKind
    owner: int
    level: int
    bucket: int


@dataclass(frozen=True, slots=True)
class BucketState:
    """A bucket's count, and of its rows at least those asked for; where `is_whole`, all."""

    rows: Mapping[int, Membership]
    live: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class BucketWrite:
    """Rows and count of one bucket, applied whole. `stamp` orders the counts of one bucket.

    `head` goes in the same write and only to bucket 0 of level 0, and is ordered by `stamp`, too;
    at equal stamps the greater level and the greater total win. Rows carry their own times.
    `page` are the members of a bucket of followers, packed in ascending order, from `PAGE_LEVEL_MIN`
    on; it goes with the count.
    """

    key: BucketKey
    rows: Mapping[int, Membership]
    live: int | None
    head: SetSummary | None
    stamp: int
    page: PackedIds | None = None
