"""Where an upload stands: whose it is, whether it goes on, and how it ends."""

from http import HTTPStatus

from api.http.metrics import UPLOADS_COMPLETED, UPLOADS_STARTED
from api.http.problems import Problem, not_found
from api.reading.rules import is_visible
from api.services import UploadService
from api.uploads.inputs import Wanted
from schemas.ids import PhotoId, UserId, id_ms
from schemas.times import utc_datetime
from streams.core.object_keys import ObjectKeys
from streams.core.photos import Photo
from streams.core.uploads import Upload, UploadState
from streams.photos.begun import photo_begun
from streams.uploads.completed import photo_of, upload_completed
from streams.uploads.discarded import upload_discarded


def upload_of(service: UploadService, user: UserId, photo: PhotoId, wanted: Wanted) -> Upload:
    """The upload as its row says it; all of it follows from the request and the id."""
    return Upload(
        photo_id=photo,
        author_id=user,
        object_key=ObjectKeys(service.settings.object_prefix).original(photo),
        content_type=wanted.content_type,
        size_bytes=wanted.size_bytes,
        caption=wanted.caption,
        created_at=utc_datetime(id_ms(photo) * 1_000),
    )


async def begin(service: UploadService, upload: Upload) -> None:
    """Write the row of a new upload: whatever comes of it, the cleaning finds it by this."""
    await service.stores.uploads.insert(upload)
    UPLOADS_STARTED.labels(_mode(upload)).inc()


def _mode(upload: Upload) -> str:
    return "body" if upload.size_bytes is None else "signed"


def left_ms(service: UploadService, upload: Upload) -> int:
    """How long the upload may still go on; what has not been completed by then is aborted."""
    ends_ms = id_ms(upload.photo_id) + service.settings.upload_life_s * 1_000
    return ends_ms - service.clock_us() // 1_000


async def own_upload(service: UploadService, reader: UserId, photo: PhotoId) -> Upload | None:
    """The reader's own upload; None once its photo is in the pipeline.

    Raises:
        Problem: 404 and 403 as for any photo, 410 where it was not completed in time.
    """
    upload = await service.stores.uploads.get(photo)
    # An image that is a request's own body is nobody's to complete while it arrives.
    if upload is None or upload.author_id != reader or _is_arriving(upload):
        stored = await own_row(service, reader, photo)
        if stored is None or stored.deleted:
            raise not_found(f"photo {photo}")
        return None
    if upload.state is UploadState.ABORTED:
        raise not_found(f"photo {photo}")
    if upload.state is UploadState.UPLOADING and left_ms(service, upload) <= 0:
        raise ended(photo)
    return upload


def _is_arriving(upload: Upload) -> bool:
    return upload.size_bytes is None and upload.state is UploadState.UPLOADING


async def own_row(service: UploadService, reader: UserId, photo: PhotoId) -> Photo | None:
    """The row of the reader's own photo, which may say that it is deleted; None without a row.

    Raises:
        Problem: For another's photo 403 where it can be seen, otherwise 404.
    """
    stored = (await service.stores.photos.get([photo])).get(photo)
    if stored is None or stored.author_id == reader:
        return stored
    if not is_visible(stored, reader):
        raise not_found(f"photo {photo}")
    raise Problem(HTTPStatus.FORBIDDEN, f"Photo {photo} is another author's.")


async def claimed_upload(service: UploadService, photo: PhotoId) -> Upload | None:
    """The upload that an idempotency key stands for; None once its photo is in the pipeline.

    Raises:
        Problem: 410 where it has ended: the key stands for this photo and no other.
    """
    upload = await service.stores.uploads.get(photo)
    if upload is None:
        if not await is_in_pipeline(service, photo):
            raise ended(photo)
        return None
    is_live = upload.state is UploadState.COMPLETED or left_ms(service, upload) > 0
    if upload.state is UploadState.ABORTED or not is_live:
        raise ended(photo)
    return upload


async def is_in_pipeline(service: UploadService, photo: PhotoId) -> bool:
    stored = (await service.stores.photos.get([photo])).get(photo)
    return stored is not None and not stored.deleted


def ended(photo: PhotoId) -> Problem:
    detail = f"The upload of photo {photo} has ended; begin a new one, with a new Idempotency-Key if any."
    return Problem(HTTPStatus.GONE, detail)


async def enter(service: UploadService, upload: Upload) -> bool:
    """Put the photo of an upload whose bytes are there into the pipeline; may be repeated.

    Answers False where it was deleted or taken back. Law: the row says `completed` before
    anything is published, so that the cleaning cannot remove the bytes of a published photo.

    Raises:
        StoreUnavailable: Nothing is known about it; do it again.
    """
    if upload.state is UploadState.UPLOADING:
        state = await service.stores.uploads.complete(upload.photo_id)
        if state is not UploadState.COMPLETED:
            # Without a row somebody else has done all of it.
            return state is None and await is_in_pipeline(service, upload.photo_id)
    is_in = await upload_completed(service.stores, service.publisher, upload, time_us=service.clock_us())
    if is_in:
        UPLOADS_COMPLETED.labels(_mode(upload)).inc()
    return is_in


async def withdraw(service: UploadService, author: UserId, photo: PhotoId) -> bool:
    """Take away an upload that is not completed; False where there is a photo to be deleted instead.

    Law: delete and upload cannot miss each other: the tombstone is written before the row is looked at.

    Raises:
        Problem: 404, where there is nothing of the author's.
    """
    stores = service.stores
    upload = await stores.uploads.get(photo)
    if upload is None or upload.author_id != author:
        if await own_row(service, author, photo) is not None:
            return False  # It has entered the pipeline meanwhile.
        if not await stores.photos.has_tombstone(photo, author):
            raise not_found(f"photo {photo}")
        return True
    await stores.photos.write_tombstone(photo, author)
    if await stores.uploads.abort(photo) is UploadState.COMPLETED:
        return False
    # Read anew: it may have begun its parts meanwhile, but cannot from now on.
    await upload_discarded(stores, await stores.uploads.get(photo) or upload)
    return True


async def undo(service: UploadService, upload: Upload, key: str | None) -> bool:
    """Let nothing remain of an upload that failed; False where its photo is in the pipeline all the same.

    Raises:
        StoreUnavailable: Some may be left to the cleaning, or to whoever repeats it with the key.
    """
    stores, photo = service.stores, upload.photo_id
    if await is_in_pipeline(service, photo):
        # Published, though nobody told us; what its consumer does, the author sees at once.
        await photo_begun(stores, photo_of(upload))
        await stores.uploads.enter(photo)
        return False
    state = await stores.uploads.abort(photo)
    if state is UploadState.COMPLETED:
        # Of this and a repeat that enters the photo one wins, see `upload_completed`.
        state = await stores.uploads.take_back(photo)
    if state is None and await is_in_pipeline(service, photo):
        return False
    if key is not None:
        await stores.uploads.release_key(upload.author_id, key, photo)
    stands = await stores.uploads.get(photo)
    await upload_discarded(stores, stands or upload)
    return True
