"""Deferred posts: readers pull each by itself, until it is in all timelines.

They are stored by the period in which they became ready, so that a process which knows most of them reads
only what has changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.ids import PhotoId, UserId
from streams.core.delivery import DeliveryReason

PERIOD_MS = 10_000


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
    ends: Mapping[int, int] = field(default_factory=dict)
    is_sent: bool = False

    @property
    def progress(self) -> tuple[bool, int, int]:
        """How far the push has come; it only grows, because the level of a set does."""
        return self.is_sent, self.level, self.next_bucket

    @property
    def period(self) -> int:
        """The period in which the photo became ready; periods are numbered since 1970."""
        return self.ready_ms // PERIOD_MS
