"""Objects of ours in the media bucket that no row names.

A walk over the bucket by key. The rows are read after the page was listed: what is put
before its row names it is then either named, or too young to be touched. A client that puts an
old object again with the same bytes between that look and the removal loses it; the walk
over photos finds that, and has it made again.
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
OBJECTS_A_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class ObjectsCleaning:
    """Safe in any number of processes at once; `grace_s` since an object was put, by kind."""

    stores: CleaningStores
    keys: ObjectKeys
    grace_s: Mapping[Inconsistency, int]
    at_once: int

    async def clean(self, now_ms: int, report: CleaningReport, *, objects_max: int | None) -> None:
        """Walk on over about `objects_max` objects, or with None to the end.

        Raises:
            StoreUnavailable: Clean again; what was walked over is remembered.
        """
        place = await self.stores.cleaning_positions.position(CleaningScan.OBJECTS)
        enough = None if objects_max is None else report.objects + objects_max
        while enough is None or report.objects < enough:
            page = await self.stores.media_objects.list(self.keys.prefix, after=place, limit=OBJECTS_A_PAGE)
            await self._clean_page(page, now_ms, report)
            place = page[-1].object_key if page else ""
            await self.stores.cleaning_positions.save(CleaningScan.OBJECTS, place)
            report.objects += len(page)
            if not page:
                return

    async def _clean_page(self, page: Sequence[StoredObject], now_ms: int, report: CleaningReport) -> None:
        judged = await self._judge(page)
        lost = sum(kind is Inconsistency.OBJECT_WITHOUT_ROW for _, kind in judged)
        if is_suspicious(lost, of=len(page)):
            words = f"{lost} of the {len(page)} objects from {page[0].object_key} on have no row"
            log.error("%s: is this the right keyspace? Nothing of them is removed", words)
            report.held.append(words)
            judged = [(each, kind) for each, kind in judged if kind is not Inconsistency.OBJECT_WITHOUT_ROW]
        going: list[tuple[StoredObject, Inconsistency]] = []
        for each, kind in judged:
            grace_s = self.grace_s.get(kind)
            if grace_s is not None and now_ms - each.modified_ms >= grace_s * 1_000:
                going.append((each, kind))
            else:
                report.left(kind, each.object_key)
        await self._remove([each.object_key for each, _ in going])
        for each, kind in going:
            report.settled(kind, removed_bytes=each.size_bytes)

    async def _remove(self, object_keys: Sequence[str]) -> None:
        if not object_keys:
            return
        # Before as well, because once an object has gone nothing leads here again; the second
        # time for what was fetched in between.
        await self.stores.cdn.purge(object_keys)
        await self.stores.media_objects.delete(object_keys)
        await self.stores.cdn.purge(object_keys)

    async def _judge(self, page: Sequence[StoredObject]) -> list[tuple[StoredObject, Inconsistency]]:
        """Those of the page that should not be there."""
        owners = {each.object_key: self.keys.photo_of(each.object_key) for each in page}
        ours = {photo for photo in owners.values() if photo is not None}
        known = await self.stores.photos.get(list(ours))
        uploading, begun = await self._without_row(ours - known.keys())
        rows = known | begun
        judged: list[tuple[StoredObject, Inconsistency]] = []
        for each in page:
            photo = owners[each.object_key]
            if photo is None:
                judged.append((each, Inconsistency.UNKNOWN_OBJECT))
            elif photo not in uploading:
                is_original = each.object_key == self.keys.original(photo)
                kind = judge(each.object_key, rows.get(photo), is_original=is_original)
                if kind is not None:
                    judged.append((each, kind))
        return judged

    async def _without_row(self, photos: set[PhotoId]) -> tuple[set[PhotoId], dict[PhotoId, Photo]]:
        """Those of `photos` whose upload has a row, and the rows of those that have one by now.

        In this order, because an upload's row goes when its photo has one.
        """
        uploads = await gather_bounded(photos, self.stores.uploads.get, at_once=self.at_once, finish_all=True)
        uploading = {each.photo_id for each in uploads if each is not None}
        return uploading, await self.stores.photos.get(list(photos - uploading))


def judge(object_key: str, photo: Photo | None, *, is_original: bool) -> Inconsistency | None:
    """What is wrong with an object of this photo's, given the photo's row; None where nothing is."""
    if photo is None:
        return Inconsistency.OBJECT_WITHOUT_ROW
    if photo.deleted:
        return Inconsistency.OBJECT_OF_DELETED
    if is_original and photo.object_key == object_key:
        return Inconsistency.REJECTED_ORIGINAL if photo.status is Status.REJECTED else None
    named = {each.object_key for each in photo.renditions.values()}
    return None if object_key in named else Inconsistency.UNNAMED_OBJECT
