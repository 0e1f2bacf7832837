"""Outgoing edges: whom a user follows and what a user likes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from schemas.ids import PhotoId, UserId


class OutgoingEdge(StrEnum):
    """The kinds of outgoing edges: from a follower to a followee, from a user to a liked photo."""

    FOLLOWING = "following"
    LIKES = "likes"


@dataclass(frozen=True, slots=True)
class FollowingCounts:
    """How many users a user follows now, and how many rows of removed follows have not expired."""

    followees: int
    removed: int


@dataclass(frozen=True, slots=True)
class EraLikes:
    """The newest liked photos of one era, descending. No liked photo above `floor` is missing."""

    photos: Sequence[PhotoId]
    floor: int


# The followees of a user by id, ascending, each with its `seen_ms`: when the edge reached this system,
# milliseconds since 1970.
Following: TypeAlias = dict[UserId, int]


@dataclass(frozen=True, slots=True)
class FollowingRows:
    """Whom a user follows, and up to when that is known.

    `newest_us` is the greatest time of the rows that were read, removed ones included. It is never less than
    the time of a row that had expired by then. Microseconds since 1970.
    """

    following: Following
    newest_us: int
