"""Who sees which photo: pure, applied to rows that were read for this very request."""

from collections.abc import Container

from schemas.ids import UserId
from streams.core.photos import Photo, SeenPhoto, Status


def in_feed(photo: SeenPhoto, reader: UserId, followees: Container[UserId]) -> bool:
    """Whether the reader's feed shows it: ready and by somebody followed now; the own while processing, too.

    Law: no ghost. `followees` is the current set; what a timeline says counts for nothing.
    """
    if photo.deleted or photo.status is Status.REJECTED:
        return False
    if photo.author_id == reader:
        return True
    return photo.status is Status.READY and photo.author_id in followees


def is_visible(photo: Photo | SeenPhoto, reader: UserId) -> bool:
    """Whether the photo exists for the reader at all: ready, or the own in any state; never when deleted."""
    return not photo.deleted and (photo.status is Status.READY or photo.author_id == reader)
