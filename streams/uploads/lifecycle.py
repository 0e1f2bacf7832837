"""The state machine of an upload over HTTP, for the API and for the cleaning."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

from schemas.envelope import PoisonEvent
from schemas.ids import PhotoId, UserId
from streams import metrics
from streams.core.uploads import KeyClaim, Upload, UploadState
from streams.errors import StoreUnavailable
from streams.limited_log import LimitedLog
from streams.photos.begun import photo_begun
from streams.photos.deleted import hide_photo
from streams.ports.groups import UploadStores
from streams.ports.publishing import EventPublisher
from streams.settings import UploadSettings
from streams.uploads.entering import photo_of, uploaded_event
from streams.uploads.errors import KeyTaken, NothingLikeThat, UploadEnded
from streams.uploads.lookup import UploadLookup

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLifecycle:
    """The states of an upload, which its row stores, and all transitions between them.

        no row --begin--> UPLOADING --complete--> COMPLETED --enter--> no row, photo in the pipeline
                              |                       |
              withdraw, undo, |                       | undo, or enter if the id
              expire          |                       | is another author's
                              v                       v
                           ABORTED <------------------+
                              |
                              +--discard--> no row, and nothing of the photo remains

    Every arrow may be repeated, also by several processes at once: the database decides which
    change of state wins. A process may die between any two writes. This table says what each arrow
    writes:

    ========== ======================================= ==========================================
    arrow      writes, in this order                   a death in between leaves, and who finishes
    ========== ======================================= ==========================================
    begin      the row                                 the row alone: the cleaning discards it
    claim      the key (state unchanged; signed:       an UPLOADING row with a key: a repeat goes on
               before the bytes, body: after them)     with it, otherwise the cleaning discards it
    complete   COMPLETED in the row, then enter        COMPLETED: a repeat or the cleaning enters it
    enter      the event, the photo's row and list     COMPLETED: as above; the event's consumer
               entry, then removes the upload's row    writes the same rows
    withdraw   the tombstone, ABORTED, then discard    a tombstone, perhaps ABORTED: a repeated
                                                       delete or the cleaning goes on
    undo       ABORTED, removes the key's claim,       ABORTED: the cleaning discards it; a repeat
               then discard                            raises UploadEnded if the key is claimed
    discard    the tombstone, hides the photo, removes ABORTED: the cleaning discards it again,
               parts and object, the row last          because the row is still there
    expire     abort, then enter or discard            as these: the next pass of the cleaning
    ========== ======================================= ==========================================

    Law: an upload is whole or nothing. The row is written first and removed last, because the
    cleaning finds an upload by its row. The row is COMPLETED before the event is published, so that
    the cleaning cannot remove the bytes of a published photo.

    Law: delete and upload cannot miss each other. `withdraw` and `discard` write the tombstone,
    then read the rows; `enter` writes the photo's row, then reads the tombstone.

    Law: no lost post. If `enter` returns True, a later undo finds no row and changes nothing.
    """

    stores: UploadStores
    publisher: EventPublisher
    settings: UploadSettings
    clock_us: Callable[[], int]
    lookup: UploadLookup
    # In an outage every upload fails.
    _outages: LimitedLog = field(default_factory=lambda: LimitedLog(log), init=False)

    @classmethod
    def of(
        cls,
        settings: UploadSettings,
        stores: UploadStores,
        publisher: EventPublisher,
        clock_us: Callable[[], int],
    ) -> Self:
        """Make a lifecycle with its lookup."""
        lookup = UploadLookup(stores.uploads, stores.photos, settings, clock_us)
        return cls(stores=stores, publisher=publisher, settings=settings, clock_us=clock_us, lookup=lookup)

    async def begin(self, upload: Upload) -> None:
        """Write the row of a new upload."""
        await self.stores.uploads.insert(upload)
        metrics.UPLOADS_STARTED.labels(upload.mode).inc()

    async def claim(self, upload: Upload, key: str | None, fingerprint: bytes) -> None:
        """Claim the idempotency key, if any, for an upload whose row is written.

        Raises:
            KeyTaken: The key is claimed for another upload.
        """
        if key is None:
            return
        own = KeyClaim(upload.photo_id, fingerprint)
        claim = await self.stores.uploads.claim_key(
            upload.author_id, key, own, life_s=self.settings.idempotency_key_life_s
        )
        if claim.photo_id != upload.photo_id:
            raise KeyTaken(claim, fingerprint)

    async def complete(self, upload: Upload) -> bool:
        """Put the photo of an upload into the pipeline; all its bytes must have arrived.

        Returns False if the photo was deleted or the upload undone.

        Raises:
            UploadEnded: The photo's id has a row with another author; the upload is discarded.
            StoreUnavailable: Nothing is known about the writes; complete it again.
        """
        if upload.state is UploadState.UPLOADING:
            state = await self.stores.uploads.complete(upload.photo_id)
            if state is not UploadState.COMPLETED:
                # If there is no row, another call may have completed the upload and entered its
                # photo.
                return state is None and await self.lookup.is_in_pipeline(upload.photo_id, upload.author_id)
        return await self._enter_or_give_up(upload)

    async def _enter_or_give_up(self, upload: Upload) -> bool:
        try:
            return await self.enter(upload)
        except PoisonEvent as poison:
            # Not the error itself, which may quote the caption.
            log.warning(
                "the upload of photo %s can never enter the pipeline: %s",
                upload.photo_id,
                poison.reason,
                extra={"photo_id": str(upload.photo_id), "reason": poison.reason.value},
            )
            await self.stores.uploads.take_back(upload.photo_id)
            await self._discard_all(upload)
            raise UploadEnded(upload.photo_id) from None

    async def enter(self, upload: Upload) -> bool:
        """Put the photo of a completed upload into the pipeline.

        Returns True if the photo is in the pipeline, which no undo can change. Returns False if the
        photo was deleted or the upload was undone.

        Raises:
            PoisonEvent: The photo's id has a row with another author.
            StoreUnavailable: Nothing is known about the writes; enter it again.
        """
        await self.publisher.publish(uploaded_event(upload), time_us=self.clock_us())
        # The event's consumer writes the same rows, but the author's next request must already show
        # the photo.
        await photo_begun(self.stores, photo_of(upload))
        if await self._remove_completed(upload) is UploadState.ABORTED:
            return False
        # Without a row, `enter` cannot show whether the upload was undone. An undo writes the
        # tombstone before it removes the row, so the tombstone shows it.
        return not await self.stores.photos.tombstones([(upload.photo_id, upload.author_id)])

    async def _remove_completed(self, upload: Upload) -> UploadState | None:
        """Remove the row of a completed upload; returns its state, None without a row.

        Of all calls for one upload, also repeated and racing ones, the one that removes the row counts it.
        """
        state = await self.stores.uploads.enter(upload.photo_id)
        if state is UploadState.COMPLETED:
            metrics.UPLOADS_COMPLETED.labels(upload.mode).inc()
        return state

    async def withdraw(self, author: UserId, photo: PhotoId) -> bool:
        """Delete an upload that is not completed; False if there is a photo to be deleted instead.

        Raises:
            NothingLikeThat, NotYours: The author has no such upload or photo.
        """
        upload = await self.stores.uploads.get(photo)
        if upload is None or upload.author_id != author:
            if await self.lookup.own_photo(author, photo) is not None:
                return False  # The photo has entered the pipeline meanwhile.
            if not await self.stores.photos.tombstones([(photo, author)]):
                raise NothingLikeThat(photo)
            return True
        await self.stores.photos.write_tombstone(photo, author)
        if await self.stores.uploads.abort(photo) is UploadState.COMPLETED:
            return False
        # Read the row again, because a multipart upload may have begun before the abort, and its id
        # is needed. None can begin after the abort.
        await self.discard(await self.stores.uploads.get(photo) or upload)
        return True

    @asynccontextmanager
    async def whole_or_nothing(self, upload: Upload, key: str | None) -> AsyncIterator[None]:
        """Undo the upload if the code inside the context fails.

        A signed upload with a key is not undone, because another request with the key may already
        have returned it to the client; a repeat continues it. If an outage ends the upload of a
        body, but the photo is in the pipeline, no error is raised: the write succeeded although the
        store did not confirm it.
        """
        try:
            yield
        except BaseException as error:
            if upload.is_signed and key is not None and not isinstance(error, KeyTaken):
                raise
            is_undone = await self._undo_or_leave(upload, key)
            if is_undone or upload.is_signed or not isinstance(error, StoreUnavailable):
                raise

    async def _undo_or_leave(self, upload: Upload, key: str | None) -> bool:
        """Undo the upload; if a store is unavailable, leave the upload to the cleaning.

        Returns False if its photo is in the pipeline nevertheless.
        """
        try:
            return await self.undo(upload, key)
        except StoreUnavailable as error:
            self._outages.warning("undo", "photo %s is left to the cleaning: %s", upload.photo_id, error)
            return True

    async def undo(self, upload: Upload, key: str | None) -> bool:
        """Remove everything of a failed upload; False if its photo is in the pipeline nevertheless.

        Raises:
            StoreUnavailable: Something may be left to the cleaning, or to a repeat with the key.
        """
        uploads, photo = self.stores.uploads, upload.photo_id
        if await self.lookup.is_in_pipeline(photo, upload.author_id):
            # The event was published although Kafka did not confirm it, and has been consumed.
            await photo_begun(self.stores, photo_of(upload))
            await self._remove_completed(upload)
            return False
        state = await uploads.abort(photo)
        if state is UploadState.COMPLETED:
            # A repeat may be entering the photo at this moment. The database decides whether its
            # `enter` or this `take_back` wins.
            state = await uploads.take_back(photo)
        if state is None and await self.lookup.is_in_pipeline(photo, upload.author_id):
            return False
        if key is not None:
            await uploads.release_key(upload.author_id, key, photo)
        await self.discard(await uploads.get(photo) or upload)
        return True

    async def discard(self, upload: Upload) -> None:
        """Remove everything of an aborted upload.

        The tombstone is written first. So if the event was published although Kafka did not confirm
        it, the event's consumer finds the tombstone.

        Raises:
            StoreUnavailable: Something may be left; discard it again, or leave it to the cleaning.
        """
        stores, photo = self.stores, upload.photo_id
        await stores.photos.write_tombstone(photo, upload.author_id)
        stored = await self.lookup.photo(photo)
        # If the id belongs to another author's photo, that photo is not hidden.
        if stored is not None and stored.author_id == upload.author_id:
            await hide_photo(stores, photo, upload.author_id)
        if upload.parts_id is not None:
            await stores.media_uploads.abort_parts(upload.object_key, upload.parts_id)
        await stores.media_objects.delete([upload.object_key])
        await stores.uploads.remove(photo)

    async def expire(self, upload: Upload) -> UploadState | None:
        """End an upload whose time is over: enter it if it is completed, discard it otherwise.

        Returns the state of the upload after the abort; None if it has no row.

        Raises:
            StoreUnavailable: Something may be left; expire it again.
        """
        state = await self.stores.uploads.abort(upload.photo_id)
        if state is UploadState.COMPLETED:
            with suppress(UploadEnded):
                await self._enter_or_give_up(upload)
        elif state is UploadState.ABORTED:
            await self._discard_all(upload)
        return state

    async def _discard_all(self, upload: Upload) -> None:
        """Discard, and also abort multipart uploads that were begun but not stored in the row."""
        media = self.stores.media_uploads
        for parts in await media.unfinished(upload.object_key):
            # The listing is by prefix, so it may also have other, longer keys.
            if parts.object_key == upload.object_key:
                await media.abort_parts(parts.object_key, parts.parts_id)
        await self.discard(upload)
