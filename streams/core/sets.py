"""Counted sets as they are stored: a summary for each set, rows and a count for each bucket."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.ids import PackedIds
from schemas.internal import SetKind
from streams.core.counted import Membership


@dataclass(frozen=True, slots=True)
class SetSummary:
    """A set's level and exact total; an unknown set has level 0 and total 0.

    `stamp` is the stamp of the stored total. A write ignores it: `BucketWrite` has its own.
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
    """A bucket's count and the requested rows; with `is_whole`, `rows` are all of its rows.

    `stamp` is the stamp of the stored count, 0 if there is none.
    """

    rows: Mapping[int, Membership]
    count: int
    is_whole: bool
    stamp: int = field(default=0, compare=False)

    @property
    def members(self) -> list[int]:
        """The members among the rows, without those that were removed."""
        return [member for member, state in self.rows.items() if not state.removed]


@dataclass(frozen=True, slots=True)
class StoredPage:
    """What is stored beside the rows of a bucket; a stamp is 0 where there is no count or no page."""

    count_stamp: int
    page: PackedIds | None
    page_stamp: int


@dataclass(frozen=True, slots=True)
class BucketWrite:
    """Rows and count of one bucket, applied completely or not at all.

    `stamp` orders the counts of one bucket; rows are ordered by their own times. Only a write to
    bucket 0 of level 0 may have a `summary`. `stamp` orders summaries, too; at equal stamps the
    greater level and the greater total win. `page` has the members of a bucket of followers, packed
    in ascending order. Only buckets from `PAGE_LEVEL_MIN` on have one, and only with a count.
    """

    key: BucketKey
    rows: Mapping[int, Membership]
    count: int | None
    summary: SetSummary | None
    stamp: int
    page: PackedIds | None = None
