"""Uploads whose bytes go straight to the media bucket, by requests that are signed here."""

import asyncio
from contextlib import suppress
from hashlib import sha256
from http import HTTPStatus

import orjson
from starlette.responses import Response

from api.http.answers import json_answer
from api.http.problems import Problem, not_found
from api.reading.present import Json
from api.services import UploadService
from api.uploads.admission import admit, counted
from api.uploads.idempotency import KeyTaken, check_fingerprint, claim
from api.uploads.inputs import Wanted
from api.uploads.lifecycle import begin, claimed_upload, ended, left_ms, undo, upload_of
from schemas.ids import UserId
from schemas.times import rfc3339, utc_datetime
from streams.core.uploads import KeyClaim, Upload, UploadState
from streams.errors import StoreUnavailable
from streams.ports.media import SignedRequest

# What stands for an upload by parts whose name is forgotten, because its parts are an object.
DONE = "done"


async def start_signed(service: UploadService, user: UserId, wanted: Wanted, key: str | None) -> Response:
    """Begin an upload, or answer again as the request that began it did."""
    fingerprint = sha256(
        orjson.dumps(["json", wanted.content_type, wanted.size_bytes, wanted.caption])
    ).digest()
    stands = await service.stores.uploads.claimed(user, key) if key is not None else None
    if stands is None:
        try:
            return await _start(service, user, wanted, key, fingerprint)
        except KeyTaken as taken:
            stands = taken.stands
    return await _repeat(service, user, wanted, stands, fingerprint)


async def _start(
    service: UploadService, user: UserId, wanted: Wanted, key: str | None, fingerprint: bytes
) -> Response:
    await admit(service)
    photo = await service.ids.mint()
    upload = upload_of(service, user, photo, wanted)
    async with counted(service, user, photo, key):
        try:
            await begin(service, upload)
            await claim(service, upload, key, fingerprint)
            return _answer(upload, await describe(service, upload))
        except KeyTaken:
            await service.stores.uploads.remove(photo)
            raise
        except BaseException:
            # With a key, whoever repeats the request goes on with this upload.
            if key is None:
                with suppress(StoreUnavailable):
                    await undo(service, upload, None)
            raise


async def _repeat(
    service: UploadService, user: UserId, wanted: Wanted, stands: KeyClaim, fingerprint: bytes
) -> Response:
    check_fingerprint(stands, fingerprint)
    upload = await claimed_upload(service, stands.photo_id)
    if upload is not None and upload.state is UploadState.UPLOADING:
        return _answer(upload, await describe(service, upload))
    done = upload or upload_of(service, user, stands.photo_id, wanted)
    return _answer(done, await _described(service, done, parts_id=done.parts_id or DONE, arrived=None))


def _answer(upload: Upload, described: Json) -> Response:
    body = {"photo_id": str(upload.photo_id), "upload": described}
    return json_answer(body, status=HTTPStatus.CREATED)


async def describe(service: UploadService, upload: Upload) -> Json:
    """How the bytes get there, with fresh URLs and, by parts, what has arrived.

    Raises:
        Problem: 410 where there is no time left for it, 404 where it was deleted meanwhile.
    """
    if left_ms(service, upload) < 1_000:
        raise ended(upload.photo_id)
    if not _by_parts(service, upload):
        return await _described(service, upload, parts_id=DONE, arrived={})
    parts_id = upload.parts_id or await _begin_parts(service, upload)
    arrived: dict[int, int] | None = {}
    if upload.parts_id is not None:
        arrived = await service.stores.media_uploads.parts(upload.object_key, parts_id)
        if not arrived and await service.stores.media_objects.size(upload.object_key) is not None:
            arrived = None  # They are an object already.
    return await _described(service, upload, parts_id=parts_id, arrived=arrived)


async def _begin_parts(service: UploadService, upload: Upload) -> str:
    media = service.stores.media_uploads
    parts_id = await media.begin_parts(upload.object_key, content_type=upload.content_type)
    stands = await service.stores.uploads.set_parts_id(upload.photo_id, parts_id)
    if stands != parts_id:
        await media.abort_parts(upload.object_key, parts_id)
    if stands is None:
        raise not_found(f"photo {upload.photo_id}")
    return stands


async def _described(
    service: UploadService, upload: Upload, *, parts_id: str, arrived: dict[int, int] | None
) -> Json:
    """`arrived` is None where all has; then the URLs are for nothing but the answer's shape."""
    settings, sign = service.settings, service.stores.media_uploads
    life_s = max(1, min(settings.upload_url_life_s, left_ms(service, upload) // 1_000))
    # Signatures are made of whole seconds.
    until_s = service.clock_us() // 1_000_000 + life_s
    expires_at = rfc3339(utc_datetime(until_s * 1_000_000))
    if not _by_parts(service, upload):
        put = await sign.sign_put(
            upload.object_key,
            content_type=upload.content_type,
            size_bytes=upload.size_bytes or 0,
            life_s=life_s,
        )
        return {"method": "PUT", **_shown(put), "expires_at": expires_at}
    sizes = part_sizes(service, upload)
    signed = await asyncio.gather(
        *(
            sign.sign_part(upload.object_key, parts_id, number, size_bytes=size_bytes, life_s=life_s)
            for number, size_bytes in sizes.items()
        )
    )
    parts = [
        {"number": number, **_shown(each), "arrived": arrived is None or arrived.get(number) == sizes[number]}
        for number, each in zip(sizes, signed, strict=True)
    ]
    return {"part_bytes": settings.upload_part_bytes, "parts": parts, "expires_at": expires_at}


def _shown(signed: SignedRequest) -> Json:
    return {"url": signed.url, "headers": dict(signed.headers)}


def _by_parts(service: UploadService, upload: Upload) -> bool:
    return (upload.size_bytes or 0) > service.settings.upload_part_bytes


def part_sizes(service: UploadService, upload: Upload) -> dict[int, int]:
    """The bytes of each part, by number."""
    size_bytes, part_bytes = upload.size_bytes or 0, service.settings.upload_part_bytes
    starts = range(0, size_bytes, part_bytes)
    return {number: min(part_bytes, size_bytes - start) for number, start in enumerate(starts, 1)}


async def all_arrived(service: UploadService, upload: Upload) -> bool:
    """Whether the object is there as stated; makes it of its parts if they are.

    Raises:
        StoreUnavailable: The bucket does not say.
    """
    if upload.parts_id is not None:
        sizes = part_sizes(service, upload)
        await service.stores.media_uploads.finish_parts(upload.object_key, upload.parts_id, sizes)
    return await service.stores.media_objects.size(upload.object_key) == upload.size_bytes


def not_all_there(upload: Upload) -> Problem:
    detail = (
        f"The {upload.size_bytes} bytes of photo {upload.photo_id} are not all there; "
        f"GET /v1/photos/{upload.photo_id}/upload says how to send them."
    )
    return Problem(HTTPStatus.CONFLICT, detail)
