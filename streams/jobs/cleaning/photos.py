"""Repair or delete ready photos whose renditions are not in the media bucket.

The scan reads all photos. If the original still exists, the lost renditions are removed from the
photo's row, and a task to make them is queued. If the process dies between these two steps, the row
lacks renditions, and a later scan repairs it in the same manner.

If the original is missing, too, nothing can make the renditions again. The photo is then stored in
`missing_objects`. If it is still so after a grace period, the photo is deleted as if by its author.
But if some renditions are left, only the lost ones are removed from the row.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.ids import PhotoId, id_ms
from schemas.internal import FullTask, ThumbnailTask
from streams.core.object_keys import ObjectKeys
from streams.core.photos import Photo, Status
from streams.core.renditions import ALL_RENDITIONS, THUMBNAIL
from streams.gathering import gather_bounded
from streams.jobs.cleaning.report import CleaningReport, Inconsistency, is_suspicious
from streams.photos.deleted import delete_photo
from streams.ports.cleaning import POSITION_MIN, CleaningScan
from streams.ports.groups import CleaningStores
from streams.ports.publishing import Outbox
from streams.stores.cache.keys import photo_key
from topics.catalogue import Lane

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loss:
    """The lost renditions of one photo.

    `names` are all renditions that are not in the bucket. `named` are those of them that the
    photo's row still has. `has_original` tells whether the original exists.
    """

    photo: Photo
    names: frozenset[str]
    named: frozenset[str]
    has_original: bool

    @property
    def is_all(self) -> bool:
        return self.names == ALL_RENDITIONS

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to do.

        That is so if nothing can be made again, some renditions are left, and the row names only
        these.
        """
        return not self.has_original and not self.named and not self.is_all


@dataclass(frozen=True, slots=True)
class PhotosCleaning:
    """Scans the photos; several processes may do so at once, because every step may be repeated."""

    stores: CleaningStores
    outbox: Outbox
    keys: ObjectKeys
    young_s: int
    missing_grace_s: int
    at_once: int
    page_photos: int

    async def clean(self, now_ms: int, report: CleaningReport, *, photos_max: int | None) -> None:
        """Check the photos of `missing_objects` again, then continue the scan.

        The scan covers about `photos_max` photos; None scans to the end.

        Raises:
            StoreUnavailable: Clean again; the scan continues after the last complete page.
        """
        noted = await self.stores.missing_objects.all()
        await gather_bounded(
            noted.items(),
            lambda note: self._look_again(*note, now_ms, report),
            at_once=self.at_once,
            finish_all=True,
        )
        position = int(await self.stores.cleaning_positions.position(CleaningScan.PHOTOS) or POSITION_MIN)
        photos_end = None if photos_max is None else report.photos + photos_max
        while photos_end is None or report.photos < photos_end:
            page = await self.stores.photo_scan.after(position, limit=self.page_photos)
            new = [photo for _, photo in page if photo not in noted]
            await self._clean_page(new, now_ms, report)
            position = page[-1][0] if page else POSITION_MIN
            await self.stores.cleaning_positions.save(CleaningScan.PHOTOS, str(position) if page else "")
            report.photos += len(page)
            if not page:
                break
        report.photos_without_objects = len(await self.stores.missing_objects.all())

    async def _clean_page(self, photos: Sequence[PhotoId], now_ms: int, report: CleaningReport) -> None:
        # Young photos are skipped, because the pipeline may still be making their renditions.
        rows = (await self.stores.photos.get(photos)).values()
        old = [row for row in rows if id_ms(row.photo_id) <= now_ms - self.young_s * 1_000]
        losses = [
            loss
            for loss in await gather_bounded(old, self._loss, at_once=self.at_once, finish_all=True)
            if loss is not None
        ]
        if is_suspicious(len(losses), of=len(photos)):
            words = f"{len(losses)} of {len(photos)} photos from {photos[0]} on lack objects"
            log.error("%s: is this the right bucket? Nothing of them is changed", words)
            report.held.append(words)
            return
        for loss in losses:
            if loss.has_original:
                await self._mend(loss, now_ms, report)
            else:
                await self.stores.missing_objects.note(loss.photo.photo_id, now_ms)
                report.left(Inconsistency.PHOTO_WITHOUT_OBJECTS, str(loss.photo.photo_id))

    async def _look_again(self, photo: PhotoId, since_ms: int, now_ms: int, report: CleaningReport) -> None:
        row = (await self.stores.photos.get([photo])).get(photo)
        loss = await self._loss(row) if row is not None else None
        if row is not None and row.deleted:
            # Perhaps by a run of this job that died before it had done all that belongs to a delete.
            await delete_photo(self.stores, self.outbox, photo, row.author_id)
        elif loss is not None and loss.has_original:
            await self._mend(loss, now_ms, report)
        elif loss is not None and now_ms - since_ms < self.missing_grace_s * 1_000:
            report.left(Inconsistency.PHOTO_WITHOUT_OBJECTS, str(photo))
            return
        elif loss is not None:
            await self._give_up(loss)
            report.settled(Inconsistency.PHOTO_WITHOUT_OBJECTS)
        else:
            # A run that removed renditions from the row may have died before it invalidated the cached row.
            await self.stores.cache.invalidate([photo_key(photo)])
        # Last, because if the process dies before this, the entry causes another check.
        await self.stores.missing_objects.forget(photo)

    async def _loss(self, row: Photo) -> Loss | None:
        """Return what a ready photo has lost, None for nothing.

        Photos with renditions of an upstream app are not checked, because that app owns them.
        """
        if row.deleted or row.status is not Status.READY:
            return None
        if any(self.keys.photo_of(rendition.object_key) is None for rendition in row.renditions.values()):
            return None
        lost = set(ALL_RENDITIONS - row.renditions.keys())
        for name, rendition in row.renditions.items():
            if await self.stores.media_objects.size(rendition.object_key) is None:
                lost.add(name)
        if not lost:
            return None
        has_original = await self.stores.media_objects.size(row.object_key) is not None
        loss = Loss(row, frozenset(lost), frozenset(lost & row.renditions.keys()), has_original)
        return None if loss.is_settled else loss

    async def _mend(self, loss: Loss, now_ms: int, report: CleaningReport) -> None:
        photo, author, original = loss.photo.photo_id, loss.photo.author_id, loss.photo.object_key
        await self._forget(loss)
        # The thumbnail task queues the task for the other renditions itself.
        if THUMBNAIL in loss.names:
            await self.outbox.renditions([ThumbnailTask(photo, author, original, now_ms)], Lane.THUMBNAIL)
        else:
            await self.outbox.renditions([FullTask(photo, author, original, now_ms)], Lane.FULL)
        report.settled(Inconsistency.LOST_RENDITION, len(loss.names))

    async def _give_up(self, loss: Loss) -> None:
        if loss.is_all:
            photo, author = loss.photo.photo_id, loss.photo.author_id
            await self.stores.photos.write_tombstone(photo, author)
            await delete_photo(self.stores, self.outbox, photo, author)
        else:
            await self._forget(loss)

    async def _forget(self, loss: Loss) -> None:
        if loss.named:
            await self.stores.photos.forget_renditions(loss.photo.photo_id, loss.named)
        await self.stores.cache.invalidate([photo_key(loss.photo.photo_id)])
