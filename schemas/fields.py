"""The field types of the event models: each defines what it accepts, and its JSON schema."""

import re
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
from schemas.media_types import media_type
from schemas.times import parse_rfc3339, rfc3339

CAPTION_CHARS_MAX = 2_200
# The rule of `checked_caption` for JSON schemas: no control characters (Unicode Cc) but tab and newline.
CAPTION_PATTERN = r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]*$"
# All characters of Unicode's category Cc.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NO_SEGMENTS = frozenset(("", ".", ".."))
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
    return parse_rfc3339(value, info.field_name or "time")


def _checked_object_key(value: str) -> str:
    if len(value.encode()) > OBJECT_KEY_BYTES_MAX:
        raise ValueError(f"must be at most {OBJECT_KEY_BYTES_MAX} bytes of UTF-8")
    _refuse_control_characters(value, allowed="")
    if not _NO_SEGMENTS.isdisjoint(value.split("/")):
        raise ValueError("must have no segment that is empty, '.' or '..'")
    return value


def checked_caption(value: str) -> str:
    """Return a caption without control characters other than newline and tab, or raise ValueError."""
    _refuse_control_characters(value, allowed="\n\t")
    return value


def _refuse_control_characters(value: str, *, allowed: str) -> None:
    if any(control not in allowed for control in _CONTROLS.findall(value)):
        exceptions = " other than newline and tab" if allowed else ""
        raise ValueError(f"must have no control characters{exceptions}")


def _media_type_alone(value: object) -> object:
    return media_type(value) if isinstance(value, str) else value


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
    Field(max_length=CAPTION_CHARS_MAX, json_schema_extra={"pattern": CAPTION_PATTERN}),
    AfterValidator(checked_caption),
]
Side = Annotated[StrictInt, Field(ge=1, le=SIDE_PIXELS_MAX)]
ImageType = Literal["image/jpeg", "image/png", "image/webp"]
ContentType = Annotated[ImageType, BeforeValidator(_media_type_alone)]
RenditionName = Literal["thumbnail", "small", "medium", "large"]
