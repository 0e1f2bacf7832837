"""What a request for an upload may say. Invalid input is 422 unless a more specific status exists."""

import re
from http import HTTPStatus
from typing import get_args
from urllib.parse import parse_qsl

import orjson
from pydantic import ValidationError
from starlette.requests import Request

from api.contract.views import UploadRequest
from api.http.gate import JSON
from api.http.problems import Problem, invalid
from api.uploads.body import pieces
from schemas.fields import CAPTION_CHARS_MAX, ImageType, checked_caption
from schemas.media_types import media_type
from schemas.quoting import quoted
from streams.core.uploads import RequestedUpload

CONTENT_TYPES: tuple[str, ...] = get_args(ImageType)

_KEY = re.compile("[ -~]{1,128}")


def media_type_of(request: Request) -> str:
    """Return `application/json`, or the media type of the image in the body.

    Raises:
        Problem: 415 for any other media type or an encoded body, 422 if the header is repeated.
    """
    encoding = request.headers.get("content-encoding")
    if encoding is not None:
        rule = f"Content-Encoding is {quoted(encoding)}, but bodies must be sent without one"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, rule)
    stated = request.headers.getlist("content-type")
    if len(stated) > 1:
        raise invalid(ValueError(f"Content-Type stands {len(stated)} times, but must stand once"))
    sent = media_type(stated[0]) if stated else ""
    if sent not in (JSON, *CONTENT_TYPES):
        raise _unsupported("Content-Type", sent, (JSON, *CONTENT_TYPES))
    return sent


def _unsupported(name: str, value: str, allowed: tuple[str, ...]) -> Problem:
    rule = f"{name} is {quoted(value)}, but must be one of {', '.join(allowed)}"
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, rule)


def idempotency_key_of(request: Request) -> str | None:
    """Return the idempotency key, None without one.

    Raises:
        Problem: 422, if the header is repeated or breaks the contract's rule.
    """
    stated = request.headers.getlist("idempotency-key")
    if not stated:
        return None
    if len(stated) > 1:
        raise invalid(ValueError(f"Idempotency-Key stands {len(stated)} times, but must stand once"))
    if not _KEY.fullmatch(stated[0]):
        raise invalid(
            ValueError(
                f"Idempotency-Key is {quoted(stated[0])} ({len(stated[0])} characters), "
                "but must be 1 to 128 printable ASCII characters"
            )
        )
    return stated[0]


async def request_of_json(request: Request, bytes_max: int) -> RequestedUpload:
    """Return the upload that the JSON body asks for.

    Raises:
        Problem: 422, 415 for an unsupported type of image, 413 for an image that is too large.
    """
    try:
        asked = UploadRequest.model_validate(
            orjson.loads(b"".join([piece async for piece in pieces(request)]))
        )
    except orjson.JSONDecodeError as error:
        raise invalid(ValueError(f"the body is not JSON: {error}")) from None
    except ValidationError as error:
        raise invalid(ValueError(_sentence(error))) from None
    content_type = media_type(asked.content_type)
    if content_type not in CONTENT_TYPES:
        raise _unsupported("content_type", asked.content_type, CONTENT_TYPES)
    if asked.size_bytes > bytes_max:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"bytes is {quoted(asked.size_bytes)}, but may be at most {bytes_max}",
        )
    return RequestedUpload(content_type, asked.caption, asked.size_bytes)


def _sentence(error: ValidationError) -> str:
    """Return the first error as a sentence, with the field and its value."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "the body"
    if first["type"] == "missing":
        return f"{field} is missing, but is required"
    return f"{field} is {quoted(first['input'])}: {first['msg']}"


def caption_of_query(request: Request) -> str:
    """Return the caption in the query, which is that of an image as the body; empty without one.

    Raises:
        Problem: 422, if the caption is repeated, too long, not UTF-8, or has control characters.
    """
    try:
        query = parse_qsl(request.scope["query_string"].decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise invalid(ValueError("the query is not UTF-8, but must be")) from None
    captions = [value for name, value in query if name == "caption"]
    if len(captions) > 1:
        raise invalid(ValueError(f"caption stands {len(captions)} times, but must stand once"))
    caption = captions[0] if captions else ""
    if len(caption) > CAPTION_CHARS_MAX:
        raise invalid(ValueError(f"caption has {len(caption)} characters, but may have {CAPTION_CHARS_MAX}"))
    try:
        checked_caption(caption)
    except ValueError as error:
        raise invalid(ValueError(f"caption is {quoted(caption)}, but {error}")) from None
    return caption
