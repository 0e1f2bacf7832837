"""Eras of photo ids: what bounds a user's likes in one place, in the table and in its copies."""

from schemas.ids import PhotoId, id_ms

# In milliseconds: 2^35, 397 days.
_ERA_BITS = 35


def era_of(photo: int) -> int:
    """The era in which the photo's id was minted."""
    return id_ms(PhotoId(photo)) >> _ERA_BITS
