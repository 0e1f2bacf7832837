"""The field types of the event models: each defines what it accepts, and its JSON schema."""

import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    StrictInt,
    StrictStr,
    ValidationInfo,
    WithJsonSchema,
)

from schemas.ids import ID_MAX, PhotoId, UserId, parse_id
from schemas.times import parse_rfc3339_us, rfc3339, utc_datetime

CAPTION_CHARS_MAX = 2_200
OBJECT_KEY_BYTES_MAX = 1_024  # S3's own limit.
SIDE_PIXELS_MAX = 16_384

_ID_SCHEMA = {
    "description": f"A decimal string (as we write it) or an integer, from 1 to {ID_MAX}.",
    "oneOf": [
        {"type": "string", "pattern": "^[1-9][0-9]{0,18}$"},
        {"type": "integer", "minimum": 1, "maximum": ID_MAX},
    ],
}


def _checked_id(value: object, info: ValidationInfo) -> int:
    return parse_id(value, info.field_name or "id")


def _checked_moment(value: object, info: ValidationInfo) -> datetime:
    """Accept RFC 3339 text from outside, and aware datetimes from our own code."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if not isinstance(value, str):
        raise ValueError("must be an RFC 3339 string")  # noqa: TRY004 - pydantic collects only ValueErrors.
    return utc_datetime(parse_rfc3339_us(value, info.field_name or "time"))


def _checked_object_key(value: str) -> str:
    if len(value.encode()) > OBJECT_KEY_BYTES_MAX:
        raise ValueError(f"must be at most {OBJECT_KEY_BYTES_MAX} bytes of UTF-8")
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise ValueError("must have no control characters")
    return value


def _null_as_empty(value: object) -> object:
    return "" if value is None else value


_id_text = PlainSerializer(str, return_type=str)

PhotoIdField = Annotated[PhotoId, PlainValidator(_checked_id), _id_text, WithJsonSchema(_ID_SCHEMA)]
UserIdField = Annotated[UserId, PlainValidator(_checked_id), _id_text, WithJsonSchema(_ID_SCHEMA)]
Moment = Annotated[
    datetime,
    PlainValidator(_checked_moment),
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "description": "RFC 3339, with an offset."}),
]
ObjectKey = Annotated[
    StrictStr,
    Field(min_length=1, max_length=OBJECT_KEY_BYTES_MAX),
    AfterValidator(_checked_object_key),
]
Caption = Annotated[
    StrictStr,
    BeforeValidator(_null_as_empty, json_schema_input_type=str | None),
    Field(max_length=CAPTION_CHARS_MAX),
]
Side = Annotated[StrictInt, Field(ge=1, le=SIDE_PIXELS_MAX)]
ContentType = Literal["image/jpeg", "image/png", "image/webp"]
RenditionName = Literal["thumbnail", "small", "medium", "large"]
