"""Uploads whose image is the request's own body: it passes through here, a part at a time."""

import logging
from hashlib import sha256
from http import HTTPStatus

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.http.answers import json_answer
from api.http.problems import Problem, invalid, unavailable
from api.services import UploadService
from api.uploads.admission import admit, body_slot, count_again, counted
from api.uploads.idempotency import KeyTaken, check_fingerprint, claim
from api.uploads.incoming import IncomingOriginal
from api.uploads.inputs import Wanted, pieces
from api.uploads.lifecycle import begin, claimed_upload, enter, undo, upload_of
from schemas.ids import PhotoId, UserId
from streams.core.uploads import KeyClaim, Upload
from streams.errors import StoreUnavailable

log = logging.getLogger(__name__)


async def receive_body(
    service: UploadService, request: Request, user: UserId, wanted: Wanted, key: str | None
) -> Response:
    """Store the body and put its photo into the pipeline; with a known key only compare it."""
    if request.headers.get("content-length") == "0":
        raise _empty()
    async with body_slot(service):
        stands = await service.stores.uploads.claimed(user, key) if key is not None else None
        if stands is not None:
            digest = sha256()
            async for piece in pieces(request):
                digest.update(piece)
            check_fingerprint(stands, _fingerprint(wanted, digest.hexdigest()))
            return await _repeat(service, stands)
        await admit(service)
        photo = await service.ids.mint()
        upload = upload_of(service, user, photo, wanted)
        try:
            async with counted(service, user, photo, key):
                await _receive(service, request, upload, wanted, key)
        except KeyTaken as taken:
            check_fingerprint(taken.stands, taken.asked)
            return await _repeat(service, taken.stands)
    return _accepted(photo)


async def _receive(
    service: UploadService, request: Request, upload: Upload, wanted: Wanted, key: str | None
) -> None:
    """Returns when the photo is in the pipeline. Whatever is raised, nothing of it remains."""
    incoming = IncomingOriginal(service.stores, upload, service.settings.upload_part_bytes)
    try:
        await begin(service, upload)
        digest = await _store(request, incoming)
        await count_again(service, upload, key)
        # From here on it is the key's photo, and a repeat may finish what this request does not.
        await claim(service, upload, key, _fingerprint(wanted, digest))
        if not await enter(service, upload):
            raise unavailable("The photo was taken back; try again.")
    except BaseException as error:
        await incoming.cancel()
        if not await _undone(service, upload, key) and isinstance(error, StoreUnavailable):
            return
        raise


async def _undone(service: UploadService, upload: Upload, key: str | None) -> bool:
    """Whether nothing remains, or at least nothing that was acknowledged."""
    try:
        return await undo(service, upload, key)
    except StoreUnavailable as error:
        log.warning("photo %s is left to the cleaning: %s", upload.photo_id, error)
        return True


async def _store(request: Request, incoming: IncomingOriginal) -> str:
    """Put the body into the bucket; its SHA-256, hexadecimal."""
    digest = sha256()
    async for piece in pieces(request):
        digest.update(piece)
        await incoming.write(piece)
    if incoming.size_bytes == 0:
        raise _empty()
    await incoming.end()
    return digest.hexdigest()


async def _repeat(service: UploadService, stands: KeyClaim) -> Response:
    """Answer as the first request did; if that died after it had the key, do what it left.

    The key is claimed when the bytes are there, so nothing else can be missing.
    """
    upload = await claimed_upload(service, stands.photo_id)
    if upload is not None and not await enter(service, upload):
        raise unavailable("The photo was taken back; try again.")
    return _accepted(stands.photo_id)


def _fingerprint(wanted: Wanted, digest: str) -> bytes:
    return sha256(orjson.dumps(["body", wanted.content_type, wanted.caption, digest])).digest()


def _accepted(photo: PhotoId) -> Response:
    return json_answer({"photo_id": str(photo)}, status=HTTPStatus.ACCEPTED)


def _empty() -> Problem:
    return invalid(ValueError("the body has 0 bytes, but must be an image"))
