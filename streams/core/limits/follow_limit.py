"""How many users one user may follow, and how many rows of former followees there may be.

The API counts, then writes, then counts again. Several processes may count at the same time, before
any of them has written, so a follow near the limit is verified: every process that finds the limit
exceeded after its own write takes its own follow back. The last of them to write sees the follows of
all others, so afterwards the limit holds.
"""

from dataclasses import dataclass
from enum import Enum, auto

from streams.core.edges import FollowingCounts


class Verdict(Enum):
    """What is to be done with one more follow."""

    ALLOWED = auto()
    ALLOWED_IF_VERIFIED = auto()
    TOO_MANY_FOLLOWEES = auto()
    TOO_MANY_REMOVED = auto()


@dataclass(frozen=True, slots=True)
class FollowLimit:
    """The limits of one user.

    `verified_followees` is how far below the limit follows are verified. It must be at least as many as
    other processes may have written since the counts were read.
    """

    followees_max: int
    removed_rows_max: int
    verified_followees: int

    def verdict(self, counts: FollowingCounts, *, creates_row: bool) -> Verdict:
        """Judge a follow of somebody whom the user does not follow, before it is written.

        `creates_row` is False if the user followed them before, so that there is a removed row.
        """
        if counts.followees >= self.followees_max:
            return Verdict.TOO_MANY_FOLLOWEES
        if creates_row and counts.removed >= self.removed_rows_max:
            return Verdict.TOO_MANY_REMOVED
        if counts.followees + self.verified_followees >= self.followees_max:
            return Verdict.ALLOWED_IF_VERIFIED
        return Verdict.ALLOWED

    def is_exceeded(self, counts: FollowingCounts) -> bool:
        """Return whether a follow that has been written must be taken back."""
        return counts.followees > self.followees_max
