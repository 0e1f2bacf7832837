"""Reads what is stored of an upload and its photo, and checks who may see it. Writes nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from schemas.ids import PhotoId, UserId, id_ms
from schemas.times import utc_datetime
from streams.core.object_keys import ObjectKeys
from streams.core.photos import Photo, Status
from streams.core.uploads import RequestedUpload, Upload, UploadState
from streams.ports.photos import Photos
from streams.ports.uploads import Uploads
from streams.settings import UploadSettings
from streams.uploads.errors import NothingLikeThat, NotYours, UploadEnded


@dataclass(frozen=True, slots=True)
class UploadLookup:
    """Finds uploads for their author, and for a repeat with an idempotency key."""

    uploads: Uploads
    photos: Photos
    settings: UploadSettings
    clock_us: Callable[[], int]

    def new_upload(self, author: UserId, photo: PhotoId, request: RequestedUpload) -> Upload:
        """Make the row of a new upload from the request and the photo's id."""
        return Upload(
            photo_id=photo,
            author_id=author,
            object_key=ObjectKeys(self.settings.object_prefix).original(photo),
            content_type=request.content_type,
            size_bytes=request.size_bytes,
            caption=request.caption,
            created_at=utc_datetime(id_ms(photo) * 1_000),
        )

    def left_ms(self, upload: Upload) -> int:
        """Return how long the upload may still take. If not completed by then, it is aborted."""
        ends_ms = id_ms(upload.photo_id) + self.settings.upload_life_s * 1_000
        return ends_ms - self.clock_us() // 1_000

    async def own_upload(self, reader: UserId, photo: PhotoId) -> Upload | None:
        """Return the reader's own upload; None once its photo is in the pipeline.

        Raises:
            NotYours, NothingLikeThat: See `own_photo`; the latter also if there is nothing of the
                reader's, or it is deleted.
            UploadEnded: The upload was not completed in time.
        """
        upload = await self.uploads.get(photo)
        # While an image arrives as the body of a request, no other request may complete its upload.
        if upload is None or upload.author_id != reader or _is_arriving(upload):
            stored = await self.own_photo(reader, photo)
            if stored is None or stored.deleted:
                raise NothingLikeThat(photo)
            return None
        if upload.state is UploadState.ABORTED:
            raise NothingLikeThat(photo)
        if upload.state is UploadState.UPLOADING and self.left_ms(upload) <= 0:
            raise UploadEnded(photo)
        return upload

    async def own_photo(self, reader: UserId, photo: PhotoId) -> Photo | None:
        """Return the row of the reader's own photo, even if it is deleted; None without a row.

        Raises:
            NotYours: The photo is another author's, and the reader may see it.
            NothingLikeThat: The photo is another author's, and the reader may not see it.
        """
        stored = await self.photo(photo)
        if stored is None or stored.author_id == reader:
            return stored
        if stored.deleted or stored.status is not Status.READY:
            raise NothingLikeThat(photo)
        raise NotYours(photo)

    async def claimed_upload(self, author: UserId, photo: PhotoId) -> Upload | None:
        """Return the upload `photo`, for which the author claimed an idempotency key.

        Returns None once its photo is in the pipeline.

        Raises:
            UploadEnded: The upload has ended. Its key cannot be claimed for another photo.
        """
        upload = await self.uploads.get(photo)
        if upload is None:
            if not await self.is_in_pipeline(photo, author):
                raise UploadEnded(photo)
            return None
        goes_on = upload.state is UploadState.COMPLETED or self.left_ms(upload) > 0
        if upload.state is UploadState.ABORTED or not goes_on:
            raise UploadEnded(photo)
        return upload

    async def photo(self, photo: PhotoId) -> Photo | None:
        """Return the photo's row, of any author and even if it is deleted; None without a row."""
        return (await self.photos.get([photo])).get(photo)

    async def is_in_pipeline(self, photo: PhotoId, author: UserId) -> bool:
        """Return whether the photo has a row of this author and is not deleted."""
        stored = await self.photo(photo)
        return stored is not None and stored.author_id == author and not stored.deleted


def _is_arriving(upload: Upload) -> bool:
    return not upload.is_signed and upload.state is UploadState.UPLOADING
