"""Follow and like edges as their member sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from schemas.ids import PhotoId, UserId


class OutgoingEdge(StrEnum):
    """An edge seen from the member's side."""

    FOLLOWING = "following"
    LIKES = "likes"


@dataclass(frozen=True, slots=True)
class Followee:
    """`seen_ms`: when this system learned of it, milliseconds since 1970."""

    followee_id: UserId
    seen_ms: int


@dataclass(frozen=True, slots=True)
class EraLikes:
    """The newest photos of one era that a user likes, descending: all of those above `floor`."""

    photos: Sequence[PhotoId]
    floor: int


# Whom a user follows, ascending, each with when this system learned of it, in milliseconds.
Following: TypeAlias = dict[UserId, int]
