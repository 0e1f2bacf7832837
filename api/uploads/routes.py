"""Uploads: POST /v1/photos; /upload and /complete are for clients that send the bytes to the bucket."""

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from api.http.gate import JSON
from api.http.inputs import photo_id_of
from api.http.responses import json_response
from api.services import ByCaller, WithUploads
from api.uploads.body import UnstoredBytes, body_slot
from api.uploads.inputs import caption_of_query, idempotency_key_of, media_type_of, request_of_json
from api.uploads.signed import upload_json
from schemas.ids import PhotoId
from streams.core.uploads import RequestedUpload
from streams.uploads.errors import EmptyOriginal, UploadError


async def post_photo(request: Request, uploads: WithUploads, caller: ByCaller) -> Response:
    """Begin an upload (a JSON body says of what), or upload the image that is the body.

    With an `Idempotency-Key` the request may be repeated: the same key is the same photo. While the first
    request is under way, a repeat is 409.
    """
    key, media_type = idempotency_key_of(request), media_type_of(request)
    # Beside a JSON body, which has its own caption, this one is checked all the same: whatever the
    # document lists is valid or refused, never dropped unread.
    caption = caption_of_query(request)
    unstored = UnstoredBytes(uploads, caller.user_id)
    unstored.check()
    if media_type == JSON:
        requested = await request_of_json(request, uploads.bytes_max)
        async with uploads.turns.key(caller.user_id, key):
            photo, plan = await uploads.intake.start(caller.user_id, requested, key)
        return json_response({"photo_id": str(photo), "upload": upload_json(plan)}, status=HTTPStatus.CREATED)
    requested = RequestedUpload(media_type, caption, None)
    # An image that is stated to be empty is refused before it takes a slot. If Content-Length is
    # missing, only reading the body shows that it is empty.
    if request.headers.get("content-length") == "0":
        raise EmptyOriginal
    async with uploads.turns.key(caller.user_id, key), body_slot(uploads, caller.user_id):
        try:
            photo, is_stored = await uploads.intake.receive(
                caller.user_id, requested, unstored.pieces(request), key
            )
        except UploadError:
            unstored.charge()
            raise
        if not is_stored:
            unstored.charge()
    return json_response({"photo_id": str(photo)}, status=HTTPStatus.ACCEPTED)


async def get_upload(
    uploads: WithUploads, caller: ByCaller, photo_id: Annotated[PhotoId, Depends(photo_id_of)]
) -> Response:
    """How to go on with an upload: fresh URLs and, by parts, what has arrived."""
    plan = await uploads.intake.resume(caller.user_id, photo_id)
    return json_response({"upload": upload_json(plan)})


async def post_complete(
    uploads: WithUploads, caller: ByCaller, photo_id: Annotated[PhotoId, Depends(photo_id_of)]
) -> Response:
    """The bytes are all there: the photo enters the pipeline. Repeating it is harmless."""
    await uploads.intake.complete(caller.user_id, photo_id)
    return Response(status_code=HTTPStatus.ACCEPTED)
