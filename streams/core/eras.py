"""Eras of photo ids.

A user's likes are stored and cached by era, so that the size of a partition of the table and the
size of a cached value are bounded.
"""

from collections.abc import Collection

from schemas.ids import PhotoId, id_ms

# An era is 2^35 ms, which is 397 days.
_ERA_BITS = 35


def era_of(photo: int) -> int:
    """Return the era in which the photo's id was minted."""
    return id_ms(PhotoId(photo)) >> _ERA_BITS


def eras_of(photos: Collection[int]) -> set[int]:
    """Return the eras of the photos, which nearly always is one."""
    if not photos:
        return set()
    oldest, newest = era_of(min(photos)), era_of(max(photos))
    return {oldest} if oldest == newest else {era_of(photo) for photo in photos}
