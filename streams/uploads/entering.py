"""The event and the row with which an upload's photo enters the pipeline; both follow from its row."""

from schemas.facts import PhotoUploaded
from streams.core.photos import Photo
from streams.core.uploads import Upload


def uploaded_event(upload: Upload) -> PhotoUploaded:
    """Return the event that announces the upload's photo."""
    return PhotoUploaded(
        photo_id=upload.photo_id,
        author_id=upload.author_id,
        object_key=upload.object_key,
        content_type=upload.content_type,
        created_at=upload.created_at,
        caption=upload.caption,
    )


def photo_of(upload: Upload) -> Photo:
    """Return the photo's row, which is the same as the event's consumer writes."""
    return Photo(
        photo_id=upload.photo_id,
        author_id=upload.author_id,
        created_at=upload.created_at,
        caption=upload.caption,
        object_key=upload.object_key,
        content_type=upload.content_type,
        renditions={},
    )
