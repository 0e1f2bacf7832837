"""An original that arrives in pieces, on its way into the media bucket."""

import asyncio
from contextlib import suppress

from streams.core.uploads import Upload
from streams.errors import StoreUnavailable
from streams.ports.groups import UploadStores


class IncomingOriginal:
    """Holds two parts at most: one that is collected, and one that is put meanwhile.

    What fits one part is put whole at the end. Nothing of the object is there before `end`.
    """

    def __init__(self, stores: UploadStores, upload: Upload, part_bytes: int) -> None:
        self.size_bytes = 0
        self._stores = stores
        self._upload = upload
        self._part_bytes = part_bytes
        self._pieces: list[bytes] = []
        self._collected_bytes = 0
        self._parts_id: str | None = None
        self._sizes: dict[int, int] = {}
        self._putting: asyncio.Task[None] | None = None

    async def write(self, piece: bytes) -> None:
        """Take the next piece; waits while a part is put and the next is full.

        Raises:
            StoreUnavailable: A part was not put.
        """
        self.size_bytes += len(piece)
        # Not when it is just full: all of the body may fit.
        while self._collected_bytes + len(piece) > self._part_bytes:
            room = self._part_bytes - self._collected_bytes
            self._collect(piece[:room])
            piece = piece[room:]
            await self._put_part(self._taken())
        self._collect(piece)

    def _collect(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._collected_bytes += len(piece)

    def _taken(self) -> bytes:
        """All that is collected, once."""
        part = b"".join(self._pieces)
        self._pieces.clear()
        self._collected_bytes = 0
        return part

    async def end(self) -> None:
        """Make the object of all that was written.

        Raises:
            StoreUnavailable: It may be there or not.
        """
        media, key = self._stores.media_objects, self._upload.object_key
        if self._parts_id is None:
            await media.put(key, self._taken(), content_type=self._upload.content_type)
            return
        await self._put_part(self._taken())
        await self._until_put()
        await self._stores.media_uploads.finish_parts(key, self._parts_id, self._sizes)
        if await media.size(key) != self.size_bytes:
            raise StoreUnavailable("s3", "finish_parts", f"{key} is not of {self.size_bytes} bytes")

    async def cancel(self) -> None:
        """Stop putting; the parts that are there go as well, or are left to the cleaning."""
        if self._putting is not None:
            self._putting.cancel()
            await asyncio.gather(self._putting, return_exceptions=True)
        if self._parts_id is not None:
            with suppress(StoreUnavailable):
                await self._stores.media_uploads.abort_parts(self._upload.object_key, self._parts_id)

    async def _put_part(self, part: bytes) -> None:
        if self._parts_id is None:
            self._parts_id = await self._begin()
        await self._until_put()
        number = len(self._sizes) + 1
        self._sizes[number] = len(part)
        put = self._stores.media_uploads.put_part(self._upload.object_key, self._parts_id, number, part)
        self._putting = asyncio.create_task(put)

    async def _begin(self) -> str:
        upload = self._upload
        parts_id = await self._stores.media_uploads.begin_parts(
            upload.object_key, content_type=upload.content_type
        )
        self._parts_id = parts_id
        await self._stores.uploads.set_parts_id(upload.photo_id, parts_id)
        return parts_id

    async def _until_put(self) -> None:
        if self._putting is not None:
            putting, self._putting = self._putting, None
            await putting
