"""An original that arrives in pieces and is written to the media bucket."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from types import TracebackType
from typing import Self

from streams.core.uploads import Upload
from streams.errors import StoreUnavailable
from streams.ports.media import MediaObjects, MediaUploads
from streams.ports.uploads import Uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalStores:
    """The ports that write an incoming original and its upload."""

    objects: MediaObjects
    parts: MediaUploads
    uploads: Uploads


class IncomingOriginal:
    """Buffers at most two parts: one that is being filled, and one that is being put.

    A body that fits one part is put as one object by `end`. The object does not exist before `end`.
    As an async context manager it removes the parts if the code inside fails.
    """

    def __init__(self, stores: OriginalStores, upload: Upload, part_bytes: int) -> None:
        self.size_bytes = 0
        self._digest = sha256()
        self._stores = stores
        self._upload = upload
        self._part_bytes = part_bytes
        self._pieces: list[bytes] = []
        self._buffered_bytes = 0
        self._parts_id: str | None = None
        self._sizes: dict[int, int] = {}
        self._putting: asyncio.Task[None] | None = None

    async def write(self, piece: bytes) -> None:
        """Take the next piece. If a part is full, wait until the part before it has been put.

        Raises:
            StoreUnavailable: A part could not be put.
        """
        self.size_bytes += len(piece)
        self._digest.update(piece)
        # A part that is exactly full is not put yet. If it is the whole body, `end` puts it as an
        # object.
        while self._buffered_bytes + len(piece) > self._part_bytes:
            room = self._part_bytes - self._buffered_bytes
            self._buffer(piece[:room])
            piece = piece[room:]
            await self._put_part(self._take_buffered())
        self._buffer(piece)

    def _buffer(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._buffered_bytes += len(piece)

    def _take_buffered(self) -> bytes:
        """Return the buffered bytes and empty the buffer."""
        part = b"".join(self._pieces)
        self._pieces.clear()
        self._buffered_bytes = 0
        return part

    @property
    def sha256(self) -> str:
        """The SHA-256 of everything that was written, hexadecimal."""
        return self._digest.hexdigest()

    async def end(self) -> None:
        """Make the object from everything that was written.

        Raises:
            StoreUnavailable: It is not known whether the object exists.
        """
        objects, key = self._stores.objects, self._upload.object_key
        if self._parts_id is None:
            await objects.put(key, self._take_buffered(), content_type=self._upload.content_type)
            return
        await self._put_part(self._take_buffered())
        await self._wait_for_put()
        await self._stores.parts.finish_parts(key, self._parts_id, self._sizes)
        if await objects.size(key) != self.size_bytes:
            raise StoreUnavailable("s3", "finish_parts", f"{key} is not of {self.size_bytes} bytes")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            await self._cancel()

    async def _cancel(self) -> None:
        """Stop putting and remove the parts. If the bucket is unavailable, the cleaning does it."""
        if self._putting is not None:
            self._putting.cancel()
            await asyncio.gather(self._putting, return_exceptions=True)
        if self._parts_id is not None:
            with suppress(StoreUnavailable):
                await self._stores.parts.abort_parts(self._upload.object_key, self._parts_id)

    async def _put_part(self, part: bytes) -> None:
        if self._parts_id is None:
            self._parts_id = await self._begin_parts()
        await self._wait_for_put()
        number = len(self._sizes) + 1
        self._sizes[number] = len(part)
        put = self._stores.parts.put_part(self._upload.object_key, self._parts_id, number, part)
        self._putting = asyncio.create_task(put)

    async def _begin_parts(self) -> str:
        upload = self._upload
        parts_id = await self._stores.parts.begin_parts(upload.object_key, content_type=upload.content_type)
        # Set before the row is written, so that the parts are aborted even if that write fails.
        self._parts_id = parts_id
        await self._stores.uploads.set_parts_id(upload.photo_id, parts_id)
        return parts_id

    async def _wait_for_put(self) -> None:
        if self._putting is not None:
            putting, self._putting = self._putting, None
            await putting
