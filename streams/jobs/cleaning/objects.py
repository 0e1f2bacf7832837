"""Remove our own objects in the media bucket that are not needed any more.

No row names them, or their photo is deleted or rejected.

The scan lists the bucket by key, page by page. The rows are read after the page was listed. An
object may be put before its row names it, but then either the row names it by now, or the object is
too young to be removed.

One race remains: between this check and the removal, a process may put an old object again with the
same bytes, and the removal deletes it. The scan over photos finds such a loss, and has the object
made again.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.ids import PhotoId
from streams.core.object_keys import ObjectKeys
from streams.core.photos import Photo, Status
from streams.gathering import gather_bounded
from streams.jobs.cleaning.report import CleaningReport, Inconsistency, is_suspicious
from streams.ports.cleaning import CleaningScan
from streams.ports.groups import CleaningStores
from streams.ports.media import StoredObject

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ObjectsCleaning:
    """Scans the objects; several processes may do so at once.

    `grace_s` is the minimum age in seconds at which an object may be removed, by kind of
    inconsistency. Objects of other kinds are never removed.
    """

    stores: CleaningStores
    keys: ObjectKeys
    grace_s: Mapping[Inconsistency, int]
    at_once: int
    page_objects: int

    async def clean(self, now_ms: int, report: CleaningReport, *, objects_max: int | None) -> None:
        """Continue the scan with about `objects_max` objects; None scans to the end.

        Raises:
            StoreUnavailable: Clean again; the scan continues after the last complete page.
        """
        position = await self.stores.cleaning_positions.position(CleaningScan.OBJECTS)
        objects_end = None if objects_max is None else report.objects + objects_max
        while objects_end is None or report.objects < objects_end:
            page = await self.stores.media_objects.list(
                self.keys.prefix, after=position, limit=self.page_objects
            )
            await self._clean_page(page, now_ms, report)
            position = page[-1].object_key if page else ""
            await self.stores.cleaning_positions.save(CleaningScan.OBJECTS, position)
            report.objects += len(page)
            if not page:
                return

    async def _clean_page(self, page: Sequence[StoredObject], now_ms: int, report: CleaningReport) -> None:
        inconsistent = await self._inconsistent(page)
        lost = sum(kind is Inconsistency.OBJECT_WITHOUT_ROW for _, kind in inconsistent)
        if is_suspicious(lost, of=len(page)):
            words = f"{lost} of the {len(page)} objects from {page[0].object_key} on have no row"
            log.error("%s: is this the right keyspace? Nothing of them is removed", words)
            report.held.append(words)
            inconsistent = [
                (stored, kind)
                for stored, kind in inconsistent
                if kind is not Inconsistency.OBJECT_WITHOUT_ROW
            ]
        expired: list[tuple[StoredObject, Inconsistency]] = []
        for stored, kind in inconsistent:
            grace_s = self.grace_s.get(kind)
            if grace_s is not None and now_ms - stored.modified_ms >= grace_s * 1_000:
                expired.append((stored, kind))
            else:
                report.left(kind, stored.object_key)
        await self._remove([stored.object_key for stored, _ in expired])
        for stored, kind in expired:
            report.settled(kind, removed_bytes=stored.size_bytes)

    async def _remove(self, object_keys: Sequence[str]) -> None:
        if not object_keys:
            return
        # The CDN is purged before the delete, because if the process dies after the delete, no scan
        # finds the object again. It is purged again, because an edge may have fetched the object
        # before the delete.
        await self.stores.cdn.purge(object_keys)
        await self.stores.media_objects.delete(object_keys)
        await self.stores.cdn.purge(object_keys)

    async def _inconsistent(self, page: Sequence[StoredObject]) -> list[tuple[StoredObject, Inconsistency]]:
        """Return the inconsistent objects of the page, each with its kind of inconsistency."""
        owners = {stored.object_key: self.keys.photo_of(stored.object_key) for stored in page}
        ours = {photo for photo in owners.values() if photo is not None}
        known = await self.stores.photos.get(list(ours))
        uploading, begun = await self._without_row(ours - known.keys())
        rows = known | begun
        inconsistent: list[tuple[StoredObject, Inconsistency]] = []
        for stored in page:
            photo = owners[stored.object_key]
            if photo is None:
                inconsistent.append((stored, Inconsistency.UNKNOWN_OBJECT))
            elif photo not in uploading:
                is_original = stored.object_key == self.keys.original(photo)
                kind = inconsistency_of(stored.object_key, rows.get(photo), is_original=is_original)
                if kind is not None:
                    inconsistent.append((stored, kind))
        return inconsistent

    async def _without_row(self, photos: set[PhotoId]) -> tuple[set[PhotoId], dict[PhotoId, Photo]]:
        """Return those of `photos` with an upload's row, and the existing photo rows of the others.

        The uploads are read first. An upload's row is removed only after its photo's row is
        written, so an upload that completes meanwhile is found by the second read.
        """
        uploads = await gather_bounded(photos, self.stores.uploads.get, at_once=self.at_once, finish_all=True)
        uploading = {upload.photo_id for upload in uploads if upload is not None}
        return uploading, await self.stores.photos.get(list(photos - uploading))


def inconsistency_of(object_key: str, photo: Photo | None, *, is_original: bool) -> Inconsistency | None:
    """Return what is wrong with an object, given its photo's row; None if nothing is wrong."""
    if photo is None:
        return Inconsistency.OBJECT_WITHOUT_ROW
    if photo.deleted:
        return Inconsistency.OBJECT_OF_DELETED
    if is_original and photo.object_key == object_key:
        return Inconsistency.REJECTED_ORIGINAL if photo.status is Status.REJECTED else None
    named = {rendition.object_key for rendition in photo.renditions.values()}
    return None if object_key in named else Inconsistency.UNNAMED_OBJECT
