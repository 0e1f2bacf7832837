"""An upload's bytes are all there: publish the photo, and let its author see it at once.

The row of the upload says `completed` from before the event is published until the photo
is in the pipeline. So whoever dies between leaves a row that the cleaning finds, and
finishes by the same call: every step may be repeated, also by several at once.
"""

from schemas.facts import PhotoUploaded
from streams.core.photos import Photo
from streams.core.uploads import Upload, UploadState
from streams.photos.begun import photo_begun
from streams.ports.groups import UploadStores
from streams.ports.publishing import EventPublisher


async def upload_completed(
    stores: UploadStores, publisher: EventPublisher, upload: Upload, *, time_us: int
) -> bool:
    """Put the photo of a completed upload into the pipeline; `time_us` is the event's.

    Answers False where it was deleted or taken back meanwhile; True is final.

    Raises:
        PoisonEvent: The id is known with another author.
        StoreUnavailable: Nothing is known about the writes; do it again.
    """
    event = PhotoUploaded(
        photo_id=upload.photo_id,
        author_id=upload.author_id,
        object_key=upload.object_key,
        content_type=upload.content_type,
        created_at=upload.created_at,
        caption=upload.caption,
    )
    await publisher.publish(event, time_us=time_us)
    # Not left to the event's consumer: the author's next request shows the photo.
    await photo_begun(stores, photo_of(upload))
    stood = await stores.uploads.enter(upload.photo_id)
    if stood is UploadState.ABORTED:
        return False
    # Whoever takes an upload back buries its photo before the row goes.
    return not await stores.photos.has_tombstone(upload.photo_id, upload.author_id)


def photo_of(upload: Upload) -> Photo:
    """The row of the upload's photo, as its event's consumer writes it, too."""
    return Photo(
        photo_id=upload.photo_id,
        author_id=upload.author_id,
        created_at=upload.created_at,
        caption=upload.caption,
        object_key=upload.object_key,
        content_type=upload.content_type,
        renditions={},
    )
