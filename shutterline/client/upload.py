"""Upload a photo over HTTP as an app does, and continue where an earlier upload was cut off.

The client stores nothing. The idempotency key follows from the file's bytes and the caption, so the
same file of the same user is the same photo, and the API says which parts have arrived.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

import aiohttp
from tenacity import AsyncRetrying

from schemas.ids import PhotoId, UserId
from shutterline.client.feed import ApiRefused, Json, TokenOf, final
from streams.errors import StoreUnavailable
from streams.gathering import gather_bounded
from streams.retrying import with_backoff
from streams.settings import ApiProcessSettings
from streams.stores.tls import tls_context

REQUEST_S = 60.0
TRIES_MAX = 5
WAIT_S_MAX = 300  # The sum of all waits that Retry-After asks for.
PARTS_AT_ONCE = 3
CHUNK_BYTES = 65_536
RETRIED_STATUSES = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
LOOK_S = 0.25
CONTENT_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A file to upload; `digest` is the SHA-256 of its bytes."""

    path: Path
    size_bytes: int
    content_type: str
    digest: str

    @classmethod
    def of(cls, path: Path, bytes_max: int) -> "PhotoFile":
        """Read the file's size, type and digest.

        Raises:
            ValueError: It cannot be uploaded; names the file and the rule.
        """
        content_type = CONTENT_TYPES.get(path.suffix.lower())
        if content_type is None:
            raise ValueError(f"{path} is none of {', '.join(CONTENT_TYPES)}")
        size_bytes = path.stat().st_size
        if not 0 < size_bytes <= bytes_max:
            raise ValueError(f"{path} has {size_bytes:,} bytes, but must have 1 to {bytes_max:,}")
        with path.open("rb") as file:
            digest = sha256()
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
        return cls(path, size_bytes, content_type, digest.hexdigest())

    def key(self, caption: str) -> str:
        """The idempotency key of this file with this caption."""
        return f"file-{sha256(f'{self.digest} {caption}'.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class UploadClient:
    """Uploads as any user. `waiting(seconds)` is called before each wait that Retry-After asks for.

    `s3_tls` verifies the certificate of signed URLs.
    """

    http: aiohttp.ClientSession
    api: str
    token_of: TokenOf
    waiting: Callable[[float], None]
    s3_tls: ssl.SSLContext

    async def upload(self, user: UserId, file: PhotoFile, caption: str, advance: Advance) -> PhotoId:
        """Upload the file; `advance` counts each byte once, also those that had arrived earlier.

        Raises:
            ApiRefused: The API or the bucket refused it.
            StoreUnavailable: No answer after `TRIES_MAX` tries.
        """
        body = {"content_type": file.content_type, "bytes": file.size_bytes, "caption": caption}
        headers = {"Idempotency-Key": file.key(caption)}
        begun = await self.ask("POST", "/v1/photos", user, json=body, headers=headers)
        photo, requests = PhotoId(int(begun["photo_id"])), begun["upload"]
        if "parts" in requests:
            await self._put_parts(file, requests, advance)
        else:
            await self._put(file, requests, 0, file.size_bytes, advance)
        await self.ask("POST", f"/v1/photos/{photo}/complete", user)
        return photo

    async def settled(self, user: UserId, photo: PhotoId, deadline_s: float) -> Json:
        """The photo once it is ready or rejected, or as it is after `deadline_s`."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + deadline_s
        while True:
            shown = await self.ask("GET", f"/v1/photos/{photo}", user)
            if shown["status"] != "processing" or loop.time() > until_s:
                return shown
            await asyncio.sleep(LOOK_S)

    async def _put_parts(self, file: PhotoFile, requests: Json, advance: Advance) -> None:
        async def put(part: Json) -> None:
            start = (part["number"] - 1) * requests["part_bytes"]
            size_bytes = min(requests["part_bytes"], file.size_bytes - start)
            if part["arrived"]:
                advance(size_bytes)
                return
            await self._put(file, part, start, size_bytes, advance)

        await gather_bounded(requests["parts"], put, at_once=PARTS_AT_ONCE)

    async def _put(
        self, file: PhotoFile, request: Json, start: int, size_bytes: int, advance: Advance
    ) -> None:
        async for attempt in _attempts():
            with attempt:
                sent = _Sent(advance)
                try:
                    await self._put_once(file, request, start, size_bytes, sent)
                except BaseException:
                    sent.take_back()
                    raise

    async def _put_once(
        self, file: PhotoFile, request: Json, start: int, size_bytes: int, sent: "_Sent"
    ) -> None:
        try:
            async with self.http.put(
                request["url"],
                data=_chunks(file.path, start, size_bytes, sent),
                headers=request["headers"],
                ssl=self.s3_tls,
            ) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise StoreUnavailable("media bucket", "PUT", f"{type(error).__name__} {error}") from error
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise StoreUnavailable("media bucket", "PUT", f"{answer.status}")
        # 412: an earlier try stored the bytes, but its response was lost.
        if answer.status >= HTTPStatus.BAD_REQUEST and answer.status != HTTPStatus.PRECONDITION_FAILED:
            raise ApiRefused(f"The media bucket refused {file.path} with {answer.status}: {text[:300]}")

    async def ask(
        self,
        method: str,
        path: str,
        user: UserId,
        *,
        json: Json | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """The response's JSON; retries while the API returns 429 or 503, after its Retry-After.

        It also retries 409 with Retry-After, which means that an earlier try with the same idempotency
        key is under way.

        Raises:
            ApiRefused: Any other error.
            StoreUnavailable: No answer after `TRIES_MAX` tries, or `WAIT_S_MAX` of waits have passed.
        """
        sent = {"Authorization": f"Bearer {self.token_of(user)}", **(headers or {})}
        waited_s = 0.0
        while True:
            async for attempt in _attempts():
                with attempt:
                    try:
                        async with self.http.request(
                            method, f"{self.api}{path}", json=json, headers=sent
                        ) as answer:
                            body: Json = await answer.json(content_type=None)
                    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                        raise StoreUnavailable("api", path, f"{type(error).__name__} {error}") from error
            is_under_way = answer.status == HTTPStatus.CONFLICT and "Retry-After" in answer.headers
            if answer.status not in RETRIED_STATUSES and not is_under_way:
                return final(path, answer.status, body)
            retry_after_s = float(answer.headers.get("Retry-After", 1))
            waited_s += retry_after_s
            if waited_s > WAIT_S_MAX:
                raise StoreUnavailable(
                    "api", path, f"{answer.status} for {WAIT_S_MAX} s: {body.get('detail')}"
                )
            self.waiting(retry_after_s)
            await asyncio.sleep(retry_after_s)


@dataclass(slots=True)
class _Sent:
    """Counts the bytes of one try, and takes them back if it fails."""

    advance: Advance
    size_bytes: int = field(default=0)

    def __call__(self, size_bytes: int) -> None:
        self.size_bytes += size_bytes
        self.advance(size_bytes)

    def take_back(self) -> None:
        self.advance(-self.size_bytes)
        self.size_bytes = 0


async def _chunks(path: Path, start: int, size_bytes: int, sent: Advance) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while size_bytes > 0 and (chunk := file.read(min(CHUNK_BYTES, size_bytes))):
            yield chunk
            size_bytes -= len(chunk)
            sent(len(chunk))


def _attempts() -> AsyncRetrying:
    return with_backoff(on=StoreUnavailable, first_s=0.1, max_s=5, tries_max=TRIES_MAX)


@asynccontextmanager
async def upload_client(
    settings: ApiProcessSettings, token_of: TokenOf, *, waiting: Callable[[float], None]
) -> AsyncIterator[UploadClient]:
    """A client of `settings.api`, and of the media bucket with the URLs that the API signs."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_S)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        tls = tls_context(settings.s3_tls_ca)
        yield UploadClient(http, settings.api.rstrip("/"), token_of, waiting, tls)
