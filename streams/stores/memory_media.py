"""The media bucket in memory; requests are signed in a way that only this twin understands."""

from collections.abc import Callable, MutableMapping, Sequence
from itertools import count

from streams.stores.media_ports import SignedRequest, StoredObject, UnfinishedParts


class MemoryMediaObjects:
    """`objects` are the bytes by key, which whoever made it may change; `types` what was said of them."""

    def __init__(self, objects: MutableMapping[str, bytes], clock_ms: Callable[[], int]) -> None:
        self.objects = objects
        self.types: dict[str, str] = {}
        self._clock_ms = clock_ms
        self._modified_ms: dict[str, int] = {}

    async def size(self, object_key: str) -> int | None:
        body = self.objects.get(object_key)
        return None if body is None else len(body)

    async def read(self, object_key: str, *, bytes_max: int) -> bytes | None:
        body = self.objects.get(object_key)
        return None if body is None else body[: bytes_max + 1]

    async def put(self, object_key: str, body: bytes, *, content_type: str) -> None:
        self.objects[object_key] = body
        self.types[object_key] = content_type
        self._modified_ms[object_key] = self._clock_ms()

    async def delete(self, object_keys: Sequence[str]) -> None:
        for key in object_keys:
            self.objects.pop(key, None)

    async def list(self, prefix: str, *, after: str = "", limit: int) -> list[StoredObject]:
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        return [
            StoredObject(
                object_key=key,
                size_bytes=len(self.objects[key]),
                modified_ms=self._modified_ms.setdefault(key, self._clock_ms()),
            )
            for key in keys[:limit]
        ]


class MemoryMediaUploads:
    """Uploads by parts into the same `objects`."""

    def __init__(self, objects: MutableMapping[str, bytes], clock_ms: Callable[[], int]) -> None:
        self._objects = objects
        self._clock_ms = clock_ms
        self._numbers = count(1)
        self._parts: dict[tuple[str, str], dict[int, bytes]] = {}
        self._started_ms: dict[tuple[str, str], int] = {}

    async def sign_put(
        self, object_key: str, *, content_type: str, size_bytes: int, life_s: int
    ) -> SignedRequest:
        headers = {"Content-Type": content_type, "Content-Length": str(size_bytes), "If-None-Match": "*"}
        return SignedRequest(url=f"memory://{object_key}?life={life_s}", headers=headers)

    async def begin_parts(self, object_key: str, *, content_type: str) -> str:
        parts_id = str(next(self._numbers))
        self._parts[object_key, parts_id] = {}
        self._started_ms[object_key, parts_id] = self._clock_ms()
        return parts_id

    async def sign_part(
        self, object_key: str, parts_id: str, number: int, *, size_bytes: int, life_s: int
    ) -> SignedRequest:
        url = f"memory://{object_key}?parts={parts_id}&number={number}&life={life_s}"
        return SignedRequest(url=url, headers={"Content-Length": str(size_bytes)})

    async def put_part(self, object_key: str, parts_id: str, number: int, body: bytes) -> None:
        self._parts[object_key, parts_id][number] = body

    async def parts(self, object_key: str, parts_id: str) -> dict[int, int] | None:
        parts = self._parts.get((object_key, parts_id))
        return None if parts is None else {number: len(body) for number, body in sorted(parts.items())}

    async def finish_parts(self, object_key: str, parts_id: str) -> None:
        parts = self._parts.pop((object_key, parts_id), None)
        if parts is not None:
            self._objects[object_key] = b"".join(body for _, body in sorted(parts.items()))

    async def abort_parts(self, object_key: str, parts_id: str) -> None:
        self._parts.pop((object_key, parts_id), None)

    async def unfinished(self, prefix: str) -> list[UnfinishedParts]:
        return [
            UnfinishedParts(object_key=key, parts_id=parts_id, started_ms=self._started_ms[key, parts_id])
            for key, parts_id in self._parts
            if key.startswith(prefix)
        ]
