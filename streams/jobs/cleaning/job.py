"""Make the media bucket and the database agree: once an hour by default, and by hand.

The job needs no lease. Every step may be repeated, by the same process after a crash or by another
process at the same time. If two processes scan at once, they scan some objects twice.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from streams import metrics
from streams.clock import unix_ms
from streams.core.object_keys import ObjectKeys
from streams.errors import StoreUnavailable
from streams.jobs.cleaning.objects import ObjectsCleaning
from streams.jobs.cleaning.photos import PhotosCleaning
from streams.jobs.cleaning.report import CleaningReport, Inconsistency
from streams.jobs.cleaning.uploads import UploadsCleaning
from streams.ports.cleaning import CleaningScan
from streams.ports.groups import CleaningStores
from streams.ports.publishing import EventPublisher, Outbox
from streams.settings import CleaningSettings, UploadSettings

log = logging.getLogger(__name__)
RETRY_S = 60
PAGE_MAX = 1_000


@dataclass(slots=True)
class CleaningJob:
    """Runs the cleaning.

    `retry_s` is the wait after a store was unavailable. A page has `page_max` objects or photos.
    """

    settings: CleaningSettings
    uploads: UploadSettings
    stores: CleaningStores
    outbox: Outbox
    publisher: EventPublisher
    retry_s: float = RETRY_S
    page_max: int = PAGE_MAX
    clock_ms: Callable[[], int] = unix_ms

    async def run(self) -> None:
        """Clean every `cleaning_interval_s` seconds; runs until cancelled."""
        while True:
            wait_s: float = self.settings.cleaning_interval_s
            try:
                await self.run_once(self.clock_ms())
            except StoreUnavailable as error:
                wait_s = min(wait_s, self.retry_s)
                log.info("the cleaning continues in %s s: %s", wait_s, error)
            await asyncio.sleep(wait_s)

    async def run_once(
        self, now_ms: int, *, whole: bool = False, report: CleaningReport | None = None
    ) -> CleaningReport:
        """Clean once. With `whole`, scan everything instead of continuing where the last run ended.

        If a `report` is given, it is filled while the run proceeds.

        Raises:
            StoreUnavailable: The run is not complete; run it again.
        """
        report = report or CleaningReport()
        try:
            # A lifecycle rule of the bucket, which removes unfinished parts even if no cleaning
            # runs.
            await self.stores.media_uploads.expire_unfinished(self.settings.object_prefix)
            if whole:
                for scan in CleaningScan:
                    await self.stores.cleaning_positions.save(scan, "")
            await self._clean_uploads(now_ms, report)
            await self._clean_objects(now_ms, report, whole=whole)
            await self._clean_photos(now_ms, report, whole=whole)
            _export_end(report, now_ms)
        finally:
            _export(report)
        return report

    async def _clean_uploads(self, now_ms: int, report: CleaningReport) -> None:
        cleaning = UploadsCleaning(
            self.stores,
            self.publisher,
            self.uploads,
            at_once=self.settings.cleaning_calls_in_flight_max,
        )
        await cleaning.clean(now_ms, report)

    async def _clean_objects(self, now_ms: int, report: CleaningReport, *, whole: bool) -> None:
        settings = self.settings
        cleaning = ObjectsCleaning(
            self.stores,
            self._keys,
            grace_s={
                Inconsistency.OBJECT_WITHOUT_ROW: settings.orphan_grace_s,
                Inconsistency.OBJECT_OF_DELETED: settings.orphan_grace_s,
                Inconsistency.UNNAMED_OBJECT: settings.orphan_grace_s,
                Inconsistency.REJECTED_ORIGINAL: settings.rejected_original_grace_s,
            },
            at_once=settings.cleaning_calls_in_flight_max,
            page_objects=self.page_max,
        )
        await cleaning.clean(now_ms, report, objects_max=None if whole else settings.cleaning_objects_max)

    async def _clean_photos(self, now_ms: int, report: CleaningReport, *, whole: bool) -> None:
        settings = self.settings
        cleaning = PhotosCleaning(
            self.stores,
            self.outbox,
            self._keys,
            young_s=settings.orphan_grace_s,
            missing_grace_s=settings.missing_grace_s,
            at_once=settings.cleaning_calls_in_flight_max,
            page_photos=self.page_max,
        )
        await cleaning.clean(now_ms, report, photos_max=None if whole else settings.cleaning_photos_max)

    @property
    def _keys(self) -> ObjectKeys:
        return ObjectKeys(self.settings.object_prefix)


def _export(report: CleaningReport) -> None:
    for kind, tally in report.tallies.items():
        metrics.CLEANING_FOUND.labels(kind).inc(tally.found)
        metrics.CLEANING_SETTLED.labels(kind).inc(tally.settled)
        metrics.CLEANING_REMOVED.inc(tally.removed_bytes)


def _export_end(report: CleaningReport, now_ms: int) -> None:
    metrics.UPLOADS_UNFINISHED.set(report.tallies[Inconsistency.UNFINISHED_UPLOAD].found)
    metrics.PHOTOS_WITHOUT_OBJECTS.set(report.photos_without_objects)
    metrics.CLEANING_ENDED.set(now_ms / 1_000)
