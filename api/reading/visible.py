"""One photo that the reader may see, or a problem."""

from api.http.problems import not_found, unavailable
from api.reading.rules import is_visible
from schemas.ids import PhotoId, UserId
from streams.core.photos import SeenPhoto
from streams.stores.cache.cached_reads import CachedReads


async def visible_photo(reads: CachedReads, reader: UserId, photo_id: PhotoId) -> SeenPhoto:
    """The photo's row, if the reader may see it.

    Raises:
        Problem: 404 if there is no such photo or the reader may not see it, 503 if that is not known.
    """
    row = await reads.photos([photo_id])
    if row.unknown:
        raise unavailable("The photo is not known now; try again.")
    photo = row.values.get(photo_id)
    if photo is None or not is_visible(photo, reader):
        raise not_found(f"photo {photo_id}")
    return photo
