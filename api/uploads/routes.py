"""Photos come in: POST /v1/photos; /upload and /complete are for those that go straight to the bucket."""

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from api.http.answers import json_answer
from api.http.gate import JSON
from api.http.inputs import photo_id_of
from api.http.problems import Problem, not_found
from api.services import ByCaller, WithUploads
from api.uploads.body import receive_body
from api.uploads.inputs import idempotency_key_of, media_type_of, wanted_of_json, wanted_of_query
from api.uploads.lifecycle import enter, own_upload
from api.uploads.signed import all_arrived, describe, not_all_there, start_signed
from schemas.ids import PhotoId
from streams.core.uploads import UploadState


async def post_photo(request: Request, service: WithUploads, caller: ByCaller) -> Response:
    """Begin an upload (a JSON body says of what), or upload the image that is the body.

    With an `Idempotency-Key` the request may be repeated: the same key is the same photo.
    """
    key, media_type = idempotency_key_of(request), media_type_of(request)
    if media_type == JSON:
        wanted = await wanted_of_json(request, service.settings.upload_bytes_max)
        return await start_signed(service, caller.user_id, wanted, key)
    wanted = wanted_of_query(request, media_type)
    return await receive_body(service, request, caller.user_id, wanted, key)


async def get_upload(
    service: WithUploads, caller: ByCaller, photo_id: Annotated[PhotoId, Depends(photo_id_of)]
) -> Response:
    """How to go on with an upload: fresh URLs and, by parts, what has arrived."""
    upload = await own_upload(service, caller.user_id, photo_id)
    if upload is None or upload.state is not UploadState.UPLOADING:
        raise Problem(HTTPStatus.CONFLICT, f"Photo {photo_id} is completed; nothing is left to be sent.")
    return json_answer({"upload": await describe(service, upload)})


async def post_complete(
    service: WithUploads, caller: ByCaller, photo_id: Annotated[PhotoId, Depends(photo_id_of)]
) -> Response:
    """The bytes are all there: the photo enters the pipeline. Repeating it is harmless."""
    upload = await own_upload(service, caller.user_id, photo_id)
    if upload is not None:
        await service.publisher.ping()
        if upload.state is UploadState.UPLOADING and not await all_arrived(service, upload):
            raise not_all_there(upload)
        if not await enter(service, upload):
            raise not_found(f"photo {photo_id}")
    return Response(status_code=HTTPStatus.ACCEPTED)
