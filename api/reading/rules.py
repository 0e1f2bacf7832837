"""Who sees which photo. The rules are pure; their rows were read for the same request."""

from collections.abc import Container

from schemas.ids import UserId
from streams.core.photos import Photo, SeenPhoto, Status


def in_feed(photo: SeenPhoto, reader: UserId, followees: Container[UserId]) -> bool:
    """Whether the reader's feed shows the photo.

    A photo is shown if it is ready and its author is followed now. The reader's own photos are also
    shown while they are processed.
    Law: no ghost. `followees` is the current set, so the photos of an author who is no longer
    followed are hidden even if the timeline contains them.
    """
    if photo.deleted or photo.status is Status.REJECTED:
        return False
    if photo.author_id == reader:
        return True
    return photo.status is Status.READY and photo.author_id in followees


def is_visible(photo: Photo | SeenPhoto, reader: UserId) -> bool:
    """Whether the reader may see the photo: a ready one, or their own in any state; never a deleted one."""
    return not photo.deleted and (photo.status is Status.READY or photo.author_id == reader)
