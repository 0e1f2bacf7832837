"""Plans how a client sends a signed upload to the media bucket, and checks what has arrived."""

import asyncio
from dataclasses import dataclass

from streams.core.uploads import Upload
from streams.ports.media import MediaObjects, MediaUploads, SignedRequest
from streams.ports.uploads import Uploads
from streams.settings import UploadSettings
from streams.uploads.errors import NothingLikeThat, UploadEnded
from streams.uploads.lookup import UploadLookup

# In URLs, this replaces the id of a multipart upload if that id is no longer stored.
ENDED_PARTS_ID = "done"


@dataclass(frozen=True, slots=True)
class PartToSend:
    """One part; `number` counts from 1."""

    number: int
    signed: SignedRequest
    has_arrived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingPlan:
    """Signed requests that put the bytes into the bucket: either `put`, or several `parts`.

    They are valid until `expires_s`, seconds since 1970. All parts but the last have `part_bytes`.
    """

    expires_s: int
    put: SignedRequest | None
    part_bytes: int
    parts: tuple[PartToSend, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSending:
    """Plans how the bytes of signed uploads are sent."""

    uploads: Uploads
    objects: MediaObjects
    media: MediaUploads
    lookup: UploadLookup
    settings: UploadSettings

    async def plan(self, upload: Upload) -> SendingPlan:
        """Sign new requests for an upload that has not ended. The plan says what has arrived.

        The first plan of a large upload begins its multipart upload.

        Raises:
            UploadEnded: Less than a second is left for the upload.
            NothingLikeThat: The upload was deleted meanwhile.
            StoreUnavailable: What has arrived is not known.
        """
        left_ms = self.lookup.left_ms(upload)
        if left_ms < 1_000:
            raise UploadEnded(upload.photo_id)
        if not self._is_multipart(upload):
            return await self._signed(upload, parts_id=ENDED_PARTS_ID, arrived={}, left_ms=left_ms)
        if upload.parts_id is None:
            return await self._signed(
                upload, parts_id=await self._begin_parts(upload), arrived={}, left_ms=left_ms
            )
        arrived: dict[int, int] | None = await self.media.parts(upload.object_key, upload.parts_id)
        if not arrived and await self.objects.size(upload.object_key) is not None:
            arrived = None  # All parts have arrived, and S3 has joined them into the object.
        return await self._signed(upload, parts_id=upload.parts_id, arrived=arrived, left_ms=left_ms)

    async def plan_of_completed(self, upload: Upload) -> SendingPlan:
        """Sign requests for a completed upload, so that a repeat gets a response of the same form.

        All parts have arrived. If the client sends one of the requests nevertheless, it fails or
        changes nothing.
        """
        left_ms = self.lookup.left_ms(upload)
        return await self._signed(
            upload, parts_id=upload.parts_id or ENDED_PARTS_ID, arrived=None, left_ms=left_ms
        )

    async def all_arrived(self, upload: Upload) -> bool:
        """Return whether the object has the stated size.

        If all parts of a multipart upload have arrived, they are joined into the object first.

        Raises:
            StoreUnavailable: The bucket did not respond.
        """
        if upload.parts_id is not None:
            await self.media.finish_parts(upload.object_key, upload.parts_id, self._part_sizes(upload))
        return await self.objects.size(upload.object_key) == upload.size_bytes

    async def _begin_parts(self, upload: Upload) -> str:
        parts_id = await self.media.begin_parts(upload.object_key, content_type=upload.content_type)
        stored_id = await self.uploads.set_parts_id(upload.photo_id, parts_id)
        if stored_id != parts_id:
            # A racing request has stored its id first, or the upload has ended, so ours is not
            # used.
            await self.media.abort_parts(upload.object_key, parts_id)
        if stored_id is None:
            raise NothingLikeThat(upload.photo_id)
        return stored_id

    async def _signed(
        self, upload: Upload, *, parts_id: str, arrived: dict[int, int] | None, left_ms: int
    ) -> SendingPlan:
        """Sign the requests. `arrived` has the parts' bytes by number; None if all arrived."""
        life_s = max(1, min(self.settings.upload_url_life_s, left_ms // 1_000))
        # A signature expires at a whole second.
        expires_s = self.lookup.clock_us() // 1_000_000 + life_s
        part_bytes = self.settings.upload_part_bytes
        if not self._is_multipart(upload):
            put = await self.media.sign_put(
                upload.object_key,
                content_type=upload.content_type,
                size_bytes=upload.size_bytes or 0,
                life_s=life_s,
            )
            return SendingPlan(expires_s=expires_s, put=put, part_bytes=part_bytes, parts=())
        sizes = self._part_sizes(upload)
        signed = await asyncio.gather(
            *(
                self.media.sign_part(upload.object_key, parts_id, number, size_bytes=size, life_s=life_s)
                for number, size in sizes.items()
            )
        )
        parts = tuple(
            PartToSend(number, request, arrived is None or arrived.get(number) == sizes[number])
            for number, request in zip(sizes, signed, strict=True)
        )
        return SendingPlan(expires_s=expires_s, put=None, part_bytes=part_bytes, parts=parts)

    def _is_multipart(self, upload: Upload) -> bool:
        return (upload.size_bytes or 0) > self.settings.upload_part_bytes

    def _part_sizes(self, upload: Upload) -> dict[int, int]:
        """Return the bytes of each part by number."""
        size_bytes, part_bytes = upload.size_bytes or 0, self.settings.upload_part_bytes
        starts = range(0, size_bytes, part_bytes)
        return {number: min(part_bytes, size_bytes - start) for number, start in enumerate(starts, 1)}
