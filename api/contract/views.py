"""The models of requests and responses for the OpenAPI document.

The routes do not use the models of the responses: they make the same JSON directly.

`documents.contract_limits` replaces each `$name` in a description with the value of a setting.
"""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from schemas.fields import Caption, ImageType, RenditionName
from streams.core.feed import Completeness
from streams.core.photos import Status

Id = Annotated[str, Field(pattern="^[1-9][0-9]{0,18}$", description="A decimal id.")]
Count = Annotated[int, Field(ge=0)]
NextCursor = Annotated[str | None, Field(description="Where the next page begins; null at the end.")]


class RenditionView(BaseModel):
    """A smaller copy of the photo."""

    url: Annotated[str, Field(description="Absolute and signed; valid for $url_min to $url_max minutes.")]
    width: Annotated[int, Field(ge=1)]
    height: Annotated[int, Field(ge=1)]


class PhotoView(BaseModel):
    """A photo, as the caller sees it."""

    photo_id: Id
    author_id: Id
    caption: str
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    like_count: Count
    liked: Annotated[bool, Field(description="By the caller.")]
    status: Status
    reason: Annotated[str | None, Field(description="Null unless rejected.")]
    renditions: dict[RenditionName, RenditionView]


class PhotoPage(BaseModel):
    """Photos, newest first."""

    items: list[PhotoView]
    next_cursor: NextCursor
    completeness: Completeness


class UserView(BaseModel):
    """A user's counts; zeros for an id never seen."""

    user_id: Id
    followers: Count
    following: Count
    photos: Annotated[int, Field(ge=0, description="Ready ones.")]


class EdgePage(BaseModel):
    """Users."""

    items: list[Id]
    next_cursor: NextCursor


class UploadRequest(BaseModel):
    """A photo that is to be uploaded; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    content_type: Annotated[
        StrictStr,
        # Not a Literal: any other type is 415, and not 422 as other invalid input is.
        Field(
            description="In upper or lower case; parameters are ignored.",
            json_schema_extra={"enum": list(get_args(ImageType))},
        ),
    ]
    size_bytes: Annotated[StrictInt, Field(alias="bytes", ge=1)]
    caption: Caption = ""


Url = Annotated[str, Field(description="Signed: it takes exactly these bytes, with exactly these headers.")]
ExpiresAt = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="Of the URLs.")]


class SignedPutView(BaseModel):
    """Up to $part_mib MiB: one request to the media bucket, which succeeds once."""

    method: Literal["PUT"]
    url: Url
    headers: dict[str, str]
    expires_at: ExpiresAt


class SignedPartView(BaseModel):
    """A part; all have `part_bytes` but the last, which has the rest."""

    number: Annotated[int, Field(ge=1)]
    url: Url
    headers: dict[str, str]
    arrived: bool


class SignedPartsView(BaseModel):
    """Above $part_mib MiB: one PUT a part, in any order; what has arrived need not be sent again."""

    part_bytes: Annotated[int, Field(ge=1)]
    parts: list[SignedPartView]
    expires_at: ExpiresAt


class UploadView(BaseModel):
    """How the bytes get into the media bucket."""

    upload: SignedPutView | SignedPartsView


class BegunUploadView(UploadView):
    """An upload that has begun; `complete` it when the bytes are there."""

    photo_id: Id


class AcceptedPhotoView(BaseModel):
    """A photo whose bytes are there."""

    photo_id: Id


class HealthView(BaseModel):
    """Alive, or ready."""

    status: Literal["ok"]


class ProblemView(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
