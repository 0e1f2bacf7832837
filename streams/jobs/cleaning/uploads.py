"""Uploads over HTTP that were given up, or whose process died: an hour after their start they end.

Order, so that a death at any line only means to do it again: first the row says `aborted`,
which a client that completes at the same moment either prevents or is told of; then the
parts, then the object, and the row last, because it is what leads here again. One that says
`completed` is put into the pipeline, because whoever was to do that has died.
"""

import logging
from dataclasses import dataclass

from schemas.envelope import PoisonEvent
from schemas.ids import id_ms
from streams.core.object_keys import ObjectKeys
from streams.core.uploads import Upload, UploadState
from streams.gathering import gather_bounded
from streams.jobs.cleaning.report import Kind, Report
from streams.ports.groups import Stores
from streams.ports.media import UnfinishedParts
from streams.ports.publishing import EventPublisher
from streams.uploads.completed import upload_completed
from streams.uploads.discarded import upload_discarded

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UploadsCleaning:
    """Safe in any number of processes at once: each step may be repeated by anybody."""

    stores: Stores
    keys: ObjectKeys
    publisher: EventPublisher
    life_s: int
    at_once: int

    async def clean(self, now_ms: int, report: Report) -> None:
        """End every upload that is older than its life. A live one is never touched.

        Raises:
            StoreUnavailable: Some are left; clean again.
        """
        started_ms_max = now_ms - self.life_s * 1_000
        due = [each async for each in self.stores.uploads.all() if id_ms(each.photo_id) <= started_ms_max]
        await gather_bounded(
            due, lambda upload: self._end(upload, now_ms, report), at_once=self.at_once, finish_all=True
        )
        # After the rows, because the parts of a row that has just gone are among these.
        parts = await self.stores.media_uploads.unfinished(self.keys.prefix)
        old = [each for each in parts if each.started_ms <= started_ms_max]
        await gather_bounded(
            old, lambda each: self._end_parts(each, report), at_once=self.at_once, finish_all=True
        )

    async def _end(self, upload: Upload, now_ms: int, report: Report) -> None:
        state = await self.stores.uploads.abort(upload.photo_id)
        if state is UploadState.COMPLETED:
            await self._finish(upload, now_ms, report)
        elif state is UploadState.ABORTED:
            await self._discard(upload)
            report.settled(Kind.UNFINISHED_UPLOAD)

    async def _discard(self, upload: Upload) -> None:
        media = self.stores.media_uploads
        # Those that began while nobody could note them in the row.
        for each in await media.unfinished(upload.object_key):
            if each.object_key == upload.object_key:
                await media.abort_parts(each.object_key, each.parts_id)
        await upload_discarded(self.stores, upload)

    async def _finish(self, upload: Upload, now_ms: int, report: Report) -> None:
        try:
            await upload_completed(self.stores, self.publisher, upload, time_us=now_ms * 1_000)
        except PoisonEvent as poison:
            log.warning("the upload of photo %s is given up: %s", upload.photo_id, poison)
            await self.stores.uploads.take_back(upload.photo_id)
            await self._discard(upload)
        report.settled(Kind.COMPLETED_UPLOAD)

    async def _end_parts(self, parts: UnfinishedParts, report: Report) -> None:
        photo = self.keys.photo_of(parts.object_key)
        if photo is None:
            report.left(Kind.PARTS_WITHOUT_UPLOAD, parts.object_key)
        elif await self.stores.uploads.get(photo) is None:
            await self.stores.media_uploads.abort_parts(parts.object_key, parts.parts_id)
            report.settled(Kind.PARTS_WITHOUT_UPLOAD)
