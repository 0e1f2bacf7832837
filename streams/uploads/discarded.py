"""An upload was aborted: nothing of it may remain, whatever of it is still under way.

Order, so that a death at any line only means to do it again: the row goes last, because it
is what leads the cleaning here.
"""

from streams.core.uploads import Upload
from streams.photos.deleted import hide_photo
from streams.ports.groups import UploadStores


async def upload_discarded(stores: UploadStores, upload: Upload) -> None:
    """Remove all of an aborted upload; repeatable at every line.

    Its id is buried first: if its event was published and nobody knew, nothing comes of it.

    Raises:
        StoreUnavailable: Some may be left; do it again, or leave it to the cleaning.
    """
    await stores.photos.write_tombstone(upload.photo_id, upload.author_id)
    stored = (await stores.photos.get([upload.photo_id])).get(upload.photo_id)
    # Another author's photo of this id stays, whoever minted it.
    if stored is not None and stored.author_id == upload.author_id:
        await hide_photo(stores, upload.photo_id, upload.author_id)
    if upload.parts_id is not None:
        await stores.media_uploads.abort_parts(upload.object_key, upload.parts_id)
    await stores.media_objects.delete([upload.object_key])
    await stores.uploads.remove(upload.photo_id)
