"""The data of the events that upstream apps publish, version 1 of each.

Models of the edge only: behind `decode_event` their values are typed and in range.
"""

from typing import Annotated, TypeAlias, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict

from schemas.fields import (
    Caption,
    ContentType,
    Moment,
    ObjectKey,
    PhotoIdField,
    RenditionName,
    Side,
    UserIdField,
)
from schemas.quoting import quoted


class Fact(BaseModel):
    """Immutable; fields that it does not know are ignored, so publishers may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Rendition(Fact):
    """A smaller copy that the publisher made; taken as it is."""

    object_key: ObjectKey
    width: Side
    height: Side


def _known_names_only(value: object) -> object:
    # Here and not left to the dict's own validation: that would list an error for each of
    # the hundred thousand names that fit in a record.
    if isinstance(value, dict):
        for name in value:
            if name not in get_args(RenditionName):
                raise ValueError(f"{quoted(name)} is none of {', '.join(get_args(RenditionName))}")
    return value


class PhotoUploaded(Fact):
    """The original is, or soon will be, in the media bucket under `object_key`."""

    photo_id: PhotoIdField
    author_id: UserIdField
    object_key: ObjectKey
    content_type: ContentType
    created_at: Moment
    caption: Caption = ""
    renditions: Annotated[dict[RenditionName, Rendition] | None, BeforeValidator(_known_names_only)] = None


class PhotoDeleted(Fact):
    """Counts only with the photo's own author."""

    photo_id: PhotoIdField
    author_id: UserIdField


class FollowChange(Fact):
    """One follow edge changed; the later event wins, at equal times the unfollow."""

    follower_id: UserIdField
    followee_id: UserIdField


class UserFollowed(FollowChange):
    """The edge is there."""


class UserUnfollowed(FollowChange):
    """The edge is gone."""


class LikeChange(Fact):
    """One like changed; the later event wins, at equal times the unlike."""

    photo_id: PhotoIdField
    user_id: UserIdField


class PhotoLiked(LikeChange):
    """The like is there; it may precede its photo."""


class PhotoUnliked(LikeChange):
    """The like is gone."""


EventData: TypeAlias = (
    PhotoUploaded | PhotoDeleted | UserFollowed | UserUnfollowed | PhotoLiked | PhotoUnliked
)
