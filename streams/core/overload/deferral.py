"""Deferred posts: readers pull each by itself, until it is in all timelines.

They are stored by the period in which their ids were minted, so that a process which knows most of them
reads only what has changed, and a post that is deferred again is the same row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from schemas.ids import PhotoId, UserId, id_ms
from streams.core.delivery import DeliveryReason

PERIOD_MS = 10_000
NO_ENDS: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferredPost:
    """A ready photo whose push was put off, and how far that push has come.

    `followers` is how many there were at the decision. `level` and `next_bucket` say which buckets of the set
    of followers are left, and `ends` where the log of each partition ended after the records that were
    published, which are acknowledged. `is_sent`: all are.
    """

    photo_id: PhotoId
    author_id: UserId
    reason: DeliveryReason
    followers: int
    ready_ms: int
    level: int = 0
    next_bucket: int = 0
    ends: Mapping[int, int] = field(default_factory=lambda: NO_ENDS)
    is_sent: bool = False

    @property
    def progress(self) -> tuple[bool, int, int]:
        """How far the push has come; it only grows, because the level of a set does."""
        return self.is_sent, self.level, self.next_bucket

    @property
    def period(self) -> int:
        """The period in which the photo's id was minted; periods are numbered since 1970."""
        return id_ms(self.photo_id) // PERIOD_MS
