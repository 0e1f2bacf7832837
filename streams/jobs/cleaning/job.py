"""Keep the media bucket and the database of one mind: once an hour, and by hand.

Nothing here needs a lease: every step may be repeated, by the same process after its death
or by another at the same time. Two who walk at once walk over some of it twice.
"""

import asyncio
import logging
from dataclasses import dataclass
from time import time

from streams import metrics
from streams.core.object_keys import ObjectKeys
from streams.errors import StoreUnavailable
from streams.jobs.cleaning.objects import ObjectsCleaning
from streams.jobs.cleaning.photos import PhotosCleaning
from streams.jobs.cleaning.report import Kind, Report
from streams.jobs.cleaning.uploads import UploadsCleaning
from streams.ports.cleaning import CleaningScan
from streams.ports.groups import Stores
from streams.ports.publishing import EventPublisher, Outbox
from streams.settings import Settings

log = logging.getLogger(__name__)
# After a store did not answer; what was done stays done.
AGAIN_S = 60


@dataclass(slots=True)
class CleaningJob:
    settings: Settings
    stores: Stores
    outbox: Outbox
    publisher: EventPublisher

    async def run(self) -> None:
        """For ever, every `cleaning_interval_s`."""
        while True:
            wait_s = self.settings.cleaning_interval_s
            try:
                await self.run_once(int(time() * 1_000))
            except StoreUnavailable as error:
                log.info("the cleaning goes on in a minute: %s", error)
                wait_s = min(wait_s, AGAIN_S)
            await asyncio.sleep(wait_s)

    async def run_once(self, now_ms: int, *, whole: bool = False, report: Report | None = None) -> Report:
        """One pass; `whole` walks over everything, instead of going on where the last pass ended.

        A `report` that is given is filled as the pass goes on.

        Raises:
            StoreUnavailable: Run it again; all that was done may be repeated.
        """
        report = report or Report()
        try:
            # A second line, where no cleaning runs.
            await self.stores.media_uploads.expire_unfinished(self.settings.object_prefix)
            if whole:
                for walk in CleaningScan:
                    await self.stores.cleaning_positions.save(walk, "")
            await self._uploads.clean(now_ms, report)
            await self._objects.clean(
                now_ms, report, objects_max=None if whole else self.settings.cleaning_objects_max
            )
            await self._photos.clean(
                now_ms, report, photos_max=None if whole else self.settings.cleaning_photos_max
            )
            _export_end(report, now_ms)
        finally:
            _export(report)
        return report

    @property
    def _keys(self) -> ObjectKeys:
        return ObjectKeys(self.settings.object_prefix)

    @property
    def _uploads(self) -> UploadsCleaning:
        settings = self.settings
        return UploadsCleaning(
            self.stores,
            self.publisher,
            settings,
            at_once=settings.cleaning_calls_in_flight_max,
        )

    @property
    def _objects(self) -> ObjectsCleaning:
        settings = self.settings
        orphan_kinds = (Kind.OBJECT_WITHOUT_ROW, Kind.OBJECT_OF_DELETED, Kind.UNNAMED_OBJECT)
        grace_s = dict.fromkeys(orphan_kinds, settings.orphan_grace_s)
        grace_s[Kind.REJECTED_ORIGINAL] = settings.rejected_original_grace_s
        return ObjectsCleaning(
            self.stores, self._keys, grace_s=grace_s, at_once=settings.cleaning_calls_in_flight_max
        )

    @property
    def _photos(self) -> PhotosCleaning:
        settings = self.settings
        return PhotosCleaning(
            self.stores,
            self.outbox,
            self._keys,
            young_s=settings.orphan_grace_s,
            missing_grace_s=settings.missing_grace_s,
            at_once=settings.cleaning_calls_in_flight_max,
        )


def _export(report: Report) -> None:
    for kind, tally in report.tallies.items():
        metrics.CLEANING_FOUND.labels(kind).inc(tally.found)
        metrics.CLEANING_SETTLED.labels(kind).inc(tally.settled)
        metrics.CLEANING_REMOVED.inc(tally.removed_bytes)


def _export_end(report: Report, now_ms: int) -> None:
    metrics.UPLOADS_UNFINISHED.set(report.tallies[Kind.UNFINISHED_UPLOAD].found)
    metrics.PHOTOS_WITHOUT_OBJECTS.set(report.photos_without_objects)
    metrics.CLEANING_ENDED.set(now_ms / 1_000)
