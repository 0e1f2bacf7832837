"""End uploads over HTTP whose client gave up or whose process died.

An upload is ended `upload_life_s` after its start. `UploadLifecycle` defines the states and
transitions. If an upload is completed, its photo is put into the pipeline, because the process that
should have done so has died. All other uploads are discarded with everything they stored.
"""

from dataclasses import dataclass

from schemas.ids import id_ms
from streams.core.object_keys import ObjectKeys
from streams.core.uploads import Upload, UploadState
from streams.gathering import gather_bounded
from streams.jobs.cleaning.report import CleaningReport, Inconsistency
from streams.ports.groups import UploadStores
from streams.ports.media import UnfinishedParts
from streams.ports.publishing import EventPublisher
from streams.settings import UploadSettings
from streams.uploads.lifecycle import UploadLifecycle


@dataclass(frozen=True, slots=True)
class UploadsCleaning:
    """Ends old uploads. Several processes may do so at once, because transitions may be repeated.

    `at_once` bounds the uploads that are being ended at the same time.
    """

    stores: UploadStores
    publisher: EventPublisher
    settings: UploadSettings
    at_once: int

    async def clean(self, now_ms: int, report: CleaningReport) -> None:
        """End every upload that is older than `upload_life_s`; younger ones are not touched.

        Raises:
            StoreUnavailable: Some old uploads are left; clean again.
        """
        lifecycle = UploadLifecycle.of(self.settings, self.stores, self.publisher, lambda: now_ms * 1_000)
        started_ms_max = now_ms - self.settings.upload_life_s * 1_000
        uploads = [
            upload async for upload in self.stores.uploads.all() if id_ms(upload.photo_id) <= started_ms_max
        ]
        await gather_bounded(
            uploads,
            lambda upload: _expire(lifecycle, upload, report),
            at_once=self.at_once,
            finish_all=True,
        )
        # Listed after the uploads are ended, because a discarded upload may have left parts.
        unfinished = await self.stores.media_uploads.unfinished(self._keys.prefix)
        await gather_bounded(
            [parts for parts in unfinished if parts.started_ms <= started_ms_max],
            lambda parts: self._abort_orphan(parts, report),
            at_once=self.at_once,
            finish_all=True,
        )

    @property
    def _keys(self) -> ObjectKeys:
        return ObjectKeys(self.settings.object_prefix)

    async def _abort_orphan(self, parts: UnfinishedParts, report: CleaningReport) -> None:
        """Abort a multipart upload that has no row; if its key is not ours, only report it."""
        photo = self._keys.photo_of(parts.object_key)
        if photo is None:
            report.left(Inconsistency.PARTS_WITHOUT_UPLOAD, parts.object_key)
        elif await self.stores.uploads.get(photo) is None:
            await self.stores.media_uploads.abort_parts(parts.object_key, parts.parts_id)
            report.settled(Inconsistency.PARTS_WITHOUT_UPLOAD)


async def _expire(lifecycle: UploadLifecycle, upload: Upload, report: CleaningReport) -> None:
    match await lifecycle.expire(upload):
        case UploadState.COMPLETED:
            report.settled(Inconsistency.COMPLETED_UPLOAD)
        case UploadState.ABORTED:
            report.settled(Inconsistency.UNFINISHED_UPLOAD)
