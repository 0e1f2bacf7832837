"""What a user does with an upload: begin it, send its image, complete it, and repeat a request."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from schemas.ids import PhotoId, UserId
from streams.core.uploads import KeyClaim, RequestedUpload, Upload, UploadState
from streams.ports.groups import UploadStores
from streams.ports.publishing import EventPublisher
from streams.settings import UploadSettings
from streams.uploads.admission import RenditionsQueue, UploadAdmission
from streams.uploads.errors import (
    AlreadyCompleted,
    EmptyOriginal,
    KeyTaken,
    NotAllThere,
    NothingLikeThat,
    TakenBack,
)
from streams.uploads.fingerprints import check_fingerprint, fingerprint_of_body, fingerprint_of_signed
from streams.uploads.incoming import IncomingOriginal, OriginalStores
from streams.uploads.lifecycle import UploadLifecycle
from streams.uploads.sending import SendingPlan, UploadSending

Pieces = AsyncIterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadIntake:
    """Leads uploads through their lifecycle.

    Every method may also raise `StoreUnavailable`; then the caller may call it again. Requests of
    one user with the same idempotency key get the same photo.
    """

    lifecycle: UploadLifecycle
    admission: UploadAdmission
    sending: UploadSending
    mint: Callable[[], Awaitable[PhotoId]]
    originals: OriginalStores
    part_bytes: int

    @classmethod
    def of(
        cls,
        settings: UploadSettings,
        stores: UploadStores,
        publisher: EventPublisher,
        queue: RenditionsQueue,
        *,
        mint: Callable[[], Awaitable[PhotoId]],
        clock_us: Callable[[], int],
    ) -> Self:
        """Make an intake with all its parts; `mint` returns the id of a new photo."""
        lifecycle = UploadLifecycle.of(settings, stores, publisher, clock_us)
        return cls(
            lifecycle=lifecycle,
            admission=UploadAdmission(
                publisher=publisher,
                queue=queue,
                limit=stores.upload_limit,
                uploads=stores.uploads,
                settings=settings,
            ),
            sending=UploadSending(
                uploads=stores.uploads,
                objects=stores.media_objects,
                media=stores.media_uploads,
                lookup=lifecycle.lookup,
                settings=settings,
            ),
            mint=mint,
            originals=OriginalStores(
                objects=stores.media_objects, parts=stores.media_uploads, uploads=stores.uploads
            ),
            part_bytes=settings.upload_part_bytes,
        )

    async def receive(
        self, author: UserId, request: RequestedUpload, pieces: Pieces, key: str | None
    ) -> tuple[PhotoId, bool]:
        """Store an image that arrives in `pieces`, and put its photo into the pipeline.

        Returns the photo, and whether its image is the one that arrived now. If the key is already
        claimed, the image is not stored, only compared with the claim. If this raises, nothing of a new
        photo remains, or the cleaning removes it. An error that `pieces` raises is raised unchanged.

        Raises:
            EmptyOriginal, QueueTooLong, TooManyUploads: Nothing was begun.
            KeyOfAnotherRequest: The key is claimed for another image.
            UploadEnded, TakenBack: The photo of the key, or the new one, was deleted, or the new one's id is
                another author's.
        """
        claim = await self._claim_of(author, key)
        if claim is not None:
            digest = sha256()
            async for piece in pieces:
                digest.update(piece)
            fingerprint = fingerprint_of_body(request, digest.hexdigest())
            return await self._repeat_body(author, claim, fingerprint), False
        try:
            return await self._receive_new(author, request, pieces, key), True
        except KeyTaken as taken:
            return await self._repeat_body(author, taken.claim, taken.fingerprint), False

    async def start(
        self, author: UserId, request: RequestedUpload, key: str | None
    ) -> tuple[PhotoId, SendingPlan]:
        """Begin an upload whose bytes the client sends to the bucket; returns how to send them.

        Raises:
            QueueTooLong, TooManyUploads: Nothing was begun.
            KeyOfAnotherRequest: The key is claimed for another request.
            UploadEnded: The upload of the key has ended.
        """
        claim = await self._claim_of(author, key)
        fingerprint = fingerprint_of_signed(request)
        if claim is not None:
            return await self._repeat_start(author, request, claim, fingerprint)
        try:
            async with self._new(author, request, key) as upload:
                await self.lifecycle.claim(upload, key, fingerprint)
                plan = await self.sending.plan(upload)
            return upload.photo_id, plan
        except KeyTaken as taken:
            return await self._repeat_start(author, request, taken.claim, fingerprint)

    async def resume(self, author: UserId, photo: PhotoId) -> SendingPlan:
        """Return how to send the bytes that have not arrived.

        Raises:
            AlreadyCompleted: The upload is completed, so all its bytes have arrived.
            UploadEnded, NotYours, NothingLikeThat: As for `UploadLookup.own_upload`.
        """
        upload = await self.lifecycle.lookup.own_upload(author, photo)
        if upload is None or upload.state is not UploadState.UPLOADING:
            raise AlreadyCompleted(photo)
        return await self.sending.plan(upload)

    async def complete(self, author: UserId, photo: PhotoId) -> None:
        """Put the photo into the pipeline; does nothing if the photo is already in the pipeline.

        Raises:
            NotAllThere: The object does not exist or does not have the stated size.
            UploadEnded, NotYours, NothingLikeThat: As for `UploadLookup.own_upload`.
        """
        upload = await self.lifecycle.lookup.own_upload(author, photo)
        if upload is None:
            return
        await self.admission.publisher.ping()
        if upload.state is UploadState.UPLOADING and not await self.sending.all_arrived(upload):
            raise NotAllThere(upload)
        if not await self.lifecycle.complete(upload):
            raise NothingLikeThat(photo)

    async def withdraw(self, author: UserId, photo: PhotoId) -> bool:
        """Delete an upload that is not completed; False if there is a photo to be deleted instead.

        Raises:
            NotYours, NothingLikeThat: The author has no such upload or photo.
        """
        if await self.lifecycle.lookup.own_photo(author, photo) is not None:
            return False
        return await self.lifecycle.withdraw(author, photo)

    @asynccontextmanager
    async def _new(self, author: UserId, request: RequestedUpload, key: str | None) -> AsyncIterator[Upload]:
        """Begin a new upload; `whole_or_nothing` handles a failure of the code inside."""
        await self.admission.admit()
        photo = await self.mint()
        upload = self.lifecycle.lookup.new_upload(author, photo, request)
        async with (
            self.admission.counted(author, photo, key),
            self.lifecycle.whole_or_nothing(upload, key),
        ):
            await self.lifecycle.begin(upload)
            yield upload

    async def _receive_new(
        self, author: UserId, request: RequestedUpload, pieces: Pieces, key: str | None
    ) -> PhotoId:
        async with self._new(author, request, key) as upload:
            async with IncomingOriginal(self.originals, upload, self.part_bytes) as incoming:
                async for piece in pieces:
                    await incoming.write(piece)
                if incoming.size_bytes == 0:
                    raise EmptyOriginal
                await incoming.end()
            await self.admission.count_again(upload, key)
            # After the claim, a repeat with the key gets this photo, and can finish the upload if
            # this call fails.
            await self.lifecycle.claim(upload, key, fingerprint_of_body(request, incoming.sha256))
            if not await self.lifecycle.complete(upload):
                raise TakenBack(upload.photo_id)
        return upload.photo_id

    async def _repeat_body(self, author: UserId, claim: KeyClaim, fingerprint: bytes) -> PhotoId:
        """Return the photo of the first request. If it died after its claim, finish its upload.

        The key of a body is claimed only after all its bytes are stored, so no bytes can be
        missing.
        """
        check_fingerprint(claim, fingerprint)
        upload = await self.lifecycle.lookup.claimed_upload(author, claim.photo_id)
        if upload is not None and not await self.lifecycle.complete(upload):
            raise TakenBack(claim.photo_id)
        return claim.photo_id

    async def _repeat_start(
        self, author: UserId, request: RequestedUpload, claim: KeyClaim, fingerprint: bytes
    ) -> tuple[PhotoId, SendingPlan]:
        check_fingerprint(claim, fingerprint)
        lookup, photo = self.lifecycle.lookup, claim.photo_id
        upload = await lookup.claimed_upload(author, photo)
        if upload is not None and upload.state is UploadState.UPLOADING:
            return photo, await self.sending.plan(upload)
        return photo, await self.sending.plan_of_completed(
            upload or lookup.new_upload(author, photo, request)
        )

    async def _claim_of(self, author: UserId, key: str | None) -> KeyClaim | None:
        return None if key is None else await self.lifecycle.stores.uploads.claimed(author, key)
