"""The media bucket in memory, with signed requests of its own kind, which `put_signed` executes."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from hashlib import sha256
from http import HTTPStatus
from itertools import count
from secrets import token_hex
from urllib.parse import parse_qsl, urlencode, urlsplit

from streams.ports.cdn import Cdn
from streams.ports.media import MediaObjects, MediaUploads, SignedRequest, StoredObject, UnfinishedParts


class MemoryMediaObjects(MediaObjects):
    """The bucket's objects.

    `objects` has the bytes by key; tests may change it. `types` has the content types that were
    put.
    """

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


class MemoryMediaUploads(MediaUploads):
    """Uploads into the same `objects`. `put_signed` does what S3 does with a signed request."""

    def __init__(self, objects: MutableMapping[str, bytes], clock_ms: Callable[[], int]) -> None:
        self._objects = objects
        self._clock_ms = clock_ms
        self._secret = token_hex(16)
        self._numbers = count(1)
        self._parts: dict[tuple[str, str], dict[int, bytes]] = {}
        self._started_ms: dict[tuple[str, str], int] = {}

    async def sign_put(
        self, object_key: str, *, content_type: str, size_bytes: int, life_s: int
    ) -> SignedRequest:
        headers = {"Content-Type": content_type, "Content-Length": str(size_bytes), "If-None-Match": "*"}
        return self._sign(object_key, headers, life_s)

    async def begin_parts(self, object_key: str, *, content_type: str) -> str:
        parts_id = str(next(self._numbers))
        self._parts[object_key, parts_id] = {}
        self._started_ms[object_key, parts_id] = self._clock_ms()
        return parts_id

    async def sign_part(
        self, object_key: str, parts_id: str, number: int, *, size_bytes: int, life_s: int
    ) -> SignedRequest:
        headers = {"Content-Length": str(size_bytes)}
        return self._sign(object_key, headers, life_s, parts=parts_id, number=str(number))

    def _sign(self, object_key: str, headers: Mapping[str, str], life_s: int, **query: str) -> SignedRequest:
        query["until_ms"] = str(self._clock_ms() + life_s * 1_000)
        signature = self._signature(object_key, query, headers)
        return SignedRequest(
            url=f"memory://bucket/{object_key}?{urlencode({**query, 'signature': signature})}",
            headers=headers,
        )

    def _signature(self, object_key: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
        signed = [self._secret, object_key, sorted(query.items()), sorted(headers.items())]
        return sha256(repr(signed).encode()).hexdigest()

    async def put_signed(self, request: SignedRequest, body: bytes) -> int:
        """Send the request; returns the HTTP status that S3 would return."""
        url = urlsplit(request.url)
        object_key, query = url.path.removeprefix("/"), dict(parse_qsl(url.query))
        sent = {**request.headers, "Content-Length": str(len(body))}
        signature = query.pop("signature", "")
        is_forged = signature != self._signature(object_key, query, sent)
        if is_forged or self._clock_ms() >= int(query["until_ms"]):
            return HTTPStatus.FORBIDDEN
        if "parts" in query:
            parts = self._parts.get((object_key, query["parts"]))
            if parts is None:
                return HTTPStatus.NOT_FOUND
            parts[int(query["number"])] = body
        elif object_key in self._objects:
            return HTTPStatus.PRECONDITION_FAILED
        else:
            self._objects[object_key] = body
        return HTTPStatus.OK

    async def put_part(self, object_key: str, parts_id: str, number: int, body: bytes) -> None:
        self._parts[object_key, parts_id][number] = body

    async def parts(self, object_key: str, parts_id: str) -> dict[int, int]:
        parts = self._parts.get((object_key, parts_id), {})
        return {number: len(body) for number, body in sorted(parts.items())}

    async def finish_parts(self, object_key: str, parts_id: str, sizes: Mapping[int, int]) -> None:
        if sizes and sizes == await self.parts(object_key, parts_id):
            parts = self._parts.pop((object_key, parts_id))
            self._objects[object_key] = b"".join(body for _, body in sorted(parts.items()))

    async def abort_parts(self, object_key: str, parts_id: str) -> None:
        self._parts.pop((object_key, parts_id), None)

    async def unfinished(self, prefix: str) -> list[UnfinishedParts]:
        return [
            UnfinishedParts(object_key=key, parts_id=parts_id, started_ms=self._started_ms[key, parts_id])
            for key, parts_id in self._parts
            if key.startswith(prefix)
        ]

    async def expire_unfinished(self, prefix: str) -> bool:
        return False


class MemoryCdn(Cdn):
    """`purged` has every key in the order of the calls, including repeated keys."""

    def __init__(self) -> None:
        self.purged: list[str] = []

    async def purge(self, object_keys: Sequence[str]) -> None:
        self.purged += object_keys
